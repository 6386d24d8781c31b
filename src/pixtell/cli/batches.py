"""Inputs become results, batch by batch, whatever happens to single inputs.

In: what the user named, a model that is loaded when first needed, and the work to be done on encoded media. Out: each
batch's results as soon as they are there, in the order of the inputs, and the exit code: 1 when any input failed.

The surprising thing: a batch that fails is done again one input at a time, so that the good ones in it are answered and
the bad one is named. Nothing slow is imported for inputs that don't exist.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pixtell.cli.options import BATCH_SIZE, MediaOptions, ModelOptions
from pixtell.cli.output import Report, put, say
from pixtell.cli.progress import State, progress
from pixtell.config import DecodeOptions
from pixtell.errors import ConfigError, InputError, MissingExtraError, PixtellError

if TYPE_CHECKING:
    from pixtell.batch.inputs import InputOptions
    from pixtell.batch.item import Item
    from pixtell.batch.row import Row
    from pixtell.captioner import Captioner, EncodedMedia
    from pixtell.media import Media

Work = Callable[["Captioner", list["EncodedMedia"]], list[Any]]
Write = Callable[[Any], None]
Load = Callable[[], "Captioner"]
FAILURES = (
    InputError,
    MissingExtraError,
)  # of an input; other errors are of the settings or the model, and end the run
MANY = 200  # inputs, from which on it is worth to keep what was done


def listed(inputs: Sequence[str], options: InputOptions) -> list[Item | Row]:
    """The photos and clips that are meant, and a row for each name that can't be used. Raises `ConfigError`."""
    from pixtell.batch.inputs import list_items

    if list(inputs).count("-") > 1:
        raise ConfigError(f"-: standard input holds one photo or clip, but is named {list(inputs).count('-')} times")
    listing = list_items(inputs, options)
    if len(listing.found) >= MANY:
        say(f"{len(listing.found):,} inputs: -o captions.jsonl keeps the captions, and goes on where it was stopped")
    return list(listing.found)


def run(
    inputs: Sequence[Item | Row], model: ModelOptions, looks: MediaOptions, work: Work, write: Write, told: Report
) -> int:
    """Do `work` on all `inputs` and `write` each result; returns the exit code.

    Raises `ConfigError` and `CheckpointError` for what is wrong with the whole run.
    """
    load = cache(model.load)
    failed = 0
    quiet = len(inputs) < 2 or not sys.stderr.isatty() or sys.stdout.isatty()
    with progress(quiet=quiet) as tell:
        size = model.batch_size or BATCH_SIZE
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            for one, outcome in zip(batch, _outcomes(batch, load, looks, work), strict=True):
                if isinstance(outcome, PixtellError):
                    failed += 1
                    told.failure(one.name, outcome)
                else:
                    write(outcome)
            tell(State(start + len(batch), len(inputs)))
    if failed and len(inputs) > 1:
        say(f"{failed} of {len(inputs)} inputs failed")
    return 1 if failed else 0


def stream(source: str, question: str, model: ModelOptions, looks: MediaOptions, options: DecodeOptions) -> int:
    """Write the text about one input piece by piece. Raises `PixtellError`."""
    from pixtell.media import open_media

    load = cache(model.load)
    media = open_media(source, **_reading(looks, load().frames))
    encoded = load().encode(media, resample_frames=looks.resample_frames)
    for piece in load().stream(encoded, question, options):
        put(piece, end="")
    put("")
    return 0


def _outcomes(batch: Sequence[Item | Row], load: Load, looks: MediaOptions, work: Work) -> list[Any]:
    """For each input its result or the error it failed with."""
    opened: list[Media | PixtellError] = []
    for one in batch:
        try:
            opened.append(_open(one, load, looks))
        except FAILURES as error:
            opened.append(error)
    good = [one for one in opened if not isinstance(one, PixtellError)]
    results = iter(_answered(good, load, looks, work))
    return [one if isinstance(one, PixtellError) else next(results) for one in opened]


def _open(one: Item | Row, load: Load, looks: MediaOptions) -> Media:
    from dataclasses import replace

    from pixtell.batch.item import File, Item
    from pixtell.media import open_media

    if not isinstance(one, Item):
        raise InputError(one.code, one.message)
    if one.frames is not None:
        return open_media(one.frames.path, **_reading(looks, load().frames))
    if isinstance(one.place, File):
        one.stamp()  # a file that is gone is told before the model is loaded
        return open_media(one.place.path, **_reading(looks, load().frames))
    try:
        return replace(open_media(one.read(), **_reading(looks, load().frames)), source=one.name)
    except InputError as error:
        raise InputError(error.code, str(error).replace("<bytes>", one.name, 1)) from None


def _reading(looks: MediaOptions, frames: int) -> dict[str, Any]:
    return {
        "frames": looks.frames or frames,
        "sampling": looks.sampling,
        "seed": looks.seed or 0,
        "respect_exif": not looks.no_exif,
        "max_pixels": looks.max_pixels,
    }


def _answered(media: Sequence[Media], load: Load, looks: MediaOptions, work: Work) -> list[Any]:
    """The results of a batch; of one that fails, those of its parts."""
    if not media:
        return []
    try:
        return work(load(), load().encode(list(media), resample_frames=looks.resample_frames))
    except FAILURES as error:
        if len(media) == 1:
            return [error]
        return [outcome for one in media for outcome in _answered([one], load, looks, work)]
