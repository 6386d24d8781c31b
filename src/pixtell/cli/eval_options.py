"""The options of the commands that evaluate: which data, how a run begins or goes on, and what is told of its scores.

In: what stands on the command line. Out: frozen groups, as in `options.py`. The surprising thing: `--preset` means two
things here, since both go together: `paper` asks for the settings of published numbers, a released model's name says
what a path holds, and `paper:NAME` is both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

import typer

from pixtell.cli.options import FILES, MediaOptions, ModelOptions, SearchOptions
from pixtell.config import DecodeOptions
from pixtell.errors import ConfigError

DATA, RUN, SCORES = "Data", "Run", "Scores"
PAPER = "paper"

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="A data set: one or more tars, JSON, JSONL or TSV files, or a folder; files of one data set are joined.",
        show_default=False,
    ),
]
References = Annotated[
    list[str],
    typer.Argument(metavar="REFERENCES", help="The data set that the texts are about.", show_default=False),
]


@dataclass(frozen=True)
class DataOptions:
    """Which rows of a data set, and where their pictures lie."""

    task: Annotated[
        Literal["caption", "question", "classify", "scene-text"] | None,
        typer.Option(help="What to predict; found out from the data when not given.", rich_help_panel=DATA),
    ] = None
    pictures: Annotated[
        str | None,
        typer.Option(
            "--media", metavar="FOLDER", help="Where pictures or clips lie that files only name.", rich_help_panel=DATA
        ),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The part of a file that holds several.", rich_help_panel=DATA),
    ] = None


@dataclass(frozen=True)
class RunOptions:
    """How much is predicted, and what becomes of a file that is there."""

    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Only the first rows, to try things out.", rich_help_panel=RUN),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew where a file is there.", rich_help_panel=RUN)
    ] = False
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try inputs again that had failed.", rich_help_panel=RUN)
    ] = False


@dataclass(frozen=True)
class ScoreOptions:
    """What is scored and how it is told."""

    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METEOR|SPICE", help="Add a metric of the official jars. Repeatable.", rich_help_panel=SCORES
        ),
    ] = None
    spice_jars: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where SPICE's CoreNLP jars lie.", rich_help_panel=SCORES)
    ] = None
    cider_frequencies: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Document frequencies, instead of those of the references.", rich_help_panel=SCORES
        ),
    ] = None
    compare: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Another predictions file, to test the difference.", rich_help_panel=SCORES),
    ] = None
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a report page, pictures inside.", rich_help_panel=SCORES)
    ] = None
    export: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write captions as COCO result JSON, answers as EvalAI's VQA JSON.",
            rich_help_panel=SCORES,
        ),
    ] = None


@dataclass(frozen=True)
class PublishedModelOptions(ModelOptions):
    """A model to be loaded, perhaps with the settings of its published numbers."""

    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="paper: decode and show pictures as for published numbers. A released model's name: what a path "
            "holds. paper:NAME: both.",
            rich_help_panel=FILES,
        ),
    ] = None

    @property
    def paper(self) -> bool:
        return self.preset == PAPER or (self.preset or "").startswith(f"{PAPER}:")

    def plain(self) -> ModelOptions:
        """The model without `paper`."""
        values = {one.name: getattr(self, one.name) for one in fields(ModelOptions)}
        preset = (self.preset or "").removeprefix(PAPER).removeprefix(":") if self.paper else self.preset
        return ModelOptions(**{**values, "preset": preset or None})

    def decoding(self, search: SearchOptions, media: MediaOptions) -> DecodeOptions:
        """How texts are searched for. Raises `ConfigError` for options that published settings leave no choice of."""
        if search.results != 1:
            raise ConfigError(f"--results {search.results}: an evaluation is of one text for each item")
        if not self.paper:
            return search.decoding(media)
        from pixtell.evaluation.presets import DECODING

        changed = [
            f"--{one.name.replace('_', '-')} {getattr(search, one.name)}"
            for one in fields(SearchOptions)
            if getattr(search, one.name) != one.default
        ]
        if self.pixels == "hub":
            changed.append("--pixels hub")
        if changed:
            raise ConfigError(f"--preset paper settles decoding and pixels: leave out {', '.join(changed)}")
        return replace(DECODING)
