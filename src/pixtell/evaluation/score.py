"""From predictions and references to scores. No model here: the texts are in a file, and stay as they are.

In: a predictions file and a data set. Out: a measure for each metric of the task, over the items that have both, and
everything that stood in the way of a whole evaluation, counted and named.

The surprising thing: what is missing is never scored as wrong, nor passed over: the scores of what is there are
marked as partial, and so is everything made of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixtell.data.dataset import Dataset, Problem
from pixtell.data.row import Question, Row
from pixtell.errors import ConfigError, InputError
from pixtell.evaluation import intervals
from pixtell.evaluation.intervals import Comparison, Interval
from pixtell.evaluation.metrics import ptb
from pixtell.evaluation.metrics.anls import anls
from pixtell.evaluation.metrics.bleu import bleu
from pixtell.evaluation.metrics.cider import DocumentFrequencies, cider_d
from pixtell.evaluation.metrics.classification import name_accuracy
from pixtell.evaluation.metrics.exact import exact_match
from pixtell.evaluation.metrics.measure import Measure
from pixtell.evaluation.metrics.official import meteor, spice
from pixtell.evaluation.metrics.rouge import rouge_l
from pixtell.evaluation.metrics.scene_text import word_accuracy
from pixtell.evaluation.metrics.vqa import vqa_accuracy
from pixtell.evaluation.predict import task_of
from pixtell.evaluation.predictions import Prediction, Predictions, Task

OFFICIAL = ("METEOR", "SPICE")  # what needs Java and the extra


@dataclass(frozen=True)
class Referenced:
    """An item that can be scored: its id, its row, its question if it is one, and what people wrote."""

    id: str
    row: Row
    references: tuple[str, ...]
    question: Question | None = None


@dataclass(frozen=True)
class Scored:
    """An item with references and a text."""

    item: Referenced
    prediction: Prediction


@dataclass(frozen=True)
class Group:
    """A metric over the items of one answer type or question type."""

    kind: str
    name: str
    measure: Measure
    interval: Interval


@dataclass(frozen=True)
class Scores:
    """What an evaluation found. `expected` counts the items with references, `items` holds those that were scored.

    `complete` says that these are all of them and that the data set was read whole. The first of `measures` is the
    one that the task is known by.
    """

    task: Task
    data: str
    references_sha256: str
    expected: int
    complete: bool
    measures: tuple[Measure, ...]
    intervals: tuple[Interval, ...]
    groups: tuple[Group, ...]
    items: tuple[Scored, ...] = field(repr=False)
    problems: tuple[Problem, ...] = field(default=(), repr=False)

    @property
    def clusters(self) -> list[str]:
        """The picture of each item: texts about one picture are not independent."""
        return [scored.item.row.id for scored in self.items]


def referenced(dataset: Dataset, task: Task) -> list[Referenced]:
    """The items of a data set that have references."""
    if task == "question":
        return [
            Referenced(question.id, row, question.answers, question)
            for row in dataset.rows
            for question in row.questions
            if question.answers
        ]
    if task == "caption":
        return [Referenced(row.id, row, row.captions) for row in dataset.rows if row.captions]
    return [Referenced(row.id, row, (row.label,)) for row in dataset.rows if row.label]


def score(
    predictions: Predictions,
    dataset: Dataset,
    task: Task | None = None,
    *,
    also: Sequence[str] = (),
    frequencies: DocumentFrequencies | None = None,
    spice_jars: Path | None = None,
) -> Scores:
    """Score predictions against the references of a data set.

    `task` is that of the predictions' run, or what the data set poses, when not given. `also` adds METEOR and SPICE.
    `frequencies` are CIDEr's document frequencies, those of the references when not given. Raises `InputError` when
    nothing can be scored, and `MissingExtraError` when METEOR or SPICE lack what they need.
    """
    task = task or (predictions.run.task if predictions.run else task_of(dataset))
    if unknown := sorted(set(also) - set(OFFICIAL)):
        raise ConfigError(f"{', '.join(unknown)}: not a metric that can be added; those are {', '.join(OFFICIAL)}")
    wanted = {item.id: item for item in referenced(dataset, task)}
    said = {one.id: one for one in predictions.items}
    items = [Scored(item, said[name]) for name, item in wanted.items() if name in said and not said[name].error]
    if not items:
        raise InputError("empty", _nothing_in_common(predictions, dataset, task, list(wanted), list(said)))
    measures = _measures(task, items, also, frequencies, spice_jars)
    gaps = _gaps(wanted, said)
    clusters = [scored.item.row.id for scored in items]
    return Scores(
        task=task,
        data=dataset.name,
        references_sha256=references_digest(list(wanted.values())),
        expected=len(wanted),
        complete=len(items) == len(wanted) and not dataset.problems,
        measures=tuple(measures),
        intervals=tuple(intervals.interval(measure, clusters) for measure in measures),
        groups=tuple(_groups(items, measures[0])),
        items=tuple(items),
        problems=(*dataset.problems, *predictions.problems, *gaps),
    )


def compare(ours: Scores, other: Scores) -> list[Comparison]:
    """How two systems differ on the items that both have a text for, metric by metric, as `other` less `ours`.

    Raises `InputError` when they have no item in common, and `ConfigError` when they were scored on other references.
    """
    if ours.references_sha256 != other.references_sha256:
        raise ConfigError("compare: the two were scored on other references")
    places = {scored.item.id: place for place, scored in enumerate(other.items)}
    pairs = [(n, places[s.item.id]) for n, s in enumerate(ours.items) if s.item.id in places]
    if not pairs:
        raise InputError("empty", "compare: no item has a text in both files")
    clusters = [ours.clusters[place] for place, _ in pairs]
    return [
        intervals.compare(a.select([n for n, _ in pairs]), b.select([n for _, n in pairs]), clusters)
        for a, b in zip(ours.measures, other.measures, strict=True)
    ]


def references_digest(items: Sequence[Referenced]) -> str:
    """SHA-256 of ids, questions and references, in the order of ids: the same data in another format is the same."""
    digest = hashlib.sha256()
    for item in sorted(items, key=lambda item: item.id):
        question = item.question.text if item.question else ""
        digest.update(json.dumps([item.id, question, list(item.references)]).encode())
    return digest.hexdigest()


def _measures(
    task: Task,
    items: Sequence[Scored],
    also: Sequence[str],
    frequencies: DocumentFrequencies | None,
    spice_jars: Path | None,
) -> list[Measure]:
    texts = [scored.prediction.text for scored in items]
    references = [scored.item.references for scored in items]
    if task != "caption" and (also or frequencies):
        raise ConfigError(f"METEOR, SPICE and document frequencies are for captions; these are of the task {task}")
    if task == "classify":
        return name_accuracy(texts, [label for (label,) in references])
    if task == "scene-text":
        return [word_accuracy(texts, [word for (word,) in references])]
    if task == "question":
        several = any(len(answers) > 1 for answers in references)
        voted = [vqa_accuracy(texts, references)] if several else []
        return [*voted, exact_match(texts, references), anls(texts, references)]
    # Twice, as COCO's evaluation does: how a text's end is read depends on the text after it.
    candidates = ptb.tokenize_all(texts)
    tokens = iter(ptb.tokenize_all([text for several in references for text in several]))
    tokenised = [[next(tokens) for _ in several] for several in references]
    found = [
        cider_d(candidates, tokenised, frequencies),
        *bleu(candidates, tokenised),
        rouge_l(candidates, tokenised),
    ]
    if "METEOR" in also:
        found.append(meteor(candidates, tokenised))
    if "SPICE" in also:
        found.append(spice(candidates, tokenised, spice_jars))
    return found


def _groups(items: Sequence[Scored], measure: Measure) -> list[Group]:
    """The first metric by answer type and by question type, the largest groups first."""
    found = []
    for kind, attribute in (("answer type", "answer_type"), ("question type", "question_type")):
        places: dict[str, list[int]] = {}
        for place, scored in enumerate(items):
            if name := getattr(scored.item.question, attribute, ""):
                places.setdefault(name, []).append(place)
        for name, chosen in sorted(places.items(), key=lambda pair: (-len(pair[1]), pair[0])):
            part = measure.select(chosen)
            interval = intervals.interval(part, [items[place].item.row.id for place in chosen])
            found.append(Group(kind, name, part, interval))
    return found


def _gaps(wanted: dict[str, Referenced], said: dict[str, Prediction]) -> list[Problem]:
    """What lacks a counterpart, an item each."""
    missing = [Problem("unpredicted", name, f"{name}: has no prediction") for name in wanted if name not in said]
    failed = [
        Problem("failed", name, f"{name}: prediction failed ({one.error})")
        for name, one in said.items()
        if one.error and name in wanted
    ]
    extra = [Problem("unreferenced", name, f"{name}: has no references") for name in said if name not in wanted]
    return [*missing, *failed, *extra]


def _nothing_in_common(
    predictions: Predictions, dataset: Dataset, task: Task, wanted: Sequence[str], said: Sequence[str]
) -> str:
    what = {"caption": "captions", "question": "answers"}.get(task, "labels")
    if not wanted:
        return f"{dataset.name}: none of its {len(dataset.rows)} rows has {what} to score against"
    if not any(name in set(wanted) for name in said):
        return (
            f"{predictions.path}: none of its {len(said)} ids is among the {len(wanted)} of {dataset.name} "
            f"(there {wanted[0]!r}, here {said[0]!r})"
            if said
            else f"{predictions.path}: holds no predictions yet"
        )
    return f"{predictions.path}: all {len(said)} predictions failed"
