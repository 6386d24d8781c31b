"""`pixtell ask`: the answer to each question about each photo or clip.

The surprising thing: the last word is the question when none comes with -q, as one asks a person; so naming files
only is told as the slip that it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixtell.cli import batches
from pixtell.cli.options import AsJson, InputChoice, MediaOptions, ModelOptions, SearchOptions, Stream, check_stream
from pixtell.cli.output import Report
from pixtell.errors import ConfigError

if TYPE_CHECKING:
    from pixtell.captioner import Captioner, EncodedMedia

EXAMPLE = (
    "Example:  pixtell ask photo.jpg 'what is the dog doing?'\n\nExample:  pixtell ask *.jpg -q 'who?' -q 'where?'"
)

Words = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT|QUESTION",
        help="Photos, clips, folders of them, or - for standard input; then the question, unless -q gives it.",
        show_default=False,
    ),
]
Questions = Annotated[
    list[str] | None,
    typer.Option("--question", "-q", metavar="TEXT", help="A question about every input. Repeatable."),
]


def ask(
    words: Words,
    search: SearchOptions,
    media: MediaOptions,
    model: ModelOptions,
    find: InputChoice,
    question: Questions = None,
    as_json: AsJson = False,
    stream: Stream = False,
) -> int:
    """Answer questions about photos and clips.

    One question about one input gives the answer alone. Several give a line each, in columns parted by tabs: the input
    when there are several, the question when there are several, the answer. Each input is encoded once.
    """
    inputs, questions = split_words(words, question or [])
    options = search.decoding(media, streams=stream)
    if stream:
        check_stream([*inputs, *questions[1:]], as_json)
        return batches.stream(inputs[0], questions[0], model, media, options)
    items = batches.listed(inputs, find.options())
    told = Report(as_json, sources=len(items) > 1, questions=len(questions) > 1)

    def work(captioner: Captioner, encoded: list[EncodedMedia]) -> list[Any]:
        count = len(questions)
        answers = captioner.ask([medium for medium in encoded for _ in range(count)], questions * len(encoded), options)
        return [answers[start : start + count] for start in range(0, len(answers), count)]

    def write(answers: list[Any]) -> None:
        for answer in answers:
            told.caption(answer)

    return batches.run(items, model, media, work, write, told)


def split_words(words: list[str], questions: list[str]) -> tuple[list[str], list[str]]:
    """Inputs and questions. Raises `ConfigError` where one of them is missing or a file stands for a question."""
    if questions:
        inputs = words
    elif len(words) < 2:
        raise ConfigError(f"a question is missing: pixtell ask {words[0]} 'what is it?'")
    elif os.path.exists(words[-1]):
        raise ConfigError(
            f"the last word is the question, and {words[-1]!r} is a file or folder: add a question, or give it with -q"
        )
    else:
        inputs, questions = words[:-1], words[-1:]
    if not all(question.strip() for question in questions):
        raise ConfigError("a question is empty: write one, or use pixtell caption")
    return inputs, questions
