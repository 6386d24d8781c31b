"""`python -m pixtell.training RUN.toml FOLDER`: train as a run file says, or go on where a killed run stopped.

Progress goes to stderr; the finished model is written to FOLDER/model in our own layout, in half precision.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import PixelConfig
from pixtell.data.loader import Loader, Stream
from pixtell.data.sources import TarSource
from pixtell.errors import PixtellError
from pixtell.tokenizer import Tokenizer
from pixtell.training.config import RunConfig, load_run, tars
from pixtell.training.loop import train
from pixtell.training.start import starting_model
from pixtell.training.validation import Evaluator, answer_evaluator, caption_evaluator


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def evaluators(run: RunConfig, run_file: Path, tokenizer: Tokenizer, pixels: PixelConfig) -> list[Evaluator]:
    """What the run file's `validation` asks to be looked at."""
    chosen: list[Evaluator] = []
    look = run.validation
    if look.captions is not None:
        chosen.append(caption_evaluator(TarSource(tars(look.captions, run_file)), tokenizer, pixels, look.limit, say))
    if look.questions is not None:
        chosen.append(answer_evaluator(TarSource(tars(look.questions, run_file)), tokenizer, pixels, look.limit, say))
    return chosen


def run_training(run_file: Path, folder: Path) -> None:
    """Train as `run_file` says, or go on with what `folder` holds. Raises `PixtellError`."""
    run = load_run(run_file)
    streams = [Stream(TarSource(tars(s.data, run_file)), **s.model_dump(exclude={"data"})) for s in run.streams]
    torch.manual_seed(run.seed)
    texts = [pair for stream in streams for pair in stream.source.texts()]
    model, vocabulary = starting_model(run.start, texts, run_file.parent)
    tokenizer = Tokenizer(vocabulary)
    loader = Loader(streams, tokenizer, model.config.pixels, run.seed)
    train(run, folder, model, loader, evaluators(run, run_file, tokenizer, model.config.pixels), say)
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    save_checkpoint(Checkpoint(model.config, state, vocabulary), folder / "model", "pixtell", overwrite=True)


def main(arguments: list[str]) -> int:
    """Run one training; returns the exit code."""
    if len(arguments) != 2:
        say("usage: python -m pixtell.training RUN.toml FOLDER")
        return 2
    try:
        run_training(Path(arguments[0]), Path(arguments[1]))
    except PixtellError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
