"""A whole training from a run file: data, first weights, loop, finished model; stage after stage.

In: a run file, the run's folder, and what only a command can wire: the judges of captions. Out: FOLDER/model, in our
own layout and half precision, beside states, log and report, or beside the folders of the stages. The surprising
thing: nothing is said about resuming; a run that finds a state of its own in the folder goes on from it, and a stage
that is finished is passed over. `resume` only insists that there is a state.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from pixtell.checkpoint.convert import build_model, load_checkpoint, save_checkpoint
from pixtell.checkpoint.state import Checkpoint, empty_model
from pixtell.config import ModelConfig
from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.loader import Loader, Stream
from pixtell.data.lock import lock
from pixtell.data.questions import ask_rows
from pixtell.data.sources import RowSource
from pixtell.errors import CheckpointError, ConfigError, InputError, PixtellError
from pixtell.memory import keep_freed_memory
from pixtell.model import GitModel
from pixtell.tokenizer import Tokenizer
from pixtell.training.config import RowsConfig, RunConfig, StreamConfig, never_reached
from pixtell.training.consensus import Agreement, by_consensus
from pixtell.training.dist import World, joined, unheard
from pixtell.training.freeze import ever_learning
from pixtell.training.held_out import hold_out, with_captions, with_questions
from pixtell.training.log import FILE as LOG
from pixtell.training.log import broken_in
from pixtell.training.loop import make_folder, steps_of, train
from pixtell.training.lora import add_lora
from pixtell.training.report import FILE as REPORT
from pixtell.training.report import report_of, report_so_far, write_report
from pixtell.training.run_file import load_stages
from pixtell.training.scst import Reward, SelfCritical, to_be_rewarded
from pixtell.training.stages import MODEL, Stage, stages_in
from pixtell.training.start import adapted, check_frames, starting_model
from pixtell.training.state import found_states
from pixtell.training.step import Objective, captions
from pixtell.training.validation import Evaluator, Look, Scorer, answer_evaluator, caption_evaluator, see_any

NO_TEXTS = "no_texts"  # the code of a row without any: no fault of a folder in which some pictures wait for theirs
UNWIRED = "CIDEr is wired by the command: start it as `pixtell train` or `-m pixtell train`"
LOCK = ".lock"  # a file in the run's folder, held while a process trains there


@dataclass(frozen=True)
class Judges:
    """Who judges captions: `score` all at an evaluation; `reward`, made from all training references, each sample;
    `agreement` people's own, by one another."""

    score: Scorer | None = None
    reward: Callable[[Sequence[tuple[str, ...]]], Reward] | None = None
    agreement: Agreement | None = None


NOBODY = Judges()


def run_training(
    run_file: Path,
    folder: Path,
    say: Callable[[str], None],
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    judges: Judges = NOBODY,
) -> bool:
    """Train as `run_file` says; returns whether the run is finished, and not only stopped. Raises `PixtellError`."""
    stages = stages_in(folder, load_stages(run_file, overrides))
    for stage in stages:
        _judged(stage.run, judges)
    if resume and not any(found_states(stage.folder) for stage in stages):
        raise ConfigError(f"{folder}: no state to go on from; leave --resume out to begin")
    with joined(say) as world, contextlib.ExitStack() as ends:
        say_once = world.only_first(say)
        if world.device.type == "cpu":
            keep_freed_memory()
        _enough_for(world, stages)
        world.of_first(partial(_open_ahead, stages, run_file, judges))
        world.of_first(partial(_hold, folder, ends))
        former = None
        for number, stage in enumerate(stages, start=1):
            if former is not None:
                stage = world.of_first(partial(stage.after, former))
            if stage.name and world.of_first(stage.is_finished):
                say_once(f"{stage.name}: finished before")
            elif not _run_stage(stage, former, stages[number:], run_file, say_once, world, judges):
                return False
            former = stage
        if len(stages) > 1:
            world.of_first(partial(_publish, stages[-1], folder / MODEL))
    return True


