"""Inputs become results, batch by batch, whatever happens to single inputs.

In: what the user named, a model that is loaded when first needed, and the work to be done on encoded media. Out: each
batch's results as soon as they are there, in the order of the inputs, and the exit code: 1 when any input failed.

The surprising thing: a batch that fails is done again one input at a time, so that the good ones in it are answered and
the bad one is named. Nothing slow is imported for inputs that don't exist.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pixtell.cli.options import MediaOptions, ModelOptions
from pixtell.cli.output import Report, progress, put, say
from pixtell.config import DecodeOptions
from pixtell.errors import ConfigError, InputError, MissingExtraError, PixtellError

if TYPE_CHECKING:
    from pixtell.captioner import Captioner, EncodedMedia
    from pixtell.media import Media

Work = Callable[["Captioner", list["EncodedMedia"]], list[Any]]
Write = Callable[[Any], None]
Load = Callable[[], "Captioner"]
FAILURES = (
    InputError,
    MissingExtraError,
)  # of an input; other errors are of the settings or the model, and end the run


def run(inputs: Sequence[str], model: ModelOptions, looks: MediaOptions, work: Work, write: Write, told: Report) -> int:
    """Do `work` on all `inputs` and `write` each result; returns the exit code.

    Raises `ConfigError` and `CheckpointError` for what is wrong with the whole run.
    """
    check_inputs(inputs)
    load = cache(model.load)
    failed = 0
    with progress(len(inputs)) as advance:
        for start in range(0, len(inputs), model.batch_size):
            batch = inputs[start : start + model.batch_size]
            for source, outcome in zip(batch, _outcomes(batch, load, looks, work), strict=True):
                if isinstance(outcome, PixtellError):
                    failed += 1
                    told.failure(source, outcome)
                else:
                    write(outcome)
            advance(len(batch))
    if failed and len(inputs) > 1:
        say(f"{failed} of {len(inputs)} inputs failed")
    return 1 if failed else 0


def stream(source: str, question: str, model: ModelOptions, looks: MediaOptions, options: DecodeOptions) -> int:
    """Write the text about one input piece by piece. Raises `PixtellError`."""
    load = cache(model.load)
    media = _open(source, load, looks)
    encoded = load().encode(media, resample_frames=looks.resample_frames)
    for piece in load().stream(encoded, question, options):
        put(piece, end="")
    put("")
    return 0


def check_inputs(inputs: Sequence[str]) -> None:
    """Refuse standard input named more than once."""
    if list(inputs).count("-") > 1:
        raise ConfigError(f"-: standard input holds one photo or clip, but is named {list(inputs).count('-')} times")


def _outcomes(batch: Sequence[str], load: Load, looks: MediaOptions, work: Work) -> list[Any]:
    """For each input its result or the error it failed with."""
    opened: list[Media | PixtellError] = []
    for source in batch:
        try:
            opened.append(_open(source, load, looks))
        except FAILURES as error:
            opened.append(error)
    good = [one for one in opened if not isinstance(one, PixtellError)]
    results = iter(_answered(good, load, looks, work))
    return [one if isinstance(one, PixtellError) else next(results) for one in opened]


def _open(source: str, load: Load, looks: MediaOptions) -> Media:
    from pixtell.media import open_media

    there = source == "-" or os.path.exists(source)
    frames = looks.frames or (load().frames if there else 1)
    return open_media(
        source,
        frames=frames,
        sampling=looks.sampling,
        seed=looks.seed or 0,
        respect_exif=not looks.no_exif,
        max_pixels=looks.max_pixels,
    )


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
