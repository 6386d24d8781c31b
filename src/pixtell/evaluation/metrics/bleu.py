"""BLEU-1 to BLEU-4 (Papineni et al. 2002), as COCO's captions are scored with it.

In: tokenised texts. Out: four measures. The numbers are those of pycocoevalcap 1.2 (`bleu_scorer.py`, option
"closest"): to the counts it adds 1e-15 above and 1e-9 below the fraction line, so that nothing divides by zero.

The surprising thing: an item's own score is made by the same formula as the corpus's, from counts of one; the corpus's
is not their mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np

from pixtell.evaluation.metrics.measure import Floats, Measure

ORDERS = 4
TINY, SMALL = 1e-15, 1e-9
# What is summed over items: the candidate's length, its reference's, then n-grams guessed and correct for each order.
LENGTH, REFERENCE, GUESSED, CORRECT = 0, 1, 2, 2 + ORDERS


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[Measure]:
    """BLEU-1 to BLEU-4 of texts whose tokens are parted by spaces, each against its item's references."""
    counts_NK = np.array([_counts(*pair) for pair in zip(candidates, references, strict=True)], dtype=np.float64)
    counts_NK = counts_NK.reshape(len(candidates), CORRECT + ORDERS)
    combines = [partial(_combine, order=order) for order in range(1, ORDERS + 1)]
    return [
        Measure(f"BLEU-{order}", combine(counts_NK), counts_NK, combine) for order, combine in enumerate(combines, 1)
    ]


def _counts(candidate: str, references: Sequence[str]) -> list[int]:
    words = candidate.split()
    others = [reference.split() for reference in references]
    # The reference length nearest to the candidate's, the shorter of two equally near ones.
    nearest = min((abs(len(other) - len(words)), len(other)) for other in others)[1]
    guessed, correct = [], []
    for order in range(1, ORDERS + 1):
        found = _ngrams(words, order)
        allowed = [_ngrams(other, order) for other in others]
        guessed.append(max(0, len(words) - order + 1))
        correct.append(sum(min(count, max(other[ngram] for other in allowed)) for ngram, count in found.items()))
    return [len(words), nearest, *guessed, *correct]


def _ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))


def _combine(sums: Floats, order: int) -> Floats:
    """BLEU of the given order from sums (..., K)."""
    guessed = sums[..., GUESSED : GUESSED + order]
    correct = sums[..., CORRECT : CORRECT + order]
    precision = np.prod((correct + TINY) / (guessed + SMALL), axis=-1) ** (1 / order)
    ratio = (sums[..., LENGTH] + TINY) / (sums[..., REFERENCE] + SMALL)
    # exp underflows to 0 for a text without words, as it should.
    brevity = np.where(ratio < 1, np.exp(1 - 1 / np.maximum(ratio, 1e-300)), 1.0)
    return np.asarray(precision * brevity, dtype=np.float64)
