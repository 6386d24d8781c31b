"""`pixtell caption`: a text about each photo or clip, on stdout or in files.

In: any number of inputs. Out: a line, or a JSON object, for each, as soon as its batch is done; or files, when any are
asked for. The surprising thing: none of the work is here. `batches.py` answers at once and keeps nothing;
`caption_job.py` writes files, keeps a journal, and goes on where it was stopped.
"""

from __future__ import annotations

from dataclasses import fields

from pixtell.cli import batches
from pixtell.cli.caption_job import Given, caption_job
from pixtell.cli.caption_options import OutputChoice, SpeedChoice, TextChoice
from pixtell.cli.options import (
    AsJson,
    InputChoice,
    Inputs,
    MediaOptions,
    ModelOptions,
    SearchOptions,
    Stream,
    check_stream,
)
from pixtell.cli.output import Report
from pixtell.errors import ConfigError

EXAMPLE = (
    "Example:  pixtell caption photo.jpg clip.mp4 --json\n\n"
    "Example:  pixtell caption photos --recursive -o captions.jsonl --sidecar txt"
)


def caption(
    inputs: Inputs,
    search: SearchOptions,
    media: MediaOptions,
    model: ModelOptions,
    find: InputChoice,
    write: OutputChoice,
    texts: TextChoice,
    speed: SpeedChoice,
    as_json: AsJson = False,
    stream: Stream = False,
) -> int:
    """Say what photos and clips show.

    One input gives its caption; several give a line each: the input, a tab, the caption. A bad input is told on stderr,
    the others are still answered, and the exit code is 1.

    With -o or --sidecar captions go to files instead, and the same command goes on where it was stopped.
    """
    if write.wanted:
        if as_json or stream:
            raise ConfigError("--json and --stream write to stdout, -o, --sidecar and --html to files: choose one")
        return caption_job(Given(inputs, find, write, texts, speed, search, media, model))
    check_plain(write, texts, speed)
    options = search.decoding(media, streams=stream)
    if stream:
        check_stream(inputs, as_json)
        return batches.stream(inputs[0], "", model, media, options)
    items = batches.listed(inputs, find.options())
    told = Report(as_json, sources=len(items) > 1)
    return batches.run(
        items, model, media, lambda captioner, encoded: captioner.caption(encoded, options), told.caption, told
    )


def check_plain(*groups: OutputChoice | TextChoice | SpeedChoice) -> None:
    """Refuse options that only make sense where files are written."""
    given = [
        f"--{one.name.replace('_', '-')}"
        for group in groups
        for one in fields(group)
        if getattr(group, one.name) != one.default
    ]
    if given:
        raise ConfigError(
            f"{', '.join(given)}: for captions that are written to files: add -o captions.jsonl or --sidecar txt"
        )
