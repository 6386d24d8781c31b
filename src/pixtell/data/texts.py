"""What is wrong with a text that people wrote, as far as a rule can tell.

In: a text, and rules. Out: the reason to drop it, or none. The surprising thing: tags in the place of names of persons
(`<PERSON>`), which CC12M has, are learnt like any word; a model that saw them writes them of every face. GIT's authors
trained their "R" models anew without such captions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pixtell.errors import InputError

# <PERSON>, </person>, [NAME], <PERSON_1>, <first-name>, {{person}}: tags that anonymising programs put.
PERSON_TAG = re.compile(
    r"[<\[{]{1,2} */? *"
    r"(?:(?:first|last|full|person)[ _-]?)?(?:person|per|people|name)s?(?:[ _-]?\d+)?"
    r" */? *[>\]}]{1,2}",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_PLAIN = re.compile(r"[\w\s'\u2019-]+")


@dataclass(frozen=True)
class WordList:
    """Words and phrases that must not appear, whole and in any case."""

    words: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    odd: re.Pattern[str] | None = None

    @classmethod
    def of(cls, entries: Iterable[str]) -> WordList:
        """From words and phrases as people write them; those with signs such as "$" are looked for as they stand."""
        plain: list[str] = []
        odd: list[str] = []
        for entry in filter(None, map(str.strip, entries)):
            (plain if _PLAIN.fullmatch(entry) else odd).append(entry)
        told = [normal(entry) for entry in plain]
        pattern = "|".join(map(re.escape, sorted(odd, key=len, reverse=True)))
        return cls(
            frozenset(text for text in told if " " not in text),
            tuple(f" {text} " for text in told if " " in text),
            re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE) if odd else None,
        )

    @classmethod
    def load(cls, path: Path) -> WordList:
        """From a file with an entry a line; lines that begin with "#" are comments. Raises `InputError`."""
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            raise InputError("missing", f"{path}: no such list of words") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("unreadable", f"{path}: can't be read as UTF-8 text ({error})") from None
        return cls.of(line for line in lines if not line.startswith("#"))

    def has(self, text: str) -> bool:
        """Whether any of them is in a text."""
        plain = normal(text)
        if not self.words.isdisjoint(plain.split(" ")) or any(phrase in f" {plain} " for phrase in self.phrases):
            return True
        return self.odd is not None and self.odd.search(text) is not None


@dataclass(frozen=True)
class TextRules:
    """What a caption may be: free of `banned` words and of tags for persons, and of `min_words` to `max_words` words.

    3 and 256 are CC12M's own limits (Changpinyo et al. 2021, section 2).
    """

    banned: WordList = WordList()
    min_words: int = 3
    max_words: int = 256

    def fault(self, text: str) -> str:
        """Why a text is dropped, whatever its length: `person`, `words`, or nothing."""
        if PERSON_TAG.search(text):
            return "person"
        return "words" if self.banned.has(text) else ""

    def caption_fault(self, text: str) -> str:
        """Why a caption is dropped: `person`, `words`, `short`, `long`, or nothing."""
        if fault := self.fault(text):
            return fault
        words = len(_WORD.findall(text))
        return "short" if words < self.min_words else "long" if words > self.max_words else ""


def normal(text: str) -> str:
    """A text's words alone, in small letters, by which texts are the same that differ in signs and spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))
