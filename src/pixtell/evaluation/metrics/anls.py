"""ANLS, average normalised Levenshtein similarity (Biten et al. 2019, arXiv 1905.13648): the score of ST-VQA.

In: answers generated, and the answers to each question. Out: one measure, the mean over questions of the best
likeness to an answer: 1 less the edits that lead from one text to the other, by the length of the longer.

The surprising thing: a likeness of just one half counts as 0.5, though the paper's formula says 0. The programs that
published numbers come from (the RRC server's, mmf's m4c_evaluators.py) keep it, and so do we. Like the server's they
put texts in lower case with single spaces first.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.evaluation.metrics.measure import Measure, mean_of

THRESHOLD = 0.5  # below it, the answer is another one rather than one that was misread


def anls(candidates: Sequence[str], answers: Sequence[Sequence[str]]) -> Measure:
    """ANLS of generated answers, each against the answers to its question."""
    return mean_of(
        "ANLS",
        [
            max(_similarity(_plain(candidate), _plain(answer)) for answer in several)
            for candidate, several in zip(candidates, answers, strict=True)
        ],
    )


def levenshtein(one: str, other: str) -> int:
    """The least number of letters to put in, leave out or change that make one text the other.

    Source: Hyyroe 2003, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances": the table's
    neighbours differ by at most one, so that a whole column of it is two numbers, the bits where it rises and falls.
    """
    if not one:
        return len(other)
    places: dict[str, int] = {}
    for place, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << place
    full, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    rises, falls, distance = full, 0, len(one)
    for letter in other:
        matches = places.get(letter, 0)
        diagonal = ((matches & rises) + rises ^ rises) | matches | falls
        up, down = falls | full & ~(diagonal | rises), rises & diagonal
        distance += bool(up & last) - bool(down & last)
        up = up << 1 | 1  # the table's first row counts the letters put in: it rises by one each time
        rises, falls = (down << 1 | ~(diagonal | up)) & full, up & diagonal & full
    return distance


def _similarity(one: str, other: str) -> float:
    longer = max(len(one), len(other))
    if not longer:
        return 1.0
    similarity = 1 - levenshtein(one, other) / longer
    return similarity if similarity >= THRESHOLD else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
