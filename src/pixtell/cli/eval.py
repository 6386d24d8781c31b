"""`pixtell eval`: predict, then score; the two commands in one.

In: a data set with references and a model. Out: scores, and the predictions file that they are of. The surprising
thing: nothing is done here that the two commands don't do; a run that was stopped goes on with the same command.
"""

from __future__ import annotations

import re
from typing import Annotated

import typer

from pixtell.cli.eval_options import DataOptions, PublishedModelOptions, RunOptions, ScoreOptions, Sources
from pixtell.cli.options import AsJson, MediaOptions, SearchOptions
from pixtell.cli.output import say
from pixtell.cli.predict import open_data, predict_to
from pixtell.cli.score import score_and_tell
from pixtell.config import BUNDLED

EXAMPLE = "Example:  pixtell eval val-000.tar --html report.html"

Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="The predictions; named by data and model when not given."),
]


def eval(
    sources: Sources,
    data: DataOptions,
    run: RunOptions,
    scores: ScoreOptions,
    search: SearchOptions,
    media: MediaOptions,
    model: PublishedModelOptions,
    output: Output = None,
    as_json: AsJson = False,
) -> int:
    """Predict a text for every item of a data set, and score the texts.

    The predictions stay in a file; the same command goes on from it where it was stopped, and pixtell score scores it
    again.
    """
    dataset = open_data(sources, data)
    path = output or default_output(dataset.name, model.model)
    say(f"{path}: the predictions")
    predictions = predict_to(path, dataset, sources, data, run, search, media, model)
    return score_and_tell(predictions, dataset, data, scores, as_json)


def default_output(data: str, model: str | None) -> str:
    """A name that tells data and model, in the current folder."""
    name = f"{data}.{(model or BUNDLED).rstrip('/').split('/')[-1]}"
    return re.sub(r"[^\w.+-]+", "-", name) + ".predictions.jsonl"