def _hold(folder: Path, ends: contextlib.ExitStack) -> None:
    """Keep other processes out of the folder until the `ends`: a job's requeued twin, or a second start by mistake."""
    make_folder(folder)
    path = folder / LOCK
    try:
        file = ends.enter_context(path.open("a"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be written: {error.strerror}") from None
    lock(file.fileno(), path, "wait for the training that runs in this folder, or choose another one")


def _run_stage(
    stage: Stage,
    former: Stage | None,
    later: Sequence[Stage],
    run_file: Path,
    say: Callable[[str], None],
    world: World,
    judges: Judges,
) -> bool:
    """Train one stage, from the model of the `former` one if there is one; returns whether it is finished."""
    run = stage.run
    if stage.name:
        say(stage.name)
    gc.collect()  # what the stage before has left, or two models and two optimisers would share a GPU's memory
    parts = put_together(run, run_file, say, None if former is None else load_checkpoint(former.model), judges)
    loader, vocabulary = parts.loader, parts.vocabulary
    fit_later(parts.model.config, later)
    steps = steps_of(run, loader)
    for line in never_reached(run, steps):
        say(f"warning: {line}")
    rows = rows_to_look_at(run, run_file, parts.held_out, say)
    look = Look(loader.tokenizer, loader.pixels, run.validation.limit, say, world, run.precision == "bf16")
    evaluators = evaluators_of(rows, look, judges.score)
    objective = objective_of(run, loader, judges)
    try:
        trained, step = train(run, stage.folder, parts.model, loader, evaluators, say, world, objective)
    except PixtellError as error:
        if not isinstance(error, ConfigError | CheckpointError):  # it had begun: the page shows where to
            _report_so_far(stage, steps, world)
            say(f"{_saved(stage.folder)}; once what stopped it is mended, the same command goes on from there")
        raise
    _tell_broken(stage.folder, say)
    if step != steps:
        _report_so_far(stage, steps, world)
        say(f"stopped after step {step}; the same command goes on from there")
        return False

    def finish() -> None:
        state = {name: tensor.half() for name, tensor in trained.state_dict().items()}
        save_checkpoint(Checkpoint(trained.config, state, vocabulary), stage.model, overwrite=True)
        report = report_of(run, stage.folder, step, trained, look, rows.captions, rows.questions)
        write_report(report, stage.folder / REPORT)
        if stage.name:
            stage.finish(step)

    world.of_first(finish)
    return True


def _report_so_far(stage: Stage, steps: int, world: World) -> None:
    """Leave the curves of a run that has stopped; where they can't be written, what stopped it is what is told."""
    if world.first:
        with contextlib.suppress(PixtellError):
            write_report(report_so_far(stage.run, stage.folder, steps), stage.folder / REPORT)


def _saved(folder: Path) -> str:
    """How far the run in a folder is, whatever becomes of it."""
    states = found_states(folder)
    return f"saved up to step {int(states[-1].name[5:])}" if states else "nothing is saved yet"


def _open_ahead(stages: Sequence[Stage], run_file: Path, judges: Judges) -> None:
    """Open the data of later stages that have never run, so that they lack nothing when their hour comes."""
    opened = [(stages[0].run.streams, stages[0].run.validation, stages[0].run.scst is not None)]
    for stage in stages[1:]:
        run = stage.run
        data = (run.streams, run.validation, run.scst is not None)
        if not found_states(stage.folder) and data not in opened:
            opened.append(data)
            streams, held_out = open_streams(run, run_file, unheard)
            rows_to_look_at(run, run_file, held_out, unheard)
            _weighed(run, streams, judges)
            if run.scst is not None:
                to_be_rewarded(streams)


def fit_later(config: ModelConfig, stages: Sequence[Stage]) -> None:
    """See that later stages name parts, layers and frames of the model they will be given, found out on an empty one.

    Raises `ConfigError` with the stage's name.
    """
    for stage in stages:
        run = stage.run
        try:
            model = adapted(empty_model(config), run.start, "the stage before")
            check_frames(run, model.config)
            if run.lora is not None:
                add_lora(model, run.lora)
            ever_learning(model, run)
        except ConfigError as error:
            raise ConfigError(f"{stage.name}: {error}") from None
        config = model.config


def _publish(last: Stage, target: Path) -> None:
    """Write the model of the last stage where that of a run is looked for, whole or not at all."""
    save_checkpoint(load_checkpoint(last.model), target, overwrite=True)


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


def put_together(
    run: RunConfig,
    run_file: Path,
    say: Callable[[str], None],
    former: Checkpoint | None = None,
    judges: Judges = NOBODY,
) -> Parts:
    """Open the data and load the first weights, those of the `former` stage's model if there is one.

    Nothing is written. Raises `PixtellError`.
    """
    streams, held_out = open_streams(run, run_file, say)
    torch.manual_seed(run.seed)
    if former is None:
        texts = (pair for stream in streams for pair in stream.source.texts())  # which few kinds of a start read
        model, vocabulary = starting_model(run.start, texts, run_file.parent)
    else:
        model, vocabulary = (
            adapted(build_model(former).requires_grad_(True), run.start, "the stage before"),
            former.vocab,
        )
    check_frames(run, model.config)
    streams = _weighed(run, streams, judges)
    loader = Loader(streams, Tokenizer(vocabulary), model.config.pixels, run.seed, max_broken=run.loading.max_broken)
    return Parts(model, vocabulary, loader, held_out)


def open_streams(run: RunConfig, run_file: Path, say: Callable[[str], None]) -> tuple[list[Stream], Dataset | None]:
    """What is learnt, and what is held out. Raises `InputError`, `ConfigError`."""
    datasets = [open_data(stream.data, run_file, say, run.loading.max_broken, stream) for stream in run.streams]
    held_out = None
    if run.validation.held_out:
        datasets, held_out = hold_out(datasets, run.validation.held_out)
    streams = [_stream(config, RowSource(data)) for config, data in zip(run.streams, datasets, strict=True)]
    return streams, held_out


def open_data(
    files: str | Sequence[str],
    run_file: Path,
    say: Callable[[str], None],
    limit: int,
    config: RowsConfig | None = None,
) -> Dataset:
    """A data set that a run file names, relative to the run file. Raises `InputError`, `ConfigError`.

    What of it can't be used is told, and is an error when it is more than `limit`; not so what has no text yet.
    """
    beside = run_file.parent
    patterns = [files] if isinstance(files, str) else files
    pictures = None if config is None or config.pictures is None else beside / config.pictures
    split = None if config is None else config.split
    dataset = open_dataset([beside / pattern for pattern in patterns], media=pictures, split=split)
    problems = [problem for problem in dataset.problems if problem.code != NO_TEXTS]
    if bare := len(dataset.problems) - len(problems):
        say(f"{dataset.name}: {bare:,} rows have no text and are left out; {len(dataset.rows):,} have one")
    if problems:
        first = problems[0]
        told = f"{dataset.name}: {len(problems):,} rows can't be used, the first: {first.message}"
        if len(problems) > limit:
            raise InputError(first.code, f"{told} ({limit} is the limit: loading.max_broken)")
        say(f"warning: {told}")
    return _asked(dataset) if config is not None and config.ask else dataset


def _asked(dataset: Dataset) -> Dataset:
    """The data set with questions in the place of its captions, as `pixtell data ask` writes it."""
    if not any(row.captions for row in dataset.rows):
        raise InputError(
            "empty",
            f"{dataset.name}: none of its {len(dataset.rows):,} rows has captions to make questions from (ask = true)",
        )
    try:
        rows = ask_rows(dataset.rows).learnt
    except InputError as error:
        raise InputError(error.code, f"{dataset.name}: {error}") from None
    return Dataset(f"{dataset.name} asked", rows)


def _stream(config: StreamConfig, source: RowSource) -> Stream:
    return Stream(source, **config.model_dump(exclude={"data", "pictures", "split", "ask", "consensus"}))


def _enough_for(world: World, stages: Sequence[Stage]) -> None:
    """Each process needs a medium of every batch."""
    few = [
        f"{f'then.{number - 1}.' if number else ''}streams.{place}.media is {stream.media}"
        for number, stage in enumerate(stages)
        if number == 0 or stage.run.streams != stages[0].run.streams
        for place, stream in enumerate(stage.run.streams)
        if stream.media < world.size
    ]
    if few:
        raise ConfigError.listing(f"{world.size} processes need a medium each", few)


def rows_to_look_at(run: RunConfig, run_file: Path, held_out: Dataset | None, say: Callable[[str], None]) -> Rows:
    """The rows of the run file's `validation`, and those held out. Raises `InputError`, `ConfigError`."""
    asked, limit = run.validation, run.loading.max_broken
    described, questioned = [], []
    if (files := asked.captions) is not None:
        described.append(_only(with_captions, open_data(files.data, run_file, say, limit, files), "captions or labels"))
    if (files := asked.questions) is not None:
        questioned.append(_only(with_questions, open_data(files.data, run_file, say, limit, files), "questions"))
    if held_out is not None:
        described += [part for part in (with_captions(held_out),) if part.rows]
        questioned += [part for part in (with_questions(held_out),) if part.rows]
    rows = Rows(tuple(map(RowSource, described)), tuple(map(RowSource, questioned)))
    for source in (*rows.captions, *rows.questions):
        see_any(source, asked.limit)
    return rows


def _only(part: Callable[[Dataset], Dataset], dataset: Dataset, wanted: str) -> Dataset:
    """What of a data set is looked at by those who want captions, or questions; the rest would pass for it."""
    found = part(dataset)
    if not found.rows:
        raise InputError("empty", f"{dataset.name}: none of its {len(dataset.rows):,} rows has {wanted} to look at")
    return found


def evaluators_of(rows: Rows, look: Look, score: Scorer | None) -> list[Evaluator]:
    """What is found out about a model on the way."""
    return [
        *(caption_evaluator(source, look, score) for source in rows.captions),
        *(answer_evaluator(source, look) for source in rows.questions),
    ]


def _weighed(run: RunConfig, streams: Sequence[Stream], judges: Judges) -> list[Stream]:
    """The streams with their captions' weights. Raises `ConfigError` where nobody says how well captions agree."""
    agreement = _agreement(run, judges)
    return [
        by_consensus(stream, config.consensus, agreement) if config.consensus and agreement else stream
        for stream, config in zip(streams, run.streams, strict=True)
    ]


def _agreement(run: RunConfig, judges: Judges) -> Agreement | None:
    if any(stream.consensus for stream in run.streams) and judges.agreement is None:
        raise ConfigError(f"consensus: {UNWIRED}")
    return judges.agreement


def _judged(run: RunConfig, judges: Judges) -> None:
    if run.scst is not None and judges.reward is None:
        raise ConfigError(f"scst: {UNWIRED}")
    _agreement(run, judges)


def objective_of(run: RunConfig, loader: Loader, judges: Judges) -> Objective:
    """What a step of the run learns. Raises `ConfigError` where nobody judges what is to be rewarded, or nothing is."""
    _judged(run, judges)
    if run.scst is None or judges.reward is None:
        return captions
    return SelfCritical(run.scst, loader.tokenizer, judges.reward(to_be_rewarded(loader.streams)))


def _tell_broken(folder: Path, say: Callable[[str], None]) -> None:
    if found := broken_in(folder):
        first = next(iter(found.values()))
        say(f"warning: {len(found)} rows were broken and passed over, the first: {first}; all are in {folder / LOG}")
