"""From a data set to predictions: every item's text, batch by batch, appended to a file as soon as it is there.

In: a model, a data set, settings. Out: a predictions file that a stopped run goes on from. Media of the next batch are
read and opened by threads while the model works on this one.

The surprising thing: a batch that fails is done again one medium at a time, so that a bad one costs its own texts only;
its error stands in the file where its text would, and is not tried again unless asked for.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import pixtell
from pixtell.captioner import Captioner, EncodedMedia
from pixtell.config import DecodeOptions
from pixtell.data.dataset import Dataset
from pixtell.data.opened import FAILURES, Looks, open_folder, open_place
from pixtell.data.row import Row
from pixtell.errors import ConfigError, InputError
from pixtell.evaluation.predictions import Prediction, PredictionWriter, Run, Task
from pixtell.media import Media
from pixtell.results import Caption

READERS = 4  # threads that read and decode media
DIGEST = 16  # hexadecimal digits kept of a medium's SHA-256


@dataclass(frozen=True)
class Item:
    """One text to predict: about a row's medium, or of one of its questions. `id` is the row's or the question's."""

    id: str
    row: Row
    question: str = ""


def task_of(dataset: Dataset, wanted: Task | None = None) -> Task:
    """The task a data set poses: `wanted`, else questions where it has some, classes where it has labels, captions.

    Raises `ConfigError` when `wanted` needs what the data set lacks.
    """
    questions = any(row.questions for row in dataset.rows)
    labels = any(row.label for row in dataset.rows)
    captions = any(row.captions for row in dataset.rows)
    if wanted == "question" and not questions:
        raise ConfigError(f"{dataset.name}: has no questions to ask")
    if wanted:
        return wanted
    if captions and (questions or labels):
        other = "questions" if questions else "labels"
        raise ConfigError(f"{dataset.name}: has captions and {other}: say which with --task")
    return "question" if questions else "classify" if labels else "caption"


def items_of(dataset: Dataset, task: Task) -> list[Item]:
    """Every item of a data set, in its order."""
    if task != "question":
        return [Item(row.id, row) for row in dataset.rows]
    return [Item(question.id, row, question.text) for row in dataset.rows for question in row.questions]


def describe_run(
    captioner: Captioner,
    items: Sequence[Item],
    task: Task,
    decoding: DecodeOptions,
    looks: Looks = Looks(),  # noqa: B008 - frozen
    *,
    max_steps: int | None = None,
    preset: str = "",
    released: str = "",
    source: Iterable[str] = (),
) -> Run:
    """Everything that decides the predictions of `items`, to stand at the head of their file."""
    asked = hashlib.sha256()
    for item in items:
        asked.update(json.dumps([item.id, item.question]).encode())
    return Run(
        task=task,
        model=captioner.name,
        model_sha256=captioner.sha256,
        asked_sha256=asked.hexdigest(),
        items=len(items),
        decoding=decoding,
        pixels=captioner.config.pixels,
        looks=looks,
        dtype=captioner.dtype,
        max_steps=max_steps,
        preset=preset,
        released=released,
        source=tuple(source),
        device=captioner.device.type,
        pixtell=pixtell.__version__,
        torch=torch.__version__,
    )


