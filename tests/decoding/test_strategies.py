"""Greedy and sampling, each against a plain writing over lists, and what samples may and may not depend on."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from pixtell.config import DecodeOptions
from pixtell.decoding import Banned, Prompt, generate
from pixtell.decoding.strategies import COLDEST, Sample, Scores, _keep_nucleus

from .table_model import CLS, SEP, TableCache, TableModel, prompt_ids

VOCAB = 30


def sampling(**changes: object) -> DecodeOptions:
    return DecodeOptions(**{"beams": 1, "temperature": 1.0, "seed": 5, "max_new_tokens": 8, **changes})


def slow_sample(model: TableModel, medium: int, prompt: tuple[int, ...], options: DecodeOptions) -> tuple[int, ...]:
    """One sample: sort, cut by rank, cut by mass, draw by adding up shares in the order of the vocabulary."""
    generator = torch.Generator().manual_seed(options.seed)
    draws = torch.rand(options.max_new_tokens, generator=generator).tolist()
    ids: tuple[int, ...] = ()
    for draw in draws:
        logits = [logit / options.temperature for logit in model.logits(medium, prompt + ids).tolist()]
        ranked = sorted(range(len(logits)), key=lambda token: -logits[token])
        ranked = ranked[: options.top_k or len(ranked)]
        mass = {token: math.exp(logits[token] - logits[ranked[0]]) for token in ranked}
        whole, before, kept = sum(mass.values()), 0.0, []
        for token in ranked:
            if not kept or before / whole < options.top_p:
                kept.append(token)
            before += mass[token]
        left = draw * sum(mass[token] for token in kept)
        for token in sorted(kept):
            left -= mass[token]
            if left < 0:
                break
        if token == SEP:
            return ids
        ids += (token,)
    return ids


def test_greedy_takes_the_likeliest_token_and_reports_its_logprob() -> None:
    options = DecodeOptions(beams=1, max_new_tokens=7)
    ended = 0
    for seed in range(30):
        model = TableModel(seed, VOCAB)
        prompt = prompt_ids(torch.Generator().manual_seed(seed), VOCAB)
        ((found,),) = generate(model, TableCache([3]), [Prompt(0, prompt)], options)
        ids: tuple[int, ...] = ()
        while len(ids) < 7 and (token := int(model.logits(3, prompt + ids).argmax())) != SEP:
            ids += (token,)
        assert found.ids == ids
        assert found.ended == (len(ids) < 7)
        expected = model.rescore(3, prompt, (*ids, SEP) if found.ended else ids)
        assert list(found.logprobs) == pytest.approx(expected, abs=1e-5)
        assert found.score == pytest.approx(sum(expected), abs=1e-5)
        ended += found.ended
    assert 5 < ended < 30


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("cut", [{}, {"top_k": 4}, {"top_p": 0.7}, {"top_k": 6, "top_p": 0.5}])
def test_samples_equal_the_slow_twin(temperature: float, cut: dict[str, float]) -> None:
    for seed in range(12):
        model = TableModel(seed, VOCAB)
        options = sampling(seed=seed, temperature=temperature, **cut)
        ((found,),) = generate(model, TableCache([0]), [Prompt(0, (CLS, 4))], options)
        assert found.ids == slow_sample(model, 0, (CLS, 4), options)
        expected = model.rescore(0, (CLS, 4), (*found.ids, SEP) if found.ended else found.ids)
        assert list(found.logprobs) == pytest.approx(expected, abs=1e-5), "the model's, without temperature or cut"


def test_samples_have_the_models_frequencies() -> None:
    model = TableModel(1, 8)
    count = 20_000
    (found,) = generate(model, TableCache([0]), [Prompt(0, (CLS,))], sampling(results=count, max_new_tokens=1))
    seen = Counter(text.ids[0] if text.ids else SEP for text in found)
    for token, share in enumerate(model.logits(0, (CLS,)).softmax(-1).tolist()):
        assert abs(seen[token] / count - share) < 5 * math.sqrt(share / count)


def test_samples_depend_on_nothing_but_prompt_and_seed() -> None:
    model = TableModel(4, VOCAB)
    cache = TableCache(range(3))
    generator = torch.Generator().manual_seed(0)
    prompts = [Prompt(index % 3, prompt_ids(generator, VOCAB)) for index in range(8)]
    options = sampling(results=3)
    alone = [generate(model, cache, [prompt], options)[0] for prompt in prompts]
    assert generate(model, cache, prompts, options) == alone
    assert generate(model, cache, prompts[::-1], options) == alone[::-1]
    assert len({text.ids for texts in alone for text in texts}) > 12
    (first,) = generate(model, cache, prompts[:1], sampling(results=1))[0]
    assert first in alone[0], "the first sample is the same however many are asked for"
    assert generate(model, cache, prompts, sampling(results=3, seed=6)) != alone


def test_results_come_best_first() -> None:
    for texts in generate(TableModel(4, VOCAB), TableCache([0]), [Prompt(0, (CLS,))], sampling(results=9)):
        assert len(texts) == 9
        assert [text.score for text in texts] == sorted((text.score for text in texts), reverse=True)


def test_without_a_seed_samples_follow_torchs_generator() -> None:
    model, cache, prompts = TableModel(4, VOCAB), TableCache([0]), [Prompt(0, (CLS,))]
    options = sampling(seed=None, results=4)
    torch.manual_seed(1)
    first, second = (generate(model, cache, prompts, options) for _ in range(2))
    torch.manual_seed(1)
    assert generate(model, cache, prompts, options) == first != second


@pytest.mark.parametrize("cut", [{"top_k": 1}, {"top_p": 1e-9}, {"temperature": COLDEST}, {"temperature": 1e-40}])
def test_the_narrowest_cut_is_greedy(cut: dict[str, float]) -> None:
    for seed in range(10):
        model, cache, prompts = TableModel(seed, VOCAB), TableCache([0]), [Prompt(0, (CLS, 7))]
        greedy = generate(model, cache, prompts, DecodeOptions(beams=1, max_new_tokens=8))
        assert generate(model, cache, prompts, sampling(**cut)) == greedy


@pytest.mark.parametrize("cut", [{"top_k": VOCAB}, {"top_k": 10 * VOCAB}, {"top_p": 1.0}])
def test_the_widest_cut_is_none(cut: dict[str, float]) -> None:
    model, cache, prompts = TableModel(2, VOCAB), TableCache([0]), [Prompt(0, (CLS, 7))]
    assert generate(model, cache, prompts, sampling(**cut)) == generate(model, cache, prompts, sampling())


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0 - 2.0**-24])
def test_no_draw_reaches_a_forbidden_token(draw: float) -> None:
    allowed_NV = torch.full((1, 30_000), -float("inf"))
    allowed_NV[0, [17, 20_000]] = torch.tensor([0.9, 0.1]).log()
    token = Sample(sampling(), SEP)._draw(allowed_NV, torch.tensor([draw]))
    assert token.item() == (20_000 if draw > 0.9 else 17)


def test_the_highest_draw_finds_a_token_however_the_shares_round() -> None:
    draw_N = torch.tensor([1.0 - 2.0**-24])
    for count in (*range(2, 400), 30_000):
        allowed_NV = torch.zeros(1, count)
        allowed_NV[0, 0] = -float("inf")
        assert Sample(sampling(), SEP)._draw(allowed_NV, draw_N).item() == count - 1


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("top_p", [1e-6, 0.5, 0.9, 0.999])
def test_nucleus_equals_sorting_everything(sharpness: float, top_p: float) -> None:
    logprobs_NV = (sharpness * torch.randn(5, 3000, generator=torch.Generator().manual_seed(0))).log_softmax(-1)
    logprobs_NV[:, 100] = -float("inf")
    kept_NV = _keep_nucleus(logprobs_NV, top_p)
    for before_V, after_V in zip(logprobs_NV, kept_NV, strict=True):
        inside = after_V > -float("inf")
        assert torch.equal(before_V[inside], after_V[inside])
        held = before_V.softmax(-1)[inside]
        assert held.sum() >= top_p - 1e-4
        assert held.sum() - held.min() < top_p + 1e-4, "none too many"
        assert held.min() >= before_V.softmax(-1)[~inside].max()


def test_one_row_with_everything_forbidden_does_not_touch_the_others() -> None:
    sample = Sample(sampling(results=2), SEP)
    sound_V = torch.randn(VOCAB, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    nothing_V = torch.full((VOCAB,), -float("inf"))
    rows_RV = torch.stack([sound_V, nothing_V, sound_V])
    first, dead, last = sample.advance([sample.begin(1) for _ in range(3)], Scores(rows_RV, rows_RV))
    assert dead.rows == () and [text.ended for text in dead.closed] == [False, False]
    assert [row.ids for row in first.rows] == [row.ids for row in last.rows]
    assert {row.parent for row in first.rows} == {0} and {row.parent for row in last.rows} == {2}


def test_sampling_ends_when_everything_is_forbidden() -> None:
    filters = [Banned(tuple((token,) for token in range(VOCAB)))]
    for options in (sampling(results=2), DecodeOptions(beams=1)):
        for text in generate(TableModel(2, VOCAB), TableCache([0]), [Prompt(0, (CLS,))], options, filters)[0]:
            assert (text.ids, text.logprobs, text.score, text.ended) == ((), (), 0.0, False)
