"""Questions made from captions, few for each picture, and so balanced that they can't be answered unseen.

In: rows with captions. Out: rows with questions that their captions answer, some of them held out to measure with. The
same seed, keys and captions make the same questions.

The surprising thing: most questions that could be asked are not. Four dogs in ten are brown, most pictures show one
man, and nobody mentions a dog that isn't there; a model would learn to answer without looking. So questions of a
pattern are thinned until no answer has more than its share, and of every "is there a ...?" half the answers are "no".
How well the question alone can be answered nevertheless, `blind_share` says: a model has to be better than that.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from pixtell.data.askable import Asked, askable
from pixtell.data.example import TextPair
from pixtell.data.row import Question, Row
from pixtell.errors import ConfigError, InputError

# Questions of a picture, at most, of each kind; and the largest share that an answer may have within a pattern.
MOST = {"object": 2, "number": 1, "color": 2, "yes/no": 4}
LARGEST_SHARE = 0.4
COMMONEST = 0.025  # of all pictures that are asked one question with one answer, so that not all are about men and dogs
HELD_OUT = "held-out-"  # before the name of the file with questions to measure with


@dataclass(frozen=True)
class Corpus:
    """How often each question is to be asked that could be: shares by pattern and answer, learnt from many pictures."""

    seed: int = 0
    _shares: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, pictures: Iterable[Sequence[str]], seed: int = 0) -> Corpus:
        """From the captions of many pictures, those of each together."""
        patterns: dict[str, Counter[str]] = {}
        count = 0
        for captions in pictures:
            count += 1
            for asked in askable(captions):
                patterns.setdefault(asked.pattern, Counter())[asked.answer] += 1
        shares: dict[tuple[str, str], float] = {}
        for pattern, counts in patterns.items():
            most = min(_most(counts), max(1.0, COMMONEST * count))
            shares |= {(pattern, answer): min(1.0, most / often) for answer, often in counts.items()}
        return cls(seed, shares)

    def asks(self, key: str, asked: Asked) -> bool:
        """Whether this picture is asked this question: a draw that depends on nothing else."""
        return self.draw(key, asked.question) < self._shares.get((asked.pattern, asked.answer), 0.0)

    def draw(self, key: str, question: str) -> float:
        """A number in [0, 1) of a picture and a question."""
        digest = hashlib.blake2b(f"{self.seed}\0{key}\0{question}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


def _most(counts: Counter[str]) -> float:
    """How often any answer of a pattern may come, so that none has more than its share; 0 for a single answer."""
    if len(counts) < 2:
        return 0.0
    share = max(LARGEST_SHARE, 1 / len(counts))
    for most in range(max(counts.values()), 0, -1):
        if most <= share * sum(min(count, most) for count in counts.values()):
            return most
    return 1.0


def questions_of(captions: Sequence[str], key: str, corpus: Corpus) -> tuple[TextPair, ...]:
    """The questions about one picture, with their answers."""
    return tuple(TextPair(asked.question, asked.answer) for asked in asked_of(captions, key, corpus))


def asked_of(captions: Sequence[str], key: str, corpus: Corpus) -> tuple[Asked, ...]:
    """The same with kinds and patterns."""
    chosen = [asked for asked in askable(captions) if corpus.asks(key, asked)]
    chosen.sort(key=lambda asked: corpus.draw(f"{key}\0order", asked.question))
    found: list[Asked] = []
    for kind, most in MOST.items():
        found += [asked for asked in chosen if asked.kind == kind][:most]
    return tuple(found)


@dataclass(frozen=True)
class MadeQuestions:
    """Rows with questions in the place of captions: those to learn from and those held out, in the data set's order."""

    learnt: tuple[Row, ...]
    held_out: tuple[Row, ...]


def ask_rows(rows: Sequence[Row], hold_out: int = 0, seed: int = 0) -> MadeQuestions:
    """Questions about all pictures that have captions which answer some; `hold_out` pictures are set apart by chance.

    Raises `InputError` (`empty`) where there are none, `ConfigError` where none would be left to learn from.
    """
    corpus = Corpus.of((row.captions for row in rows), seed)
    asked = [made for row in rows if (made := _with_questions(row, corpus)).questions]
    if not asked:
        raise InputError("empty", f"no questions can be made from the captions of these {len(rows):,} rows")
    if not 0 <= hold_out < len(asked):
        raise ConfigError(
            f"hold_out must be in 0..{len(asked) - 1} (pictures with questions: {len(asked)}): {hold_out}"
        )
    apart = {row.id for row in sorted(asked, key=lambda row: corpus.draw(row.id, "held out"))[:hold_out]}
    return MadeQuestions(
        tuple(row for row in asked if row.id not in apart), tuple(row for row in asked if row.id in apart)
    )


def _with_questions(row: Row, corpus: Corpus) -> Row:
    made = asked_of(row.captions, row.id, corpus)
    questions = (
        Question(f"{row.id}#{number}", asked.question, (asked.answer,), asked.kind, asked.pattern)
        for number, asked in enumerate(made, start=1)
    )
    return replace(row, captions=(), questions=tuple(questions), label="")


def held_out_target(target: str) -> str:
    """Where held-out rows are written beside the others: a name that no pattern of the others' names takes in."""
    folder, name = os.path.split(target)
    return os.path.join(folder, HELD_OUT + name)


def blind_share(made: MadeQuestions) -> float:
    """The share of held-out questions that are answered right without a picture, by the most frequent answer.

    Of a question that was never learnt, it is that of its pattern, or of its kind. NaN where nothing is held out.
    """
    counts: dict[tuple[int, str], Counter[str]] = {}
    for question in _all(made.learnt):
        for name in enumerate(_names(question)):
            counts.setdefault(name, Counter())[question.answers[0]] += 1
    right = [question.answers[0] == _guess(question, counts) for question in _all(made.held_out)]
    return sum(right) / len(right) if right else float("nan")


def _all(rows: Iterable[Row]) -> list[Question]:
    return [question for row in rows for question in row.questions]


def _names(question: Question) -> tuple[str, str, str]:
    return question.text, question.question_type, question.answer_type


def _guess(question: Question, counts: dict[tuple[int, str], Counter[str]]) -> str:
    known = next((counts[name] for name in enumerate(_names(question)) if name in counts), Counter[str]())
    return max(known, key=lambda answer: (known[answer], answer), default="")


def told(made: MadeQuestions) -> str:
    """What was made, for people."""
    lines = []
    for name, rows in (("to learn from", made.learnt), ("held out", made.held_out)):
        kinds = Counter(question.answer_type for question in _all(rows))
        counts = ", ".join(f"{kinds[kind]:,} {kind}" for kind in MOST if kinds[kind])
        lines.append(
            f"{name}: {len(rows):,} pictures, {kinds.total():,} questions" + (f" ({counts})" if counts else "")
        )
    if made.held_out:
        lines.append(
            f"the most frequent answers, without a picture, are right for {blind_share(made):.1%} of the held-out"
        )
    return "\n".join(lines)
