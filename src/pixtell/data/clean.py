"""A data set without what spoils a training: tags for persons, offensive words, useless lengths, and everything twice.

In: the rows of a data set, and rules. Out: rows with the texts that are left, and a `CleanReport` with the count and
some examples of every reason. Nothing is changed within a text.

The surprising thing: a text is a duplicate only when many pictures share it. "A man riding a wave" is true of a hundred
photos; a text that stands under a thousand is about none of them.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from pixtell.data.dataset import Dataset
from pixtell.data.duplicates import NEAR, Likenesses, look_hash
from pixtell.data.opened import FAILURES, Looks, open_source
from pixtell.data.row import Problem, Question, Row
from pixtell.data.texts import TextRules, normal
from pixtell.data.workers import DIED, in_order
from pixtell.errors import ConfigError, InputError

EXAMPLES = 5  # of each reason
AHEAD = 16  # pictures that each process may have ready or under way
LEAST_SIDE = 64  # pixels at which a JPEG is decoded to be compared

# Every reason, in the order in which they are looked at, and what it counts.
REASONS = {
    "person": "texts with a tag for a person's name",
    "words": "texts with a word of the list",
    "short": "captions that are too short",
    "long": "captions that are too long",
    "repeated": "captions that their picture has already",
    "broken": "pictures that can't be opened",
    "same": "pictures that are there already",
    "alike": "pictures that look like one that is there",
    "common": "captions that too many pictures have",
    "bare": "pictures of which no text is left",
}


@dataclass(frozen=True)
class CleanOptions:
    """What is dropped. `near` is how many of 128 bits may differ in pictures that look alike; `same_text` how many
    pictures may share a caption (10 is ALIGN's limit; Jia et al. 2021, section 3). Without `pictures` none is opened.
    """

    texts: TextRules = field(default_factory=TextRules)
    near: int = NEAR
    same_text: int = 10
    pictures: bool = True

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.near <= 32:
            problems.append(f"near must be in 0..32 (of 128 bits), got {self.near}")
        if self.same_text < 1:
            problems.append(f"same_text must be at least 1, got {self.same_text}")
        if not 0 <= self.texts.min_words <= self.texts.max_words:
            problems.append(f"min_words {self.texts.min_words} must be in 0..max_words, {self.texts.max_words}")
        if problems:
            raise ConfigError.listing("clean", problems)


@dataclass(frozen=True)
class Dropped:
    """One thing that was dropped: the row, and the text or the row that it is like."""

    row: str
    what: str


@dataclass
class CleanReport:
    """How many of each reason were dropped, with the first examples, and what is left."""

    rows: int = 0
    texts: int = 0
    rows_left: int = 0
    texts_left: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Dropped]] = field(default_factory=dict)

    def drop(self, reason: str, row: str, what: str) -> None:
        """Note that something was dropped."""
        self.counts[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(Dropped(row, what))


@dataclass(frozen=True)
class Print:
    """By what a picture is known: the digest of its bytes, and the bits of how it looks."""

    sha256: bytes
    look: int | None


def clean_rows(
    dataset: Dataset, options: CleanOptions, report: CleanReport, workers: int, tell: Callable[[int], None]
) -> Iterator[Row]:
    """The rows that are left, in order. `report` is filled on the way; `tell` is told how many rows are done."""
    if not any(row.media for row in dataset.rows):
        raise InputError("no_pictures", f"{dataset.name}: nothing is said of where its pictures lie: name the folder")
    report.rows, report.texts = len(dataset.rows), sum(map(_count, dataset.rows))
    pictures, shared = _Pictures(options.near), Counter[str]()
    rows = (row for row in (_with_good_texts(row, options.texts, report) for row in dataset.rows))
    work = take_print if options.pictures else _no_print
    with closing(in_order(work, rows, workers if options.pictures else 0, AHEAD * workers, _crashed)) as found:
        for done, (row, outcome) in enumerate(found, 1):
            tell(done)
            if not _count(row) or not pictures.is_new(row, outcome, report):
                continue
            row = _without_common(row, shared, options.same_text, report)
            if _count(row):
                report.rows_left += 1
                report.texts_left += _count(row)
                yield row


def take_print(row: Row) -> Print | Problem | None:
    """By what a row's picture is known; None for a row of which nothing is left."""
    if not _count(row):
        return None
    try:
        if row.media is None:
            raise InputError("missing", f"{row.id}: nothing is said of where its picture lies")
        if row.media.is_folder:
            return None  # frames of a clip: compared with nothing
        content = row.media.read()
        media = open_source(io.BytesIO(content), row.id, Looks(), LEAST_SIDE)
    except FAILURES as error:
        return Problem(error.code if isinstance(error, InputError) else "missing_extra", row.id, str(error))
    return Print(hashlib.sha256(content).digest(), look_hash(media.frames[0]))


def _no_print(row: Row) -> Print | Problem | None:
    return None


def _crashed(row: Row) -> Print | Problem | None:
    return Problem("crashed", row.id, f"{row.id}: {DIED}")


class _Pictures:
    """The pictures that are left so far."""

    def __init__(self, near: int) -> None:
        self._names: dict[bytes, str] = {}
        self._likenesses = Likenesses(near)

    def is_new(self, row: Row, found: Print | Problem | None, report: CleanReport) -> bool:
        """Whether a row's picture can be used and isn't there; it is from now on."""
        if isinstance(found, Problem):
            report.drop("broken", row.id, found.message)
            return False
        if found is None:
            return True
        if same := self._names.get(found.sha256):
            report.drop("same", row.id, same)
            return False
        if found.look is not None:
            if alike := self._likenesses.find(found.look):
                report.drop("alike", row.id, alike)
                return False
            self._likenesses.add(found.look, row.id)
        self._names[found.sha256] = row.id
        return True


def _with_good_texts(row: Row, rules: TextRules, report: CleanReport) -> Row:
    """The row with the texts that break no rule."""
    captions: dict[str, str] = {}
    for caption in row.captions:
        told = normal(caption)
        fault = rules.caption_fault(caption) or ("repeated" if told in captions else "")
        if fault:
            report.drop(fault, row.id, caption)
        else:
            captions[told] = caption
    questions = tuple(good for one in row.questions if (good := _good_question(one, row.id, rules, report)))
    label = row.label
    if label and (fault := rules.fault(label)):
        report.drop(fault, row.id, label)
        label = ""
    left = replace(row, captions=tuple(captions.values()), questions=questions, label=label)
    if not _count(left):
        report.drop("bare", row.id, (*row.captions, *(one.text for one in row.questions), row.label)[0])
    return left


def _good_question(question: Question, row: str, rules: TextRules, report: CleanReport) -> Question | None:
    """The question with the answers that break no rule; None where it breaks one itself, or all of them do."""
    if fault := rules.fault(question.text):
        report.drop(fault, row, question.text)
        return None
    answers = tuple(answer for answer in question.answers if not rules.fault(answer))
    if question.answers and not answers:
        report.drop(rules.fault(question.answers[0]), row, f"{question.text} {question.answers[0]}")
        return None
    return replace(question, answers=answers)


def _without_common(row: Row, shared: Counter[str], most: int, report: CleanReport) -> Row:
    """The row without captions that `most` pictures before it have."""
    captions = []
    for caption in row.captions:
        told = normal(caption)
        shared[told] += 1
        if shared[told] > most:
            report.drop("common", row.id, caption)
        else:
            captions.append(caption)
    left = replace(row, captions=tuple(captions))
    if not _count(left):
        report.drop("bare", row.id, row.captions[0])
    return left


def _count(row: Row) -> int:
    """How many texts a row has."""
    return len(row.captions) + len(row.questions) + bool(row.label)


def told(report: CleanReport) -> str:
    """The report for people."""
    lines = [
        f"{report.rows_left:,} of {report.rows:,} pictures and {report.texts_left:,} of {report.texts:,} texts are left"
    ]
    for reason, words in REASONS.items():
        if count := report.counts[reason]:
            lines += ["", f"{words}: {count:,}"]
            lines += [f"  {one.row}: {one.what}" for one in report.examples[reason]]
    return "\n".join(lines)
