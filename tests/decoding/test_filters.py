"""Filters, one by one on a table of zeros, and together with each strategy."""

from __future__ import annotations

import itertools

import pytest
import torch

from pixtell.config import DecodeOptions
from pixtell.decoding import Banned, Filter, MinLength, NoRepeatNgram, Prompt, TrieConstraint, TrieNode, generate

from .table_model import CLS, SEP, TableCache, TableModel

VOCAB = 12
STRATEGIES = [
    DecodeOptions(beams=1, max_new_tokens=8),
    DecodeOptions(beams=1, temperature=1.0, seed=3, results=4, max_new_tokens=8),
    DecodeOptions(beams=4, results=4, max_new_tokens=8),
    DecodeOptions(beams=4, results=4, max_new_tokens=8, scoring="transformers"),
]


def forbidden(each: Filter, *texts: tuple[int, ...]) -> list[set[int]]:
    """The tokens that a filter takes from each row."""
    left_RV = each(torch.zeros(len(texts), VOCAB), list(texts))
    assert set(left_RV.unique().tolist()) <= {0.0, -float("inf")}
    return [set(row.isinf().nonzero().flatten().tolist()) for row in left_RV]


def test_minimum_length_holds_sep_back() -> None:
    assert forbidden(MinLength(2, SEP), (), (5,), (5, 6)) == [{SEP}, {SEP}, set()]


def test_banned_words_and_phrases() -> None:
    banned = Banned(((4,), (5,), (6, 7, 8), (9, 9), ()))
    texts = [(), (6, 7), (7, 6), (3, 6, 7), (9,), (7,)]
    assert forbidden(banned, *texts) == [{4, 5}, {4, 5, 8}, {4, 5}, {4, 5, 8}, {4, 5, 9}, {4, 5}]
    assert forbidden(Banned(()), (3,)) == [set()]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_no_repeat_ngram_equals_trying_every_token(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    texts = [tuple(torch.randint(3, 6, (length,), generator=generator).tolist()) for length in range(12)]

    def repeats(text: tuple[int, ...]) -> bool:
        grams = [text[start : start + size] for start in range(len(text) - size + 1)]
        return grams[-1:] != [] and grams[-1] in grams[:-1]

    expected = [{token for token in range(VOCAB) if repeats((*text, token))} for text in texts]
    assert forbidden(NoRepeatNgram(size), *texts) == expected
    assert any(expected)


def test_trie_allows_the_listed_texts_only() -> None:
    trie = TrieConstraint(TrieNode.of([(4, 5), (4, 5, 6), (7,)]), SEP)
    allowed = [set(range(VOCAB)) - taken for taken in forbidden(trie, (), (4,), (4, 5), (4, 5, 6), (7,), (9,), (7, 7))]
    assert allowed == [{4, 7}, {5}, {6, SEP}, {SEP}, {SEP}, set(), set()]


def test_trie_passes_logprobs_on() -> None:
    logprobs_RV = torch.arange(VOCAB, dtype=torch.float32)[None]
    left_RV = TrieConstraint(TrieNode.of([(), (8,)]), SEP)(logprobs_RV.clone(), [()])
    assert left_RV[0, [SEP, 8]].tolist() == logprobs_RV[0, [SEP, 8]].tolist()


@pytest.mark.parametrize("options", STRATEGIES)
def test_every_strategy_stays_in_the_trie(options: DecodeOptions) -> None:
    texts = {(4, 5), (4, 5, 6), (7,), (8, 8, 8, 8), (3, 4)}
    filters = [TrieConstraint(TrieNode.of(texts), SEP)]
    found = {
        (text.ids, text.ended)
        for seed in range(20)
        for text in generate(TableModel(seed, VOCAB), TableCache([0]), [Prompt(0, (CLS,))], options, filters)[0]
    }
    assert found <= {(ids, True) for ids in texts}
    assert len(found) > 2


def test_wide_beams_rank_all_texts_of_the_trie() -> None:
    model = TableModel(0, VOCAB)
    texts = [tuple(ids) for ids in itertools.product((4, 5), (6, 7))]
    options = DecodeOptions(beams=6, results=4, scoring="transformers", length_penalty=0.0)
    filters = [TrieConstraint(TrieNode.of(texts), SEP)]
    found = generate(model, TableCache([0]), [Prompt(0, (CLS,))], options, filters)[0]
    sums = {ids: sum(model.rescore(0, (CLS,), (*ids, SEP))) for ids in texts}
    assert [text.ids for text in found] == sorted(texts, key=lambda ids: -sums[ids])
    assert [text.score for text in found] == pytest.approx(sorted(sums.values(), reverse=True), abs=1e-5)


@pytest.mark.parametrize("options", STRATEGIES)
def test_the_prompts_words_are_free(options: DecodeOptions) -> None:
    model = TableModel(1, VOCAB, sep_bonus=-9.0)
    for text in generate(model, TableCache([0]), [Prompt(0, (CLS, 4, 5))], options, [NoRepeatNgram(1)])[0]:
        assert len(set(text.ids)) == len(text.ids)
    everything = [NoRepeatNgram(1), Banned(tuple((token,) for token in range(VOCAB) if token not in (4, 5, SEP)))]
    found = [
        ids
        for seed in range(20)
        for text in generate(TableModel(seed, VOCAB), TableCache([0]), [Prompt(0, (CLS, 4, 5))], options, everything)[0]
        for ids in text.ids
    ]
    assert set(found) == {4, 5}