def predict(
    captioner: Captioner,
    items: Sequence[Item],
    run: Run,
    path: str | Path,
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Predict what `path` doesn't hold yet. `on_progress` is told how many items are done, before and after each batch.

    Raises `ConfigError` when the file was made with other settings, and `PixtellError` when it can't be written.
    """
    with PredictionWriter(path, run, overwrite=overwrite) as writer:
        done = {one.id for one in writer.done if not (retry_failed and one.error)}
        waiting = [item for item in items if item.id not in done]
        finished = len(items) - len(waiting)
        on_progress(finished, len(items))
        before = time.monotonic()
        for batch in _opened(_by_row(waiting, captioner.batch_size), captioner, run.looks):
            found = _predict_batch(captioner, run, batch)
            seconds = (time.monotonic() - before) / len(found)
            writer.append([replace(one, seconds=float(f"{seconds:.3g}")) for one in found])
            finished += len(found)
            on_progress(finished, len(items))
            before = time.monotonic()


@dataclass(frozen=True)
class _Group:
    """The items of one row, and its medium, or why there is none."""

    items: tuple[Item, ...]
    media: Media | Exception
    digest: str = ""

    @property
    def row(self) -> Row:
        return self.items[0].row


def _by_row(items: Sequence[Item], size: int) -> list[list[tuple[Item, ...]]]:
    """Items of one row together, in batches of at most `size` rows."""
    rows: dict[str, list[Item]] = {}
    for item in items:
        rows.setdefault(item.row.id, []).append(item)
    groups = [tuple(group) for group in rows.values()]
    return [groups[start : start + size] for start in range(0, len(groups), size)]


def _opened(
    batches: Sequence[Sequence[tuple[Item, ...]]], captioner: Captioner, looks: Looks
) -> Iterator[list[_Group]]:
    """The batches with their media, the next one being opened while one is worked on."""
    if not batches:
        return
    frames = looks.frames or captioner.frames

    def open_group(items: tuple[Item, ...]) -> _Group:
        try:
            return _Group(items, *open_row(items[0].row, replace(looks, frames=frames)))
        except FAILURES as error:
            return _Group(items, error)

    with ThreadPoolExecutor(READERS) as threads:
        ahead = [threads.submit(open_group, group) for group in batches[0]]
        for following in (*batches[1:], ()):
            opened, ahead = ahead, [threads.submit(open_group, group) for group in following]
            yield [one.result() for one in opened]


def open_row(row: Row, looks: Looks) -> tuple[Media, str]:
    """A row's medium, opened, and the beginning of its content's SHA-256. Raises `InputError`, naming the medium."""
    if row.media is None:
        raise InputError("missing", f"{row.id}: the data set says nothing of its picture: name the folder with --media")
    if row.media.is_folder:
        media, digest = open_folder(row.media.path, looks)
    else:
        media, digest = open_place(row.media, row.media.name, looks)
    return media, digest[:DIGEST]


def _predict_batch(captioner: Captioner, run: Run, batch: Sequence[_Group]) -> list[Prediction]:
    """The predictions of a batch, an item whose medium failed with its error."""
    texts = _texts(captioner, run, [group for group in batch if isinstance(group.media, Media)])
    found = []
    for group in batch:
        for item in group.items:
            outcome = group.media if isinstance(group.media, Exception) else texts[item.id]
            known = Prediction(
                item.id, row=item.row.id if item.id != item.row.id else "", question=item.question, media=group.digest
            )
            if isinstance(outcome, Exception):
                code = getattr(outcome, "code", "missing_extra")
                found.append(replace(known, error=str(outcome), code=code))
            else:
                found.append(replace(known, text=outcome.text, mean_logprob=float(f"{outcome.mean_logprob:.5g}")))
    return found


def _texts(captioner: Captioner, run: Run, groups: Sequence[_Group]) -> dict[str, Caption | Exception]:
    """Each item's text or error by its id; a batch that fails is done again medium by medium."""
    if not groups:
        return {}
    try:
        encoded = captioner.encode([group.media for group in groups], resample_frames=run.looks.resample_frames)
        pairs = [(item, medium) for group, medium in zip(groups, encoded, strict=True) for item in group.items]
        return dict(_searched(captioner, run, pairs))
    except FAILURES as error:
        if len(groups) > 1:
            return {name: text for group in groups for name, text in _texts(captioner, run, [group]).items()}
        if len(groups[0].items) > 1:
            ones = [replace(groups[0], items=(item,)) for item in groups[0].items]
            return {name: text for one in ones for name, text in _texts(captioner, run, [one]).items()}
        return {groups[0].items[0].id: error}


def _searched(
    captioner: Captioner, run: Run, pairs: Sequence[tuple[Item, EncodedMedia]]
) -> Iterator[tuple[str, Caption]]:
    """Texts of (item, medium) pairs. A limit of prompt and text together parts prompts by their length."""
    parts: dict[int, list[tuple[Item, EncodedMedia]]] = {}
    for item, medium in pairs:
        length = len(captioner.tokenizer.prompt(item.question)) if run.max_steps else 0
        parts.setdefault(length, []).append((item, medium))
    for length, part in parts.items():
        options = run.decoding
        if run.max_steps:
            # The authors' last step only closes texts, so the longest has one token less than steps.
            options = replace(options, max_new_tokens=run.max_steps - 1 - length)
        media = [medium for _, medium in part]
        if run.task == "question":
            texts: Sequence[Caption] = captioner.ask(media, [item.question for item, _ in part], options)
        else:
            texts = captioner.caption(media, options)
        yield from zip([item.id for item, _ in part], texts, strict=True)
