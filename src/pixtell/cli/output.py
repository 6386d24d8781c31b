"""What a person or a program reads: results on stdout, a line each, and everything else on stderr.

In: results and errors. Out: plain lines whose columns are parted by tabs, or JSON, one object a line. A column stands
there only when it tells lines apart: the input when there are several, the question when there are several.

The surprising thing: a column never holds a tab or a line's end. Names of files may, so what can't be printed becomes
a question mark; JSON carries such names whole. What is said on stderr is JSON, too, once a command has asked for that:
to the end of that command, whoever says it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any

import typer

from pixtell.errors import ConfigError, InputError, MissingExtraError, PixtellError
from pixtell.results import Answer, Caption, Classification

INTERRUPTED = 130  # the exit code after Ctrl-C: 128 + SIGINT, as shells say it
READER_GONE = 141  # 128 + SIGPIPE
DIGITS = 5  # of a number in JSON; more would be noise of the machine that computed it
_says_json: ContextVar[bool] = ContextVar("says_json", default=False)


@dataclass(frozen=True)
class Report:
    """How the results of one run are told."""

    as_json: bool = False
    sources: bool = False
    questions: bool = False

    def caption(self, caption: Caption) -> None:
        """A caption or an answer, and its alternatives, best first."""
        if self.as_json:
            put_json(_caption_object(caption))
            return
        for one in (caption, *caption.alternatives):
            self._row(caption, [one.text])

    def classification(self, found: Classification, top: int) -> None:
        """The `top` most probable labels."""
        if self.as_json:
            labels = [asdict(score) for score in found.labels[:top]]
            put_json({"source": found.source, "label": found.label, "probability": found.probability, "labels": labels})
            return
        for score in found.labels[:top]:
            self._row(found, [score.label, f"{score.probability:.4f}"])

    def failure(self, source: str, error: PixtellError) -> None:
        """An input that can't be used: a line on stderr, and an object among the others in JSON."""
        message, shown = str(error), printable(source)
        if not message.startswith(f"{shown}:"):
            message = f"{shown}: {message}"
        say(message)
        if self.as_json:
            put_json({"source": source, "error": message, "code": _code(error)})

    def _row(self, result: Caption | Classification, columns: Sequence[str]) -> None:
        question = [result.question] if self.questions and isinstance(result, Answer) else []
        source = [result.source] if self.sources else []
        put("\t".join(printable(column) for column in (*source, *question, *columns)))


def put(text: str, end: str = "\n") -> None:
    """Write to stdout at once."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        # What is left in the buffer must go somewhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(READER_GONE) from None
    except OSError as error:  # a full disk
        say(f"results can't be written to stdout: {error.strerror or error}")
        raise typer.Exit(1) from None


def put_json(content: dict[str, Any]) -> None:
    """Write one object, on one line, in ASCII: any terminal and any file name survive it."""
    put(json.dumps(_plain(content), allow_nan=False))


def say(message: str, kind: str = "message") -> None:
    """Tell the person something that is not a result; in JSON, it is called `kind`."""
    if _says_json.get():
        say_json({kind: message})
        return
    with contextlib.suppress(OSError):  # a terminal that has gone
        print(f"pixtell: {message}", file=sys.stderr, flush=True)


def say_json(content: dict[str, Any]) -> None:
    """Tell a program something that is not a result: an object, on one line of stderr."""
    with contextlib.suppress(OSError):
        print(json.dumps(_plain(content), allow_nan=False), file=sys.stderr, flush=True)


def speak_json() -> None:
    """From now on, what this command says on stderr is JSON, a line each."""
    _says_json.set(True)


def say_error(error: PixtellError) -> int:
    """Say what ends the command; returns its exit code."""
    say(str(error), "error")
    return 2 if isinstance(error, ConfigError) else 1


def printable(text: str) -> str:
    """`text` as one line of one column."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _caption_object(caption: Caption) -> dict[str, Any]:
    values = asdict(caption)
    alternatives = values.pop("alternatives")
    if "question" in values:
        values = {"source": values.pop("source"), "question": values.pop("question"), **values}
    if alternatives:
        hidden = ("source", "question", "alternatives")
        values["alternatives"] = [{k: v for k, v in other.items() if k not in hidden} for other in alternatives]
    return values


def _code(error: PixtellError) -> str:
    if isinstance(error, InputError):
        return error.code
    return "missing_extra" if isinstance(error, MissingExtraError) else "error"


def _plain(value: Any) -> Any:
    """`value` as JSON may hold it: numbers with `DIGITS` digits, null for one that is not finite."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
