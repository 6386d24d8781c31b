"""Exact match: whether the answer is one of those given. The score of MSVD-QA, MSRVTT-QA, TGIF-Frame and DAQUAR.

In: answers generated, and the answers to each question. Out: one measure, the share of right ones. Capitals,
underscores and spare spaces don't count.

The surprising thing: an answer may be a list ("cup, stand"), and is then a set: order and repetition don't count, and
all of it must be right. DAQUAR's own scoring does the same (calculate_wups.py of Malinowski and Fritz 2014, "{book,
book}=={book}, also {book, chair}={chair, book}"; their accuracy is WUPS with equality for likeness of words).
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.evaluation.metrics.measure import Measure, mean_of


def exact_match(candidates: Sequence[str], answers: Sequence[Sequence[str]]) -> Measure:
    """The share of answers that equal one of those given to their question, lists as sets."""
    return mean_of(
        "exact match",
        [
            float(_items(candidate) in [_items(answer) for answer in several])
            for candidate, several in zip(candidates, answers, strict=True)
        ],
    )


def plain(text: str) -> str:
    """A name or an answer as it is compared: in lower case, with single spaces for underscores and other gaps."""
    return " ".join(text.lower().replace("_", " ").split())


def _items(answer: str) -> frozenset[str]:
    return frozenset(plain(item) for item in answer.split(","))
