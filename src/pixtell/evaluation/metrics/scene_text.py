"""Word accuracy: whether the word in the picture was read. The score of IIIT5K, SVT, IC13, IC15, SVTP and CUTE.

In: words read and words shown. Out: one measure, the share of right ones.

The surprising thing: only a to z and 0 to 9 count, on both sides, and capitals don't: the benchmarks are scored so
since their labels disagree on the rest (Baek et al. 2019, arXiv 1904.01906; test.py of clovaai's
deep-text-recognition-benchmark). So "don't" and "DONT!" are the same, and an accented letter is one that isn't there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixtell.evaluation.metrics.measure import Measure, mean_of

NOT_COUNTED = re.compile("[^0-9a-z]")


def word_accuracy(candidates: Sequence[str], words: Sequence[str]) -> Measure:
    """The share of words that were read right, by their letters a to z and digits, whatever their case.

    A word without any ("&") is right only as it is, spaces aside: else every other mark would equal it.
    """
    return mean_of(
        "word accuracy", [float(_same(candidate, word)) for candidate, word in zip(candidates, words, strict=True)]
    )


def _same(candidate: str, word: str) -> bool:
    counted = NOT_COUNTED.sub("", word.lower())
    if not counted:
        return candidate.split() == word.split()
    return NOT_COUNTED.sub("", candidate.lower()) == counted
