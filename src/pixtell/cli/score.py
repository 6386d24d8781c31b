"""`pixtell score`: numbers for texts that are in a file.

In: a predictions file and the data set it is about. Out: each score with its interval, and how it was made. The
surprising thing: when anything is missing, every line of scores begins with PARTIAL and the exit code is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixtell.cli.eval_options import DataOptions, References, ScoreOptions
from pixtell.cli.options import AsJson
from pixtell.cli.output import put, put_json, say
from pixtell.cli.predict import open_data, tell_problems

if TYPE_CHECKING:
    from pixtell.data.dataset import Dataset
    from pixtell.evaluation.intervals import Comparison
    from pixtell.evaluation.predictions import Predictions
    from pixtell.evaluation.report import Report
    from pixtell.evaluation.score import Scores

EXAMPLE = "Example:  pixtell score predictions.jsonl val-000.tar --html report.html"
PERCENT = 100  # scores are told as papers tell them

File = Annotated[
    str,
    typer.Argument(metavar="PREDICTIONS", help="What pixtell predict wrote, JSONL, COCO result or EvalAI JSON."),
]


def score(
    predictions: File, references: References, data: DataOptions, scores: ScoreOptions, as_json: AsJson = False
) -> int:
    """Score texts against what people wrote.

    Every number comes with a 95 % interval and with all that decides it. Whatever lacks its counterpart is counted and
    named; then the exit code is 1, and what is printed is marked as partial.
    """
    from pixtell.evaluation.predictions import read_predictions

    return score_and_tell(read_predictions(predictions), open_data(references, data), data, scores, as_json)


def score_and_tell(
    predictions: Predictions, dataset: Dataset, data: DataOptions, options: ScoreOptions, as_json: bool
) -> int:
    """Score, print, and write what was asked for; returns the exit code."""
    from pixtell.evaluation import score as scoring
    from pixtell.evaluation.metrics.cider import DocumentFrequencies
    from pixtell.evaluation.predictions import export, read_predictions
    from pixtell.evaluation.report import write_report
    from pixtell.evaluation.summary import summarise

    def scored(found: Predictions) -> Scores:
        return scoring.score(
            found,
            dataset,
            data.task,
            also=options.also or (),
            frequencies=DocumentFrequencies.load(options.cider_frequencies) if options.cider_frequencies else None,
            spice_jars=Path(options.spice_jars) if options.spice_jars else None,
        )

    scores = scored(predictions)
    tell_problems([problem.message for problem in scores.problems if problem not in dataset.problems])
    comparison: Sequence[Comparison] = ()
    if options.compare:
        comparison = scoring.compare(scores, scored(read_predictions(options.compare)))
    report = summarise(
        scores,
        predictions,
        cider_frequencies=options.cider_frequencies or "",
        comparison=comparison,
        compared_with=options.compare or "",
        with_pictures=options.html is not None,
    )
    if as_json:
        put_json(_json(report, scores))
    else:
        put(_text(report))
    if options.export:
        if not scores.complete:
            say(f"{options.export}: not written, the predictions are not complete")
        else:
            export(predictions, scores.task, options.export)
    if options.html:
        write_report(report, Path(options.html))
        say(f"{options.html}: the report")
    return 1 if scores.problems else 0


def _text(report: Report) -> str:
    """The report as lines: what was measured, a table of scores, groups, the comparison, the settings."""
    mark = "" if report.complete else "PARTIAL "
    lines = [f"{mark}{report.title}, {report.task}, {len(report.items):,} items", *report.problems[:1], ""]
    width = max(len(one.name) for one in report.scores) + len(mark) + 2
    beside = "    published" if any(one.published is not None for one in report.scores) else ""
    lines.append(f"{'':{width}}{'score':>7}   95 % interval{beside}")
    for one in report.scores:
        beside = "" if one.published is None else f"   {one.published * PERCENT:.2f} ({one.published_source})"
        lines.append(f"{mark + one.name:{width}}{_number(one.value)}   {_range(one.low, one.high)}{beside}".rstrip())
    for kind in dict.fromkeys(group.kind for group in report.groups):
        groups = [group for group in report.groups if group.kind == kind]
        lines += ["", f"{mark}{groups[0].name} by {kind}"]
        names = max(len(group.group) for group in groups) + len(mark) + 2
        for group in groups:
            interval = _range(group.low, group.high)
            lines.append(f"{mark + group.group:{names}}{_number(group.value)}   {interval}   {group.count:,} items")
    if report.comparison:
        lines += ["", f"{mark}{report.compared_with} less this"]
        for line in report.comparison:
            change = f"{line.difference * PERCENT:+.2f}"
            interval = _range(line.low, line.high)
            lines.append(f"{mark + line.name:{width}}{change:>7}   {interval}   p = {line.p_value:.4f}")
    lines += ["", *(f"{name:12}{value}" for name, value in report.settings)]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value * PERCENT:7.2f}"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return " " * 14
    return f"{f'{low * PERCENT:.2f} .. {high * PERCENT:.2f}':16}"


def _json(report: Report, scores: Scores) -> dict[str, object]:
    """The report for programs; values are as computed, between 0 and 1 where they are shares."""
    return {
        "title": report.title,
        "task": report.task,
        "complete": report.complete,
        "items": len(report.items),
        "expected": scores.expected,
        "scores": {
            one.name: {
                "value": one.value,
                "low": one.low,
                "high": one.high,
                "published": one.published,
                "published_source": one.published_source,
            }
            for one in report.scores
        },
        "groups": [
            {"kind": one.kind, "group": one.group, "metric": one.name, "value": one.value, "items": one.count}
            for one in report.groups
        ],
        "comparison": {
            one.name: {"difference": one.difference, "low": one.low, "high": one.high, "p_value": one.p_value}
            for one in report.comparison
        },
        "problems": [problem.message for problem in scores.problems],
        "settings": dict(report.settings),
    }
