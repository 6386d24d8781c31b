"""The text beside a picture: what a trainer, an editor or a person opens next to the photo.

In: a row, and what stood there before. Out: bytes in UTF-8.

The surprising thing: there is no line end after the last line. A `.txt` is the caption and nothing else, so that tools
which take the whole file as the caption (as trainers of image generators do) get no line end with it.

A row with a caption is that caption. Answers follow, a line each: the question, a tab, the answer. A row with neither
gives its labels, a line each with their probabilities.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from pixtell.batch.output import OnExisting
from pixtell.batch.row import Row

_JOINT = ", "  # between what was there and what is added, as captions of many tags are written
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def caption_text(row: Row) -> str:
    """All that a row says, as text; empty where it says nothing."""
    lines = [row.text] if row.text else []
    lines += [f"{_cell(question)}\t{_cell(answer)}" for question, answer in row.answers]
    return "\n".join(lines or [f"{_cell(label)}\t{probability:.5g}" for label, probability in row.labels])


def _cell(text: str) -> str:
    return " ".join(text.split())


def joined(before: str, text: str, on_existing: OnExisting) -> str:
    """`text` with what was there: behind it (`append`), before it (`prepend`), or instead of it."""
    before = before.strip()
    if on_existing not in ("append", "prepend") or not before or not text:
        return text or before
    joint = "\n" if "\n" in before + text or "\t" in text else _JOINT
    return joint.join((before, text) if on_existing == "append" else (text, before))


def txt(row: Row) -> bytes | None:
    """The text file of a row, None where it says nothing."""
    return encoded(caption_text(row)) or None


def txt_onto(before: bytes, row: Row, on_existing: OnExisting) -> bytes:
    """The text file of a row whose place holds `before`."""
    return encoded(joined(_decoded(before), caption_text(row), on_existing))


def txt_holds(content: bytes) -> bool:
    """Whether a text file says anything: an empty one, which some tools leave behind, doesn't."""
    return bool(_decoded(content).strip())


def row_of_txt(content: bytes, name: str) -> Row:
    """The row that a text file holds: lines with a tab are questions and answers."""
    lines = _decoded(content).rstrip("\r\n").split("\n")
    answers = [line for line in lines if line.count("\t") == 1]
    text = "\n".join(line for line in lines if line not in answers)
    pairs = [line.partition("\t") for line in answers]
    return Row(name, text=text, answers=tuple((question, answer) for question, _, answer in pairs))


def encoded(text: str) -> bytes:
    """`text` in UTF-8, with the bytes that Python held for it where it had not been UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other surrogates, which stand for no bytes
        return text.encode("utf-8", "replace")


def _decoded(content: bytes) -> str:
    """What a person or another tool wrote; of other encodings than UTF-8 every byte is kept."""
    if content.startswith(_UTF16):
        return content.decode("utf-16", "replace")
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def name_of(path: Path) -> str:
    """What the row of a sidecar is called: its path without its ending."""
    return str(path.with_suffix(""))
