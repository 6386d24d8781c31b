"""The options of `pixtell caption` that make it a job: what is read, where rows go, what is done to texts, how fast.

In: what stands on the command line. Out: frozen groups, as in `options.py`. The surprising thing: only options that
write files make a job of it, with a journal that the same command goes on from; without any, captions go to stdout.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pixtell.cli.classify import read_labels
from pixtell.cli.options import MediaOptions, SearchOptions
from pixtell.errors import ConfigError

if TYPE_CHECKING:
    from pixtell.batch.work import Work

OUTPUTS, TEXTS, SPEED = "Files to write", "Texts", "Speed"


@dataclass(frozen=True)
class OutputChoice:
    """Where rows go."""

    output: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write rows to a .jsonl, .csv, .tsv, .parquet, .json (COCO results) or .tar file. Repeatable.",
            rich_help_panel=OUTPUTS,
        ),
    ] = None
    sidecar: Annotated[
        list[str] | None,
        typer.Option(
            metavar="txt|xmp|srt|vtt", help="Write a file beside each input. Repeatable.", rich_help_panel=OUTPUTS
        ),
    ] = None
    out_dir: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Sidecars go here, in the inputs' tree.", rich_help_panel=OUTPUTS),
    ] = None
    sidecar_name: Annotated[
        Literal["stem", "full"],
        typer.Option(help="a.jpg has the sidecar a.txt, or a.jpg.txt.", rich_help_panel=OUTPUTS),
    ] = "stem"
    on_existing: Annotated[
        Literal["skip", "overwrite", "append", "prepend", "error"],
        typer.Option(help="What becomes of outputs that are there already.", rich_help_panel=OUTPUTS),
    ] = "skip"
    html: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a page to look at and correct captions.", rich_help_panel=OUTPUTS),
    ] = None
    apply: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the edits that such a page saved.", rich_help_panel=OUTPUTS),
    ] = None
    journal: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="What is done, to go on from; beside the first output when not given.",
            rich_help_panel=OUTPUTS,
        ),
    ] = None
    shard_size: Annotated[int, typer.Option(metavar="N", min=1, help="Inputs in one tar.", rich_help_panel=OUTPUTS)] = (
        1000
    )

    @property
    def names(self) -> list[str]:
        """Outputs as `open_outputs` takes them."""
        return list(dict.fromkeys([*(self.output or []), *(self.sidecar or [])]))

    @property
    def wanted(self) -> bool:
        """Whether anything is to be written to files."""
        return bool(self.names or self.html or self.apply)

    def journal_path(self, inputs: list[str]) -> tuple[Path, bool]:
        """Where the journal lies: as asked, beside the first file, in the folder of sidecars, or in that of inputs.

        One that is there beside another of the outputs is gone on with, whichever is named first now; the second value
        says so.
        """
        if self.journal:
            return Path(self.journal), False
        places = [Path(f"{file}.journal") for file in [*(self.output or []), *([self.html] if self.html else [])]]
        if self.sidecar or not places:
            places.append(Path(self.out_dir or folder_of(inputs[0])) / ".pixtell.journal")
        there = next((place for place in places if place.is_file()), places[0])
        return there, there != places[0]


def folder_of(named: str) -> str:
    """The folder that an input lies in: a file's or a list's own, the one that a pattern begins with, or this one."""
    from pixtell.batch.fetch import is_address
    from pixtell.batch.folders import fixed_part, is_pattern

    path = named.removeprefix("@")
    if is_address(named) or path == "-":
        return "."
    if os.path.isdir(path):
        return path
    if is_pattern(path) and not os.path.lexists(path):
        path = fixed_part(path)
    return os.path.dirname(path) or "."


@dataclass(frozen=True)
class TextChoice:
    """What is asked, and what is done to texts."""

    prefix: Annotated[
        str, typer.Option(metavar="WORDS", help="Put in front of each caption.", rich_help_panel=TEXTS)
    ] = ""
    suffix: Annotated[str, typer.Option(metavar="WORDS", help="Put behind each caption.", rich_help_panel=TEXTS)] = ""
    trigger: Annotated[
        str, typer.Option(metavar="WORDS", help="Put in front of all, with a comma.", rich_help_panel=TEXTS)
    ] = ""
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Exchange a word or phrase. Repeatable.", rich_help_panel=TEXTS),
    ] = None
    strip_openings: Annotated[
        bool, typer.Option("--strip-openings", help="Leave out 'a photo of' and its like.", rich_help_panel=TEXTS)
    ] = False
    min_score: Annotated[
        float | None,
        typer.Option(metavar="X", help="Set aside captions with a lower mean log-probability.", rich_help_panel=TEXTS),
    ] = None
    ask: Annotated[
        list[str] | None,
        typer.Option(metavar="QUESTION", help="Also answer this about each input. Repeatable.", rich_help_panel=TEXTS),
    ] = None
    classify: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Also choose among labels. Repeatable.", rich_help_panel=TEXTS),
    ] = None
    labels: Annotated[
        str | None, typer.Option(metavar="FILE", help="Labels from a file, one a line.", rich_help_panel=TEXTS)
    ] = None
    no_caption: Annotated[bool, typer.Option("--no-caption", help="Only answer and choose.", rich_help_panel=TEXTS)] = (
        False
    )
    every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Caption clips in windows of this length, as 10s.", rich_help_panel=TEXTS),
    ] = None

    def window(self) -> float:
        """Seconds of a window that clips are cut into, 0 when they are not. Raises `ConfigError`."""
        from pixtell.batch.clips import parse_length

        if not self.every:
            return 0.0
        if self.ask or self.classify or self.labels or self.no_caption:
            raise ConfigError("--every captions the windows of clips: it doesn't go with --ask, --classify or --labels")
        return parse_length(self.every)

    def work(self, search: SearchOptions, media: MediaOptions) -> Work:
        """What the model is asked. Raises `ConfigError` and, for the file of labels, `InputError`."""
        from pixtell.batch.controls import Controls, parse_replacements
        from pixtell.batch.work import Work

        return Work(
            decoding=search.decoding(media),
            captions=not self.no_caption,
            questions=tuple(self.ask or ()),
            labels=(*(self.classify or ()), *(read_labels(self.labels) if self.labels else ())),
            controls=Controls(
                self.prefix, self.suffix, self.trigger, parse_replacements(self.replace or []), self.strip_openings
            ),
            min_score=self.min_score,
            resample_frames=media.resample_frames,
        )


@dataclass(frozen=True)
class SpeedChoice:
    """How a job uses the machine."""

    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Processes that open pictures ahead of the model.", rich_help_panel=SPEED
        ),
    ] = None
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="A model on each, as cuda:0,cuda:1; all GPUs when not given.", rich_help_panel=SPEED
        ),
    ] = None
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Open JPEGs whole, not at a smaller scale near the model's.", rich_help_panel=SPEED
        ),
    ] = False
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first input that fails.", rich_help_panel=SPEED)
    ] = False
    json_progress: Annotated[
        bool,
        typer.Option(
            "--json-progress", help="Tell progress, and all that is said, as JSON lines.", rich_help_panel=SPEED
        ),
    ] = False
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster.", rich_help_panel=SPEED)
    ] = "local"
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The Ray cluster to join; one is begun on this machine when not given.",
            rich_help_panel=SPEED,
        ),
    ] = None

    @property
    def on_ray(self) -> bool:
        """Whether a Ray cluster does the work. Raises `ConfigError` for options that don't go with that."""
        if self.engine == "ray" and (self.devices or self.workers is not None):
            raise ConfigError("--devices and --workers are this machine's: --engine ray takes what the cluster has")
        if self.engine != "ray" and self.ray_address:
            raise ConfigError("--ray-address: needs --engine ray")
        return self.engine == "ray"

    def device_list(self) -> list[str]:
        """The devices named. Raises `ConfigError` for an empty one."""
        named = [device.strip() for device in (self.devices or "").split(",")] if self.devices else []
        if not all(named):
            raise ConfigError(f"--devices {self.devices!r}: name devices with commas between, as cuda:0,cuda:1")
        return named
