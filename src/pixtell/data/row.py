"""One row of a data set as its files have it: where its picture or clip lies, and everything people wrote about it.

In: what a format's reader found. Out: frozen values that hold texts and places, never bytes; and what could not be
used, each as a `Problem`.

The surprising thing: ids are strings everywhere, though COCO writes numbers, so that `391895` in one file and
`"391895"` in another are the same picture.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from pixtell.errors import InputError


@dataclass(frozen=True)
class Stored:
    """Where the bytes of a picture or clip lie: a whole file, or `size` bytes of one from `offset` on.

    `name` is what messages call it. `base64` says that the bytes are written in that alphabet (the authors' TSV).
    """

    path: Path
    name: str
    offset: int = 0
    size: int | None = None
    base64: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of frames, which `open_media` takes as it is."""
        return self.size is None and self.path.is_dir()

    def read(self) -> bytes:
        """The bytes of the picture or clip. Raises `InputError` where they can't be had, naming it."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                found = file.read(-1 if self.size is None else self.size)
        except FileNotFoundError:
            raise InputError("missing", f"{self.name}: no such file ({self.path})") from None
        except OSError as error:
            raise InputError("unreadable", f"{self.name}: {error.strerror or error} ({self.path})") from None
        except ValueError as error:  # a name that no file can have
            raise InputError("unreadable", f"{self.name}: {error}") from None
        if not self.base64:
            return found
        try:
            return base64.b64decode(found, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("broken", f"{self.name}: not base64 ({error}) in {self.path}") from None


@dataclass(frozen=True)
class Question:
    """A question and the answers people gave, none where they are withheld; the types group the scores."""

    id: str
    text: str
    answers: tuple[str, ...] = ()
    answer_type: str = ""
    question_type: str = ""


@dataclass(frozen=True)
class Row:
    """A picture or clip and what is said of it; `media` is None where only the texts were given.

    `captions` are as the files have them. `label` is the name of its class, or the word that it shows.
    """

    id: str
    media: Stored | None = None
    captions: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Problem:
    """What of a data set, or of predictions about it, can't be used while the rest can.

    `code` is a short, stable reason for programs, `where` the place or the item, `message` one line for people.
    """

    code: str
    where: str
    message: str
