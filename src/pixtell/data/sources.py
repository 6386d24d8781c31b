"""Where examples come from: the rows of a data set that a model can learn from, by number, in any order.

In: a data set as `open_dataset` gives it. Out: examples, so that a training can go on from any step. Texts are cleaned
as they are learnt; pictures are read when they are asked for.

The surprising thing: everything is learnt as a text after a prompt. A class is learnt as its name, a picture of a word
as the word, both like captions; a row that has captions or questions as well is learnt by those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.example import Example, TextPair
from pixtell.data.row import Question, Row, Stored
from pixtell.errors import InputError


class RowSource:
    """The rows of a data set that have a picture or clip and something to learn: `len`, and `source[number]`.

    `unused` is how many rows had not. Raises `InputError` (`empty`) when there is nothing to learn from.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.name = dataset.name
        self._rows = [(row, row.media) for row in dataset.rows if row.media is not None and texts_of(row)]
        self.unused = len(dataset.rows) - len(self._rows)
        if not self._rows:
            raise InputError(
                "empty",
                f"{dataset.name}: none of its {len(dataset.rows):,} rows has both a picture and a text to learn from",
            )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Example:
        """The example of a row, its picture read. Raises `InputError`."""
        row, media = self._rows[number]
        return Example(row.id, media.path if media.is_folder else media.read(), texts_of(row))

    def key(self, number: int) -> str:
        """The row's id."""
        return self._rows[number][0].id

    def media(self, number: int) -> Stored:
        """Where the row's picture or clip lies."""
        return self._rows[number][1]

    def row_texts(self, number: int) -> tuple[TextPair, ...]:
        """The texts of a row, without touching its picture."""
        return texts_of(self._rows[number][0])

    def is_named(self, number: int) -> bool:
        """Whether all that is learnt of the row is the name of its class, or its word."""
        row = self._rows[number][0]
        return not texts_of(replace(row, label=""))

    def texts(self) -> list[TextPair]:
        """Every text of every row, without touching a picture."""
        return [pair for row, _ in self._rows for pair in texts_of(row)]


class TarSource(RowSource):
    """The rows of some tars, all of which must be good: the first problem is raised."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        dataset = open_dataset(sorted(Path(path) for path in paths))
        if dataset.problems:
            raise InputError(dataset.problems[0].code, dataset.problems[0].message)
        super().__init__(dataset)


def texts_of(row: Row) -> tuple[TextPair, ...]:
    """What is to be learnt of a row: captions, answered questions, or else the name of its class or its word."""
    captions = [TextPair("", text) for text in map(clean_caption, row.captions) if text]
    answers = [pair for question in row.questions if (pair := answered(question))]
    if captions or answers:
        return (*captions, *answers)
    label = clean_answer(row.label)
    return (TextPair("", label),) if label else ()


def answered(question: Question) -> TextPair | None:
    """A question with its answers, the most frequent first (of equally frequent ones the first given); None without."""
    given = [text for text in map(clean_answer, question.answers) if text]
    if not given:
        return None
    target = Counter(given).most_common(1)[0][0]
    others = list(given)
    others.remove(target)
    return TextPair(question.text, target, tuple(others))


def clean_caption(caption: str) -> str:
    """A caption without the full stop that tokenised data sets put behind it."""
    return caption.strip().removesuffix(".").rstrip()


def clean_answer(answer: str) -> str:
    """An answer or a name without underscores ("soft_toy" is how DAQUAR writes "soft toy")."""
    return answer.replace("_", " ").strip()
