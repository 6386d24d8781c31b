"""The options that commands share, each written once.

A group of options is a frozen dataclass whose fields are annotated for typer. A command takes whole groups as
parameters, and `grouped` turns such a command into one that typer understands.

The surprising thing: some defaults depend on other options, so they are None here. Sampling and streaming settle words
one by one and mean one beam; several results need as many beams.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from pixtell.cli.output import say
from pixtell.config import BUNDLED, DecodeOptions
from pixtell.errors import ConfigError

if TYPE_CHECKING:
    from pixtell.batch.inputs import InputOptions
    from pixtell.captioner import Captioner

BEAMS = DecodeOptions().beams
BATCH_SIZE = 8  # when not given; a folder's job finds out more (`batch.devices.automatic_batch_size`)

MODEL, INPUTS, FRAMES, SEARCH, FILES = "Model", "Inputs", "Frames", "Search", "Model files"

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Photos, clips, folders of them, or - for standard input.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object a line, failed inputs too.")]
Stream = Annotated[bool, typer.Option("--stream", help="Write words as they are found; one input, one beam.")]
CacheDir = Annotated[
    str | None, typer.Option(help="Where the hub's files are kept.", metavar="FOLDER", rich_help_panel=FILES)
]


@dataclass(frozen=True)
class CheckpointOptions:
    """How a model's files are found and read."""

    preset: Annotated[
        str | None,
        typer.Option(help="Which released model a path holds.", metavar="NAME", rich_help_panel=FILES),
    ] = None
    pixels: Annotated[
        Literal["auto", "authors", "hub"],
        typer.Option(
            help="How a released model is shown pictures: as its authors did, or as the hub's files say.",
            rich_help_panel=FILES,
        ),
    ] = "auto"
    vocab: Annotated[
        str | None,
        typer.Option(help="A vocab.txt, for a model that lacks one.", metavar="FILE", rich_help_panel=FILES),
    ] = None
    revision: Annotated[
        str | None, typer.Option(help="A branch, tag or commit on the hub.", metavar="NAME", rich_help_panel=FILES)
    ] = None
    cache_dir: CacheDir = None
    offline: Annotated[bool, typer.Option("--offline", help="Use the network for nothing.", rich_help_panel=FILES)] = (
        False
    )

    def keywords(self) -> dict[str, Any]:
        """As `load_checkpoint` and `pixtell.load` take them."""
        return {field.name: getattr(self, field.name) for field in fields(CheckpointOptions)}


@dataclass(frozen=True)
class _Answering:
    """Which model answers, and where and how it computes. (Apart, so that help shows it before the model's files.)"""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help=f"A folder, a name on the hub, or a name from 'pixtell models'; {BUNDLED} when not given.",
            rich_help_panel=MODEL,
        ),
    ] = None
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", metavar="NAME", rich_help_panel=MODEL)
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16", "int8"],
        typer.Option(
            help="What the model computes in; int8 is quickest on x86, its texts are not always those of float32.",
            rich_help_panel=MODEL,
        ),
    ] = "auto"
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Inputs that share a pass; found out when not given.", rich_help_panel=MODEL
        ),
    ] = None


@dataclass(frozen=True)
class ModelOptions(CheckpointOptions, _Answering):
    """A model to be loaded."""

    def load(self) -> Captioner:
        """Load the model, and say once what it is when nobody chose it."""
        if self.model is None:
            say(
                f"{BUNDLED} answers, a small model for trying things out; name a serious one for serious work, "
                "as in --model microsoft/git-large-coco (see pixtell models)"
            )
        return self.load_on(self.device)

    def load_on(self, device: str) -> Captioner:
        """Load the model on a device."""
        from pixtell.captioner import load

        return load(self.model, device, self.dtype, batch_size=self.batch_size or BATCH_SIZE, **self.keywords())


@dataclass(frozen=True)
class InputChoice:
    """How inputs are found."""

    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders within folders.", rich_help_panel=INPUTS)
    ] = False
    as_clip: Annotated[
        bool,
        typer.Option("--as-clip", help="A folder is one clip, its pictures are the frames.", rich_help_panel=INPUTS),
    ] = False
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The column of tables that holds paths or bytes.", rich_help_panel=INPUTS),
    ] = None
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch http and https addresses.", rich_help_panel=INPUTS)
    ] = False

    def options(self, outputs: tuple[str, ...] = ()) -> InputOptions:
        """As `list_items` takes them; `outputs` are files of ours that are never inputs."""
        from pixtell.batch.inputs import InputOptions

        return InputOptions(
            recursive=self.recursive,
            folder_is_clip=self.as_clip,
            column=self.column,
            allow_urls=self.allow_urls,
            outputs=outputs,
        )


