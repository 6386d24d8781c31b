"""What is told of an evaluation, the same whether it is printed, written as JSON or shown on a page.

In: scores and the predictions they are of. Out: a `Report`: each number with its interval, the published one beside it
where there is one, and everything that decides a number: model, decoding, pixels, data, digests, versions, time.

The surprising thing: a published number is only as good as the sameness of what was measured, so it comes with the
data and the count of items that it is of, and with what was done otherwise here. A partial evaluation has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pixtell
from pixtell.data.opened import FAILURES, Looks
from pixtell.evaluation.intervals import Comparison
from pixtell.evaluation.predict import open_row
from pixtell.evaluation.predictions import Predictions, Run
from pixtell.evaluation.presets import Published, published
from pixtell.evaluation.report import CompareLine, GroupLine, Judged, Report, ScoreLine, thumbnail
from pixtell.evaluation.score import Scored, Scores

PICTURES = 1_000  # on a page; of more items, the best and the worst by the first metric
UNSHOWN = ("BLEU-1", "BLEU-2", "BLEU-3")  # of a single text they say little that BLEU-4 doesn't
NAMED = 20  # problems that stand on a page one by one


def summarise(
    scores: Scores,
    predictions: Predictions,
    *,
    cider_frequencies: str = "",
    comparison: Sequence[Comparison] = (),
    compared_with: str = "",
    with_pictures: bool = False,
) -> Report:
    """Everything that is told of `scores`. Pictures are only opened when they are to be shown."""
    run = predictions.run
    shown = [measure for measure in scores.measures if measure.name not in UNSHOWN]
    pictures = _pictures(scores, run.looks if run else Looks()) if with_pictures else {}
    return Report(
        title=f"{run.model if run else predictions.path.name} on {scores.data}",
        task=scores.task,
        complete=scores.complete,
        problems=tuple(problem_lines(scores)),
        settings=tuple(settings(scores, predictions, cider_frequencies)),
        scores=tuple(_score_lines(scores, run)),
        groups=tuple(_group_lines(scores)),
        item_scores=tuple(measure.name for measure in shown),
        items=tuple(
            Judged(
                id=scored.item.id,
                text=scored.prediction.text,
                references=scored.item.references,
                scores=tuple(float(measure.items_N[place]) for measure in shown),
                question=scored.item.question.text if scored.item.question else "",
                logprob=scored.prediction.mean_logprob,
                group=_group(scored),
                picture=pictures.get(scored.item.row.id, ""),
            )
            for place, scored in enumerate(scores.items)
        ),
        comparison=tuple(
            CompareLine(one.name, one.a, one.b, one.difference, one.low, one.high, one.p_value) for one in comparison
        ),
        compared_with=compared_with,
    )


def _score_lines(scores: Scores, run: Run | None) -> Iterator[ScoreLine]:
    """Each score with its interval, and the published one where it is of a whole evaluation of that checkpoint."""
    known = {one.metric: one for one in published(run.released)} if run and scores.complete else {}
    for measure, interval in zip(scores.measures, scores.intervals, strict=True):
        yield ScoreLine(
            name=measure.name,
            value=measure.value,
            low=interval.low,
            high=interval.high,
            count=len(measure),
            published=known[measure.name].value / 100 if measure.name in known else None,
            published_source=_source(known[measure.name], scores, run) if measure.name in known else "",
        )


def _group_lines(scores: Scores) -> Iterator[GroupLine]:
    for group in scores.groups:
        yield GroupLine(
            group.name,
            group.kind,
            group.measure.name,
            group.measure.value,
            group.interval.low,
            group.interval.high,
            len(group.measure),
        )


def problem_lines(scores: Scores) -> list[str]:
    """How much was scored, if not all, then each kind of problem counted, with its first ones named."""
    lines = []
    if not scores.complete:
        unread = "" if len(scores.items) < scores.expected else ", but the data set could not be read whole"
        lines.append(f"PARTIAL: {len(scores.items):,} of {scores.expected:,} items with references were scored{unread}")
    for code, count in Counter(problem.code for problem in scores.problems).items():
        named = [problem.message for problem in scores.problems if problem.code == code][:NAMED]
        lines.append(f"{count:,} {code}: {'; '.join(named)}{'; ...' if count > NAMED else ''}")
    return lines


def settings(scores: Scores, predictions: Predictions, cider_frequencies: str = "") -> list[tuple[str, str]]:
    """What decides the numbers, as (name, value) pairs in the order of the path."""
    run = predictions.run
    found: list[tuple[str, str]] = [("task", scores.task)]
    if run is None:
        found.append(("model", "not known: the predictions were written by another tool"))
    else:
        found += _run_settings(run)
    if timed := [scored for scored in scores.items if scored.prediction.seconds is not None]:
        spent = sum(scored.prediction.seconds or 0.0 for scored in timed)
        media = len({scored.item.row.id for scored in timed})
        found.append(("time", f"{spent / media:.3f} s a picture or clip ({media:,} of them on {run and run.device})"))
    found += [
        ("predictions", f"{predictions.path.name}, sha256 {predictions.sha256}"),
        ("references", f"{scores.data}, {scores.expected:,} items, sha256 {scores.references_sha256}"),
    ]
    if scores.task == "caption":
        found.append(("tokens", "PTB as stanford-corenlp 3.4.1, lower case, without punctuation"))
        found.append(("CIDEr", f"CIDEr-D, document frequencies of {cider_frequencies or 'these references'}"))
    found.append(("intervals", "95 %, bootstrap of 1,000 resamples of pictures"))
    found.append(("scored by", f"pixtell {pixtell.__version__}"))
    return found


def _run_settings(run: Run) -> list[tuple[str, str]]:
    decoding = {name: value for name, value in asdict(run.decoding).items() if value not in (None, (), 0)}
    if run.max_steps:
        decoding["max_new_tokens"] = f"{run.max_steps} with prompt"
    pixels = asdict(run.pixels)
    return [
        ("model", f"{run.model}, sha256 {run.model_sha256}"),
        ("preset", run.preset or "none"),
        ("decoding", _listed(decoding)),
        ("pixels", _listed({name: value for name, value in pixels.items() if value is not None})),
        ("frames", _listed({name: value for name, value in asdict(run.looks).items() if name != "frames" or value})),
        ("computed in", f"{run.dtype} on {run.device}, torch {run.torch}, pixtell {run.pixtell}"),
        ("asked", f"{', '.join(run.source)}: {run.items:,} items, sha256 {run.asked_sha256}"),
    ]


def _listed(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _source(one: Published, scores: Scores, run: Run | None) -> str:
    """Where a published number is from, and in what it differs from what was measured here."""
    otherwise = []
    if scores.expected != one.size:
        otherwise.append(f"here {scores.expected:,} items")
    if run and run.preset != "paper":
        otherwise.append("here without --preset paper")
    differs = f"; not the same: {', '.join(otherwise)}" if otherwise else ""
    return f"{one.data}, {one.size:,} items, {one.source}{differs}"


def _group(scored: Scored) -> str:
    question = scored.item.question
    if question is None:
        return scored.item.row.label
    return question.question_type or question.answer_type


def _pictures(scores: Scores, looks: Looks) -> dict[str, str]:
    """Thumbnails by row, of the first frame of a clip. One that can't be opened is left out: its text still counts."""
    ranked = [scores.items[place].item.row for place in scores.measures[0].items_N.argsort(kind="stable")]
    order = list({row.id: row for row in ranked}.values())
    if len(order) > PICTURES:
        order = [*order[: PICTURES // 2], *order[-PICTURES // 2 :]]
    found: dict[str, str] = {}
    for row in order:
        if row.media is None:
            continue
        try:
            media, _ = open_row(row, looks)
        except FAILURES:
            continue
        found[row.id] = thumbnail(media.frames[0])
    return found
