"""CIDEr-D (Vedantam, Zitnick and Parikh 2015): how much of what several people wrote of a picture a caption says.

In: tokenised captions, a picture's references, and how common each n-gram is. Out: a measure, or an array of rewards.
The numbers are those of pycocoevalcap 1.2 (`cider_scorer.py`): nothing is stemmed, a text's length is its number of
bigrams, an n-gram that is in no document counts as in one, and everything is multiplied by 10.

The surprising thing: the documents whose frequencies count are the references of all pictures scored together, so a
caption's score depends on its company, and is 0 when there is one picture only. Frequencies from elsewhere cure that.

    P pictures, T captions, R references of all pictures, M (text, n-gram) pairs, G n-grams of one order,
    U different (picture, n-gram) pairs of the references, S (caption, reference) pairs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from pixtell.errors import InputError
from pixtell.evaluation.metrics.frequencies import DocumentFrequencies
from pixtell.evaluation.metrics.measure import Floats, Measure, mean_of
from pixtell.evaluation.metrics.ngrams import ORDERS, Counts, Ints, NgramIndex, distinct

__all__ = ["DocumentFrequencies", "PreparedCider", "cider_d"]

SIGMA = (
    6.0  # of the Gaussian penalty on a difference in length, in bigrams (the paper on CIDEr-D, and the authors' code)
)
SCALE = 10.0


def cider_d(
    candidates: Sequence[str], references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None
) -> Measure:
    """CIDEr-D of texts whose tokens are parted by spaces, each against its item's references.

    `frequencies` are those of these references when not given, as in COCO's evaluation.
    """
    assert len(candidates) == len(references), f"{len(candidates)} texts for {len(references)} items"
    prepared = PreparedCider.of(references, frequencies)
    return mean_of("CIDEr", prepared.score(np.arange(len(candidates)), candidates))


@dataclass(frozen=True, eq=False)
class _Postings:
    """The n-grams of one order in all references, found by picture and n-gram.

    Entry `starts_U[u]` up to `starts_U[u + 1]` are those of `keys_U[u]` = picture * G + n-gram. `idf_G` has one more
    place at its end, for every n-gram that is not known.
    """

    idf_G: Floats
    keys_U: Ints
    starts_U: Ints
    reference_M: Ints
    weight_M: Floats
    cosine_M: Floats  # the weight over the length of its reference's vector

    @classmethod
    def of(cls, counts: Counts, idf_G: Floats, picture_R: Ints) -> _Postings:
        weight_M = counts.count_M * idf_G[counts.ngram_M]
        norm_R = _norms(counts.text_M, weight_M, len(picture_R))
        key_M = picture_R[counts.text_M] * len(idf_G) + counts.ngram_M
        order = np.argsort(key_M)
        keys_U, many_U = distinct(key_M)
        cosine_M = weight_M / norm_R[counts.text_M]
        return cls(
            idf_G,
            keys_U,
            np.append(0, np.cumsum(many_U)),
            counts.text_M[order],
            weight_M[order],
            cosine_M[order],
        )

    def weights(self, counts: Counts) -> Floats:
        """What each n-gram of some captions weighs: how often it is there, times how rare it is."""
        return np.asarray(counts.count_M * self.idf_G[np.minimum(counts.ngram_M, len(self.idf_G) - 1)])

    def matches(self, counts: Counts, place_T: Ints) -> tuple[Ints, Ints]:
        """Pairs of a caption's n-gram, by its place in `counts`, and an entry here, of the same n-gram and picture."""
        if not len(self.keys_U):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        size = len(self.idf_G)
        key_M = place_T[counts.text_M] * size + np.minimum(counts.ngram_M, size - 1)
        at_M = np.minimum(np.searchsorted(self.keys_U, key_M), len(self.keys_U) - 1)
        mine = np.flatnonzero(self.keys_U[at_M] == key_M)
        first, many = self.starts_U[at_M[mine]], self.starts_U[at_M[mine] + 1] - self.starts_U[at_M[mine]]
        before = np.cumsum(many) - many
        return np.repeat(mine, many), np.repeat(first - before, many) + np.arange(many.sum())


