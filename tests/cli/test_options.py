"""Shared options: that they are those of the library, and the defaults that depend on others."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any, get_args, get_type_hints

import pytest
import typer

from pixtell import media
from pixtell.captioner import load
from pixtell.checkpoint import convert
from pixtell.cli.options import BATCH_SIZE, CheckpointOptions, MediaOptions, ModelOptions, SearchOptions, grouped
from pixtell.config import DecodeOptions
from pixtell.errors import ConfigError


def choices(group: type, name: str) -> tuple[Any, ...]:
    return get_args(get_type_hints(group)[name])


def default(function: Any, name: str) -> Any:
    return inspect.signature(function).parameters[name].default


def test_choices_are_those_of_the_library() -> None:
    assert choices(CheckpointOptions, "pixels") == get_args(convert.Pixels)
    assert choices(MediaOptions, "sampling") == get_args(get_type_hints(media.open_media)["sampling"])
    assert choices(SearchOptions, "scoring") == get_args(get_type_hints(DecodeOptions)["scoring"])


def test_defaults_are_those_of_the_library() -> None:
    assert SearchOptions().decoding(MediaOptions()) == DecodeOptions()
    for name in ("sampling", "max_pixels"):
        assert getattr(MediaOptions(), name) == default(media.open_media, name)
    for name, value in CheckpointOptions().keywords().items():
        assert value == default(load, name) == default(convert.load_checkpoint, name)
    for name in ("device", "dtype"):
        assert getattr(ModelOptions(), name) == default(load, name)
    assert default(load, "batch_size") == BATCH_SIZE


@pytest.mark.parametrize(
    ("search", "streams", "beams"),
    [
        (SearchOptions(), False, 4),
        (SearchOptions(), True, 1),
        (SearchOptions(temperature=0.5), False, 1),
        (SearchOptions(results=7), False, 7),
        (SearchOptions(results=2), False, 4),
        (SearchOptions(beams=2, results=2), False, 2),
        (SearchOptions(temperature=0.5, results=7), False, 1),
    ],
)
def test_beams_follow_from_what_is_asked(search: SearchOptions, streams: bool, beams: int) -> None:
    assert search.decoding(MediaOptions(), streams=streams).beams == beams


def test_a_seed_is_for_the_window_or_for_the_words() -> None:
    assert SearchOptions().decoding(MediaOptions(sampling="window", seed=3)).seed is None
    assert SearchOptions(temperature=1.0).decoding(MediaOptions(sampling="window", seed=3)).seed == 3
    assert SearchOptions(temperature=1.0).decoding(MediaOptions(seed=3)).seed == 3
    with pytest.raises(ConfigError, match="only apply to sampling"):
        SearchOptions().decoding(MediaOptions(seed=3))


def test_beams_that_were_asked_for_are_not_dropped() -> None:
    with pytest.raises(ConfigError, match="use beams=1 to sample"):
        SearchOptions(beams=4, temperature=0.5).decoding(MediaOptions())


@dataclasses.dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option(help="W")] = 3
    height: Annotated[int | None, typer.Option(help="H")] = None


def test_a_group_becomes_an_option_for_each_field() -> None:
    def draw(name: Annotated[str, typer.Argument()], size: Size, bold: bool = False) -> int:
        """Draw it,
        well.

        Then stop.
        """
        return size.width * (size.height or 0) + len(name) + bold

    flat = grouped(draw)
    assert list(inspect.signature(flat).parameters) == ["name", "width", "height", "bold"]
    assert default(flat, "width") == 3
    assert flat(name="ab", width=4, height=5, bold=True) == 23
    assert (flat.__doc__ or "").startswith("Draw it, well.\n\nThen stop.")
