"""`pixtell caption`: a text about each photo or clip.

In: any number of inputs. Out: a line, or a JSON object, for each, as soon as its batch is done. The surprising thing:
none of the work is here; what all three answering commands do with inputs that fail stands in `batches.py`.
"""

from __future__ import annotations

from pixtell.cli import batches
from pixtell.cli.options import AsJson, Inputs, MediaOptions, ModelOptions, SearchOptions, Stream, check_stream
from pixtell.cli.output import Report

EXAMPLE = "Example:  pixtell caption photo.jpg clip.mp4 --json"


def caption(
    inputs: Inputs,
    search: SearchOptions,
    media: MediaOptions,
    model: ModelOptions,
    as_json: AsJson = False,
    stream: Stream = False,
) -> int:
    """Say what photos and clips show.

    One input gives its caption; several give a line each: the input, a tab, the caption. A bad input is told on stderr,
    the others are still answered, and the exit code is 1.
    """
    options = search.decoding(media, streams=stream)
    if stream:
        check_stream(inputs, as_json)
        return batches.stream(inputs[0], "", model, media, options)
    told = Report(as_json, sources=len(inputs) > 1)
    return batches.run(
        inputs, model, media, lambda captioner, encoded: captioner.caption(encoded, options), told.caption, told
    )