@dataclass(frozen=True)
class MediaOptions:
    """Which frames of a clip are looked at, and how pictures are opened."""

    frames: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Frames taken of a clip; as many as the model knows when not given.",
            rich_help_panel=FRAMES,
        ),
    ] = None
    sampling: Annotated[
        Literal["uniform", "window"],
        typer.Option(
            help="Frames spread over the whole clip, or over a random window of it as in the hub's examples.",
            rich_help_panel=FRAMES,
        ),
    ] = "uniform"
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Decides what is random: the window, or sampled words.", rich_help_panel=FRAMES
        ),
    ] = None
    resample_frames: Annotated[
        bool,
        typer.Option(
            "--resample-frames",
            help="Allow more frames than the model has embeddings for, stretching those.",
            rich_help_panel=FRAMES,
        ),
    ] = False
    no_exif: Annotated[
        bool, typer.Option("--no-exif", help="Don't turn pictures as their files say.", rich_help_panel=FRAMES)
    ] = False
    max_pixels: Annotated[
        int, typer.Option(metavar="N", min=1, help="Refuse larger pictures.", rich_help_panel=FRAMES)
    ] = 40_000_000


@dataclass(frozen=True)
class SearchOptions:
    """How text is searched for."""

    beams: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help=f"Texts kept in the search; {BEAMS} when not given, 1 (greedy) to sample or stream.",
            rich_help_panel=SEARCH,
        ),
    ] = None
    max_new_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="Longest text, in word pieces.", rich_help_panel=SEARCH)
    ] = DecodeOptions.max_new_tokens
    min_new_tokens: Annotated[int, typer.Option(metavar="N", min=0, help="Shortest text.", rich_help_panel=SEARCH)] = 0
    results: Annotated[
        int,
        typer.Option(
            "-n",
            "--results",
            metavar="N",
            min=1,
            help="Texts given for each input, best first.",
            rich_help_panel=SEARCH,
        ),
    ] = 1
    ban: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS", help="A word or phrase that must not appear. Repeatable.", rich_help_panel=SEARCH
        ),
    ] = None
    choice: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Say this text or another choice, nothing else. Repeatable.", rich_help_panel=SEARCH
        ),
    ] = None
    start_with: Annotated[
        str, typer.Option(metavar="WORDS", help="The text goes on from these words.", rich_help_panel=SEARCH)
    ] = ""
    no_text: Annotated[
        bool,
        typer.Option("--no-text", help="Don't read out writing, which is often made up.", rich_help_panel=SEARCH),
    ] = False
    no_repeat_ngram: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Never repeat so many pieces in a row; 0 allows it.", rich_help_panel=SEARCH
        ),
    ] = 0
    scoring: Annotated[
        Literal["authors", "transformers"], typer.Option(help="Whose beam search.", rich_help_panel=SEARCH)
    ] = "authors"
    length_penalty: Annotated[
        float, typer.Option(metavar="X", help="Above 0 favours longer texts.", rich_help_panel=SEARCH)
    ] = DecodeOptions.length_penalty
    temperature: Annotated[
        float,
        typer.Option(
            metavar="X", min=0.0, help="Above 0 samples: 1 as the model feels, less is tamer.", rich_help_panel=SEARCH
        ),
    ] = 0.0
    top_k: Annotated[
        int, typer.Option(metavar="N", min=0, help="Sample from the k best pieces; 0 from all.", rich_help_panel=SEARCH)
    ] = 0
    top_p: Annotated[
        float, typer.Option(metavar="X", help="Sample from the best that hold this share.", rich_help_panel=SEARCH)
    ] = 1.0

    def decoding(self, media: MediaOptions, *, streams: bool = False) -> DecodeOptions:
        """The `DecodeOptions` meant. Raises `ConfigError` listing what can't hold together."""
        greedy = streams or self.temperature > 0
        spent_on_window = media.sampling == "window" and not self.temperature
        return DecodeOptions(
            max_new_tokens=self.max_new_tokens,
            min_new_tokens=self.min_new_tokens,
            beams=self.beams or (1 if greedy else max(BEAMS, self.results)),
            length_penalty=self.length_penalty,
            scoring=self.scoring,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=None if spent_on_window else media.seed,
            results=self.results,
            banned=tuple(self.ban or ()),
            no_repeat_ngram=self.no_repeat_ngram,
            choices=tuple(self.choice or ()),
            start_with=self.start_with,
            no_text=self.no_text,
        )


def check_stream(inputs: Sequence[str], as_json: bool) -> None:
    """Refuse to stream more than one plain text."""
    if as_json or len(inputs) != 1:
        raise ConfigError("--stream writes one plain text: give one input, one question and no --json")


def grouped(command: Callable[..., int]) -> Callable[..., int]:
    """Turn a command with groups of options into one with an option for each of their fields."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if is_dataclass(hint) and isinstance(hint, type)}
    flat: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            flat.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))
            continue
        field_hints = get_type_hints(groups[name], include_extras=True)
        flat += [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=field_hints[f.name])
            for f in fields(groups[name])
        ]

    @wraps(command)
    def ungrouped(**values: Any) -> int:
        built = {name: group(**{f.name: values.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        return command(**values, **built)

    # typer keeps the line ends of a paragraph, which help can't use.
    paragraphs = (command.__doc__ or "").split("\n\n")
    ungrouped.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    ungrouped.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    ungrouped.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return ungrouped
