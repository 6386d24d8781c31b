"""`pixtell classify`: which of the given labels fits each photo or clip best.

In: inputs, and labels as options or lines of a file. Out: the best labels of each input with their probabilities. The
surprising thing: those are among the labels given, so they add up to 1 even when none of them fits.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pixtell.cli import batches
from pixtell.cli.options import AsJson, InputChoice, Inputs, MediaOptions, ModelOptions
from pixtell.cli.output import Report
from pixtell.errors import ConfigError, InputError

EXAMPLE = (
    "Example:  pixtell classify photo.jpg --label dog --label cat\n\n"
    "Example:  pixtell classify *.jpg --labels names.txt"
)

Labels = Annotated[list[str] | None, typer.Option("--label", "-l", metavar="TEXT", help="One label. Repeatable.")]
LabelFile = Annotated[
    str | None, typer.Option("--labels", metavar="FILE", help="Labels from a file, one a line; - is standard input.")
]
Question = Annotated[
    str, typer.Option("--question", "-q", metavar="TEXT", help="Score the labels as answers to this question.")
]
Top = Annotated[int, typer.Option(metavar="N", min=1, help="How many labels are told, most probable first.")]


def classify(
    inputs: Inputs,
    media: MediaOptions,
    model: ModelOptions,
    find: InputChoice,
    label: Labels = None,
    labels: LabelFile = None,
    top: Top = 5,
    question: Question = "",
    as_json: AsJson = False,
) -> int:
    """Choose among labels for photos and clips.

    The model scores the text of every label. A line for each of the best ones: the input when there are several, the
    label, its probability among the labels given, parted by tabs.
    """
    if labels == "-" and "-" in inputs:
        raise ConfigError("-: standard input can't hold both the labels and an input")
    chosen = [*(label or []), *(read_labels(labels) if labels is not None else [])]
    if not chosen:
        raise ConfigError("labels are missing: give --label dog --label cat, or --labels FILE")
    items = batches.listed(inputs, find.options())
    told = Report(as_json, sources=len(items) > 1)
    return batches.run(
        items,
        model,
        media,
        lambda captioner, encoded: captioner.classify(encoded, chosen, question=question),
        lambda found: told.classification(found, top),
        told,
    )


def read_labels(path: str) -> list[str]:
    """The lines of a file that are not blank. Raises `InputError` when it can't be read."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise InputError("missing" if missing else "unreadable", f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError("text", f"{path}: the labels are not UTF-8 text (byte {error.start})") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError("empty", f"{path}: it holds no labels; write one a line")
    return found