@dataclass(frozen=True, eq=False)
class PreparedCider:
    """References counted and weighted once, so that captions of their pictures are scored quickly and again.

    This is the reward of self-critical training (Rennie et al. 2017): a batch of samples a step, on the same pictures
    each epoch.
    """

    index: NgramIndex = field(repr=False)
    postings: tuple[_Postings, ...] = field(repr=False)
    first_P: Ints = field(repr=False)  # each picture's first reference, and at the end how many there are
    length_R: Ints = field(repr=False)

    @classmethod
    def of(cls, references: Sequence[Sequence[str]], frequencies: DocumentFrequencies | None = None) -> PreparedCider:
        """Prepare the references of each picture, by frequencies that are those of the same references by default."""
        if lonely := [place for place, texts in enumerate(references) if not texts]:
            raise InputError("empty", f"CIDEr: {len(lonely):,} items have no references, the first is item {lonely[0]}")
        texts = list(chain.from_iterable(references))
        many = np.array([len(some) for some in references], dtype=np.int64)
        known = DocumentFrequencies.of(references) if frequencies is None else frequencies.knowing(texts)
        counts = known.index.count(texts)
        picture_R = np.repeat(np.arange(len(many)), many)
        postings = [_Postings.of(some, idf, picture_R) for some, idf in zip(counts, known.idf(), strict=True)]
        return cls(known.index, tuple(postings), np.append(0, np.cumsum(many)), _lengths(counts, len(texts)))

    def __len__(self) -> int:
        return len(self.first_P) - 1

    def score(self, places: ArrayLike, captions: Sequence[str]) -> Floats:
        """The CIDEr-D of each caption, of the picture at its place among those prepared."""
        place_T = np.asarray(places, dtype=np.int64)
        assert len(place_T) == len(captions), f"{len(place_T)} places for {len(captions)} captions"
        counts = self.index.count(captions)
        many_T = self.first_P[place_T + 1] - self.first_P[place_T]
        before_T = np.cumsum(many_T) - many_T
        caption_S = np.repeat(np.arange(len(place_T)), many_T)
        # A reference's number plus its caption's shift is the place of that pair.
        shift_T = before_T - self.first_P[place_T]
        similar_S = np.zeros(len(caption_S))
        for some, postings in zip(counts, self.postings, strict=True):
            weight_M = postings.weights(some)
            norm_T = _norms(some.text_M, weight_M, len(place_T))
            mine, theirs = postings.matches(some, place_T)
            # The "D": an n-gram said more often than in the reference gains nothing by it.
            shared = np.minimum(weight_M[mine], postings.weight_M[theirs]) * postings.cosine_M[theirs]
            text = some.text_M[mine]
            pair = postings.reference_M[theirs] + shift_T[text]
            similar_S += np.bincount(pair, shared / norm_T[text], minlength=len(caption_S))
        reference_S = np.arange(len(caption_S)) - shift_T[caption_S]
        apart_S = _lengths(counts, len(place_T))[caption_S] - self.length_R[reference_S]
        similar_S *= np.exp(-(apart_S**2) / (2 * SIGMA**2))
        return np.bincount(caption_S, similar_S, minlength=len(place_T)) * (SCALE / ORDERS) / many_T


def _norms(text_M: Ints, weight_M: Floats, size: int) -> Floats:
    """The length of each text's vector; 1 where it is 0, so that the vector can be divided by it."""
    norm_T = np.sqrt(np.bincount(text_M, weight_M**2, minlength=size))
    return np.where(norm_T == 0, 1.0, norm_T)


def _lengths(counts: Sequence[Counts], size: int) -> Ints:
    """How many bigrams each text has: what CIDEr-D takes for its length."""
    return np.bincount(counts[1].text_M, counts[1].count_M, minlength=size).astype(np.int64)
