"""A whole training from a run file: data, first weights, loop, finished model.

In: a run file, the run's folder, and what only a command can wire: the judges of captions. Out: FOLDER/model, in our
own layout and half precision, beside states, log and report. The surprising thing: nothing is said about resuming; a
run that finds a state of its own in the folder goes on from it. `resume` only insists that there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.loader import Loader, Stream
from pixtell.data.sources import RowSource
from pixtell.errors import ConfigError, InputError
from pixtell.model import GitModel
from pixtell.tokenizer import Tokenizer
from pixtell.training.config import RunConfig, StreamConfig
from pixtell.training.dist import World, joined
from pixtell.training.held_out import hold_out, with_captions, with_questions
from pixtell.training.loop import steps_of, train
from pixtell.training.report import FILE as REPORT
from pixtell.training.report import report_of, write_report
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
    _judged(run, judges)
    if resume and not found_states(folder):
        raise ConfigError(f"{folder}: no state to go on from; leave --resume out to begin")
    with joined(say) as world:
        say_once = say if world.first else _nothing
        _enough_for(world, run)
        parts = put_together(run, run_file, say_once)
        loader, vocabulary = parts.loader, parts.vocabulary
        rows = rows_to_look_at(run, run_file, parts, say_once)
        bf16 = run.precision == "bf16"
        look = Look(loader.tokenizer, loader.pixels, run.validation.limit, say_once, world, bf16)
        evaluators = evaluators_of(rows, look, judges.score)
        objective = objective_of(run, loader, judges)
        trained, step = train(run, folder, parts.model, loader, evaluators, say_once, world, objective)
        _tell_broken(loader, say_once)
        finished = step == steps_of(run, loader)
        if not finished:
            say_once(f"stopped after step {step}; the same command goes on from there")
        elif world.first:
            state = {name: tensor.half() for name, tensor in trained.state_dict().items()}
            save_checkpoint(Checkpoint(trained.config, state, vocabulary), folder / "model", overwrite=True)
            report = report_of(run, folder, step, trained, look, rows.captions, rows.questions)
            write_report(report, folder / REPORT)
    return finished


def _nothing(_: str) -> None:
    """What a process says that is not the first."""


@dataclass(frozen=True)
class Parts:
    """What a run file names, opened and loaded: the model, its words, its batches, and rows that are not learnt."""

    model: GitModel
    vocabulary: tuple[str, ...]
    loader: Loader
    held_out: Dataset | None


@dataclass(frozen=True)
class Rows:
    """What is looked at and not learnt: rows that are described, and rows that are asked about."""

    captions: tuple[RowSource, ...]
    questions: tuple[RowSource, ...]


def put_together(run: RunConfig, run_file: Path, say: Callable[[str], None]) -> Parts:
    """Open the data and load the first weights; nothing is written. Raises `PixtellError`."""
    limit = run.loading.max_broken
    datasets = [open_data(stream.data, run_file, say, limit, stream) for stream in run.streams]
    held_out = None
    if run.validation.held_out:
        datasets, held_out = hold_out(datasets, run.validation.held_out)
    streams = [_stream(config, RowSource(data)) for config, data in zip(run.streams, datasets, strict=True)]
    torch.manual_seed(run.seed)
    texts = [pair for stream in streams for pair in stream.source.texts()]
    model, vocabulary = starting_model(run.start, texts, run_file.parent)
    loader = Loader(streams, Tokenizer(vocabulary), model.config.pixels, run.seed, max_broken=limit)
    return Parts(model, vocabulary, loader, held_out)


def open_data(
    files: str | Sequence[str],
    run_file: Path,
    say: Callable[[str], None],
    limit: int,
    config: StreamConfig | None = None,
) -> Dataset:
    """A data set that a run file names, relative to the run file. Raises `InputError`, `ConfigError`.

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
    return dataset


def _stream(config: StreamConfig, source: RowSource) -> Stream:
    return Stream(source, **config.model_dump(exclude={"data", "pictures", "split"}))


def _enough_for(world: World, run: RunConfig) -> None:
    """Each process needs a medium of every batch."""
    few = [f"streams.{n}.media is {s.media}" for n, s in enumerate(run.streams) if s.media < world.size]
    if few:
        raise ConfigError.listing(f"{world.size} processes need a medium each", few)


def rows_to_look_at(run: RunConfig, run_file: Path, parts: Parts, say: Callable[[str], None]) -> Rows:
    """The rows of the run file's `validation`. Raises `InputError`, `ConfigError`."""
    asked, limit = run.validation, run.loading.max_broken
    described = [] if asked.captions is None else [open_data(asked.captions, run_file, say, limit)]
    questioned = [] if asked.questions is None else [open_data(asked.questions, run_file, say, limit)]
    if parts.held_out is not None:
        described += [part for part in (with_captions(parts.held_out),) if part.rows]
        questioned += [part for part in (with_questions(parts.held_out),) if part.rows]
    return Rows(tuple(map(RowSource, described)), tuple(map(RowSource, questioned)))


def evaluators_of(rows: Rows, look: Look, score: Scorer | None) -> list[Evaluator]:
    """What is found out about a model on the way."""
    return [
        *(caption_evaluator(source, look, score) for source in rows.captions),
        *(answer_evaluator(source, look) for source in rows.questions),
    ]


def _judged(run: RunConfig, judges: Judges) -> None:
    if run.scst is not None and judges.reward is None:
        raise ConfigError("scst: CIDEr is wired by the command: start it as `pixtell train` or `-m pixtell train`")


def objective_of(run: RunConfig, loader: Loader, judges: Judges) -> Objective:
    """What a step of the run learns. Raises `ConfigError` where nobody judges texts that are to be rewarded."""
    _judged(run, judges)
    if run.scst is None or judges.reward is None:
        return captions
    sources = [stream.source for stream in loader.streams]
    references = {tuple(pair.target for pair in s.row_texts(row)) for s in sources for row in range(len(s))}
    return SelfCritical(run.scst, loader.tokenizer, judges.reward(sorted(references)))


def _tell_broken(loader: Loader, say: Callable[[str], None]) -> None:
    if found := loader.broken.found:
        first = next(iter(found.values()))
        say(f"warning: {len(found)} rows were broken and passed over, the first: {first.message}")
