"""ROUGE-L (Lin 2004): how long a sequence of words text and reference share in order.

In: tokenised texts. Out: one measure, the mean over items. The numbers are those of pycocoevalcap 1.2 (`rouge.py`):
the best precision and the best recall over all references, which may be of different ones, with beta 1.2.

The surprising thing: texts are cut at single spaces, so an empty text is one empty word, and equals an empty reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.evaluation.metrics.measure import Measure, mean_of

BETA = 1.2


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    """ROUGE-L of texts whose tokens are parted by single spaces, each against its item's references."""
    return mean_of("ROUGE-L", [_score(*pair) for pair in zip(candidates, references, strict=True)])


def _score(candidate: str, references: Sequence[str]) -> float:
    words = candidate.split(" ")
    places = _places(words)
    precision = recall = 0.0
    for reference in references:
        other = reference.split(" ")
        common = _common(places, len(words), other)
        precision = max(precision, common / len(words))
        recall = max(recall, common / len(other))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _places(words: Sequence[str]) -> dict[str, int]:
    """Where each word stands, as bits of a number."""
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        places[word] = places.get(word, 0) | 1 << place
    return places


def _common(places: dict[str, int], length: int, other: Sequence[str]) -> int:
    """The length of the longest common subsequence: bits that are 0 mark where the table's row steps up.

    Source: Hyyroe 2004, "Bit-parallel LCS-length computation revisited": a whole row of the table in four operations.
    """
    full = (1 << length) - 1
    row = full
    for word in other:
        if matches := places.get(word):
            both = row & matches
            row = (row + both | row - both) & full
    return length - row.bit_count()
