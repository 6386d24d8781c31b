"""Words and n-grams as numbers, so that a batch of texts is counted by array operations.

In: texts whose tokens are parted by white space. Out: for n = 1 to 4, which n-grams each text holds and how often.

The surprising thing: an n-gram is numbered by its beginning and its last word, the beginning being an (n-1)-gram with a
number of its own. So all numbers are exact: there is no hashing, and nothing can collide.

    W words of all texts, M (text, n-gram) pairs, G n-grams of one order in the index
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

ORDERS = 4
WORDS = 2**31  # more words than any vocabulary has: beginning * WORDS + word is one number for both


@dataclass(frozen=True, eq=False)
class Counts:
    """The n-grams of one order in a batch of texts: M pairs of a text's place and an n-gram's number, and how often.

    The pairs are sorted by text, then by n-gram. Numbers below the index's size are those of the index; higher ones
    are of n-grams that it lacks, the same number for the same n-gram within this batch only.
    """

    text_M: Ints
    ngram_M: Ints
    count_M: Ints


@dataclass(frozen=True, eq=False)
class NgramIndex:
    """Known words, and for each order the sorted keys of known n-grams; an n-gram's number is its key's place."""

    words: Mapping[str, int] = field(repr=False)
    keys: tuple[Ints, ...] = field(repr=False)

    @classmethod
    def of(cls, texts: Sequence[str]) -> NgramIndex:
        """The index of everything in `texts`."""
        empty = np.zeros(0, dtype=np.int64)
        return cls({}, (empty,) * ORDERS).extended(texts)[0]

    def extended(self, texts: Sequence[str]) -> tuple[NgramIndex, list[Ints]]:
        """An index that knows `texts` as well, and for each order the new number of each old n-gram."""
        word_W, text_W, new = _flat(texts, self.words)
        keys, moves = [], []
        number_W, moved_G = np.zeros_like(word_W), np.zeros(1, dtype=np.int64)
        for order, known in enumerate(self.keys):
            start_M = _starts(text_W, order)
            key_M = number_W[start_M] * WORDS + word_W[start_M + order]
            old_G = moved_G[known // WORDS] * WORDS + known % WORDS  # sorted still: new numbers keep the old order
            keys.append(distinct(np.concatenate([old_G, key_M]))[0])
            number_W[start_M] = _places(keys[-1], key_M)
            moved_G = np.searchsorted(keys[-1], old_G)
            moves.append(moved_G)
        return NgramIndex({**self.words, **new}, tuple(keys)), moves

    def count(self, texts: Sequence[str]) -> list[Counts]:
        """The n-grams of each text, a `Counts` for each order."""
        word_W, text_W, _ = _flat(texts, self.words)
        found = []
        number_W = np.zeros_like(word_W)
        for order, known in enumerate(self.keys):
            start_M = _starts(text_W, order)
            number_M = _numbers(known, number_W[start_M] * WORDS + word_W[start_M + order])
            number_W[start_M] = number_M
            span = len(known) + len(word_W) + 1  # above every number
            pair_M, count_M = distinct(text_W[start_M] * span + number_M)
            text_M = pair_M // span
            found.append(Counts(text_M, pair_M - text_M * span, count_M))
        return found


def _flat(texts: Sequence[str], words: Mapping[str, int]) -> tuple[Ints, Ints, dict[str, int]]:
    """All words of all texts by number, the text each is of, and the numbers given to words that were not known."""
    new: dict[str, int] = {}
    size = len(words)
    numbers: list[int] = []
    lengths: list[int] = []
    # One text's words at a time: a list of millions of lists would keep the garbage collector busy.
    for text in texts:
        split = text.split()
        lengths.append(len(split))
        numbers += [words[word] if word in words else new.setdefault(word, size + len(new)) for word in split]
    word_W = np.array(numbers, dtype=np.int64)
    text_W = np.repeat(np.arange(len(lengths)), np.array(lengths, dtype=np.int64))
    return word_W, text_W, new


def _starts(text_W: Ints, order: int) -> Ints:
    """Where an n-gram of order + 1 words begins and does not run over its text's end."""
    end_W = text_W[order:]
    return np.flatnonzero(text_W[: len(end_W)] == end_W)


def _numbers(known: Ints, key_M: Ints) -> Ints:
    """The place of each key among the known ones; keys that are not known are numbered from there on."""
    place_M = _places(known, key_M)
    strange = np.ones(len(key_M), dtype=np.bool_)
    if len(known):
        strange = known[np.minimum(place_M, len(known) - 1)] != key_M
    if strange.any():
        place_M[strange] = len(known) + _places(distinct(key_M[strange])[0], key_M[strange])
    return place_M


def _places(known_G: Ints, key_M: Ints) -> Ints:
    """`np.searchsorted`, but in ascending order: ten times as fast with millions of keys, which no cache holds."""
    order_M = np.argsort(key_M)
    place_M = np.empty_like(key_M)
    place_M[order_M] = np.searchsorted(known_G, key_M[order_M])
    return place_M


def distinct(numbers_M: Ints) -> tuple[Ints, Ints]:
    """The different numbers in ascending order, and how often each is there.

    `np.unique` without counts takes a hash table since NumPy 2.3, and 7 s for 6 million keys that sort in 0.1 s.
    """
    sorted_M = np.sort(numbers_M)
    first_G = np.flatnonzero(np.append(True, sorted_M[1:] != sorted_M[:-1])[: len(sorted_M)])
    return sorted_M[first_G], np.diff(np.append(first_G, len(sorted_M)))
