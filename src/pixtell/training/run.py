"""A whole training from a run file: data, first weights, loop, finished model.

In: a run file, the run's folder, and what only a command can wire: the judges of captions. Out: FOLDER/model, in our
own layout and half precision, beside states and log. The surprising thing: nothing is said about resuming; a run that
finds a state of its own in the folder goes on from it. `resume` only insists that there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import PixelConfig
from pixtell.data.dataset import open_dataset
from pixtell.data.loader import Loader, Stream
from pixtell.data.sources import RowSource
from pixtell.errors import ConfigError, InputError
from pixtell.tokenizer import Tokenizer
from pixtell.training.config import RunConfig, StreamConfig
from pixtell.training.dist import World, joined
from pixtell.training.loop import steps_of, train
from pixtell.training.run_file import load_run
from pixtell.training.scst import Reward, SelfCritical
from pixtell.training.start import starting_model
from pixtell.training.state import found_states
from pixtell.training.step import Objective, captions
from pixtell.training.validation import Evaluator, Look, Scorer, answer_evaluator, caption_evaluator


@dataclass(frozen=True)
class Judges:
    """Who judges captions: `score` all at an evaluation; `reward`, made from all training references, each sample."""

    score: Scorer | None = None
    reward: Callable[[Sequence[tuple[str, ...]]], Reward] | None = None


def run_training(
    run_file: Path,
    folder: Path,
    say: Callable[[str], None],
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    judges: Judges = Judges(),
) -> bool:
    """Train as `run_file` says; returns whether the run is finished, and not only stopped. Raises `PixtellError`."""
    run = load_run(run_file, overrides)
    if run.scst is not None and judges.reward is None:
        raise ConfigError("scst: CIDEr is wired by the command: start it as `pixtell train` or `-m pixtell train`")
    if resume and not found_states(folder):
        raise ConfigError(f"{folder}: no state to go on from; leave --resume out to begin")
    with joined(say) as world:
        say_once = say if world.first else _nothing
        streams = [_stream(stream, run, run_file, say_once) for stream in run.streams]
        _enough_for(world, run)
        torch.manual_seed(run.seed)
        texts = [pair for stream in streams for pair in stream.source.texts()]
        model, vocabulary = starting_model(run.start, texts, run_file.parent)
        tokenizer, pixels = Tokenizer(vocabulary), model.config.pixels
        loader = Loader(streams, tokenizer, pixels, run.seed, max_broken=run.loading.max_broken)
        evaluators = _evaluators(run, run_file, tokenizer, pixels, say_once, world, judges.score)
        objective = _objective(run, streams, tokenizer, judges)
        trained, step = train(run, folder, model, loader, evaluators, say_once, world, objective)
        _tell_broken(loader, say_once)
        finished = step == steps_of(run, loader)
        if not finished:
            say_once(f"stopped after step {step}; the same command goes on from there")
        elif world.first:
            state = {name: tensor.half() for name, tensor in trained.state_dict().items()}
            save_checkpoint(Checkpoint(trained.config, state, vocabulary), folder / "model", overwrite=True)
    return finished


def _nothing(_: str) -> None:
    """What a process says that is not the first."""


def open_source(
    files: str | Sequence[str],
    run_file: Path,
    say: Callable[[str], None],
    limit: int,
    config: StreamConfig | None = None,
) -> RowSource:
    """The rows of a data set that a run file names, relative to the run file. Raises `InputError`, `ConfigError`.

    What of it can't be used is told, and is an error when it is more than `limit`.
    """
    beside = run_file.parent
    patterns = [files] if isinstance(files, str) else files
    pictures = None if config is None or config.pictures is None else beside / config.pictures
    split = None if config is None else config.split
    dataset = open_dataset([beside / pattern for pattern in patterns], media=pictures, split=split)
    if dataset.problems:
        first = dataset.problems[0]
        told = f"{dataset.name}: {len(dataset.problems):,} rows can't be used, the first: {first.message}"
        if len(dataset.problems) > limit:
            raise InputError(first.code, f"{told} ({limit} is the limit: loading.max_broken)")
        say(f"warning: {told}")
    return RowSource(dataset)


def _stream(config: StreamConfig, run: RunConfig, run_file: Path, say: Callable[[str], None]) -> Stream:
    source = open_source(config.data, run_file, say, run.loading.max_broken, config)
    return Stream(source, **config.model_dump(exclude={"data", "pictures", "split"}))


def _enough_for(world: World, run: RunConfig) -> None:
    """Each process needs a medium of every batch."""
    few = [f"streams.{n}.media is {s.media}" for n, s in enumerate(run.streams) if s.media < world.size]
    if few:
        raise ConfigError.listing(f"{world.size} processes need a medium each", few)


def _evaluators(
    run: RunConfig,
    run_file: Path,
    tokenizer: Tokenizer,
    pixels: PixelConfig,
    say: Callable[[str], None],
    world: World,
    score: Scorer | None,
) -> list[Evaluator]:
    """What the run file's `validation` asks to be looked at."""
    asked, chosen = run.validation, list[Evaluator]()
    look = Look(tokenizer, pixels, asked.limit, say, world, run.precision == "bf16")
    if asked.captions is not None:
        source = open_source(asked.captions, run_file, say, run.loading.max_broken)
        chosen.append(caption_evaluator(source, look, score))
    if asked.questions is not None:
        source = open_source(asked.questions, run_file, say, run.loading.max_broken)
        chosen.append(answer_evaluator(source, look))
    return chosen


def _objective(run: RunConfig, streams: Sequence[Stream], tokenizer: Tokenizer, judges: Judges) -> Objective:
    if run.scst is None or judges.reward is None:
        return captions
    sources = [stream.source for stream in streams]
    references = {tuple(pair.target for pair in s.row_texts(row)) for s in sources for row in range(len(s))}
    return SelfCritical(run.scst, tokenizer, judges.reward(sorted(references)))


def _tell_broken(loader: Loader, say: Callable[[str], None]) -> None:
    if found := loader.broken.found:
        first = next(iter(found.values()))
        say(f"warning: {len(found)} rows were broken and passed over, the first: {first.message}")
