"""Beam search: the authors' rules against their slow twin, and `transformers` scoring against the real one."""

from __future__ import annotations

import random

import pytest
import torch

from pixtell.config import DecodeOptions
from pixtell.decoding import Banned, Prompt, generate
from pixtell.decoding.beams import AuthorsRules, Beam
from pixtell.decoding.strategies import Scores

from .authors_beam import authors_beam
from .table_model import CLS, SEP, TableCache, TableModel, prompt_ids


def random_case(seed: int) -> tuple[TableModel, DecodeOptions, tuple[int, ...]]:
    draw = random.Random(seed)
    beams = draw.randint(2, 6)
    model = TableModel(seed, draw.randint(6, 60), draw.choice([0.5, 1.5, 3.0]), draw.choice([0.0, 1.0, 2.5]))
    options = DecodeOptions(
        max_new_tokens=draw.randint(1, 10),
        beams=beams,
        length_penalty=draw.choice([0.0, 0.3, 0.6, 1.0, 2.0]),
        results=draw.choice([1, 1, draw.randint(1, beams)]),
    )
    return model, options, prompt_ids(torch.Generator().manual_seed(seed), model.config.text.vocab_size)


@pytest.mark.parametrize("hundred", range(2))
def test_authors_rules_equal_the_slow_twin(hundred: int) -> None:
    cut_off = 0
    for seed in range(100 * hundred, 100 * hundred + 100):
        model, options, prompt = random_case(seed)
        expected = authors_beam(
            model.logprobs_after(0),
            prompt,
            beams=options.beams,
            penalty=options.length_penalty,
            max_new_tokens=options.max_new_tokens,
            sep_id=SEP,
            results=options.results,
        )
        (found,) = generate(model, TableCache([0]), [Prompt(0, prompt)], options)
        assert [text.ids for text in found] == [ids for _, ids in expected], (seed, options)
        assert [text.score for text in found] == pytest.approx([score for score, _ in expected], abs=1e-5)
        cut_off += any(not text.ended for text in found)
    assert 10 < cut_off < 90, "the cases should exercise both ways in which a text closes"


def test_a_batch_in_any_order_equals_one_at_a_time() -> None:
    model = TableModel(7, 40)
    cache = TableCache(range(3))
    generator = torch.Generator().manual_seed(1)
    prompts = [Prompt(index % 3, prompt_ids(generator, 40)) for index in range(8)]
    assert len({len(prompt.ids) for prompt in prompts}) > 2
    for scoring in ("authors", "transformers"):
        options = DecodeOptions(max_new_tokens=9, results=3, scoring=scoring)
        alone = [generate(model, cache, [prompt], options)[0] for prompt in prompts]
        for shuffle in range(4):
            order = random.Random(shuffle).sample(range(8), 8)
            together = generate(model, cache, [prompts[index] for index in order], options)
            assert together == [alone[index] for index in order]


def test_scores_are_the_penalised_teacher_forced_sums() -> None:
    model = TableModel(3, 30)
    prompt = (CLS, 5, 9)
    for seed in range(20):
        options = DecodeOptions(max_new_tokens=8, beams=3, results=3)
        for text in generate(model, TableCache([seed]), [Prompt(0, prompt)], options)[0]:
            tokens = (*text.ids, SEP) if text.ended else text.ids
            assert sum(text.logprobs) == pytest.approx(sum(model.rescore(seed, prompt, tokens)), abs=1e-4)
            if text.ended:
                norm = ((5 + len(prompt) + len(text.ids)) / 6) ** 0.6
                assert text.score == pytest.approx(sum(text.logprobs) / norm, abs=1e-5)


def test_one_beam_without_penalty_is_greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = DecodeOptions(max_new_tokens=6, beams=1)
    cache, prompts = TableCache([0]), [Prompt(0, (CLS, 4)), Prompt(0, (CLS,))]
    expected = [generate(TableModel(seed, 25), cache, prompts, greedy) for seed in range(30)]
    rules = AuthorsRules(width=1, keep=1, length_penalty=0.0, max_new_tokens=6, sep_id=SEP)
    monkeypatch.setattr("pixtell.decoding.loop.choose_strategy", lambda options, sep_id: Beam(rules, 1))
    found = [generate(TableModel(seed, 25), cache, prompts, greedy) for seed in range(30)]
    pairs = [(a, b) for left, right in zip(found, expected, strict=True) for a, b in zip(left, right, strict=True)]
    assert [a[0].ids for a, _ in pairs] == [b[0].ids for _, b in pairs]
    ended = [(a[0], b[0]) for a, b in pairs if b[0].ended]
    assert len(ended) > 10
    assert all(a.ended and a.score == pytest.approx(b.score, abs=1e-5) for a, b in ended)


@pytest.mark.parametrize("scoring", ["authors", "transformers"])
def test_reported_logprobs_are_the_models_under_filters(scoring: str) -> None:
    model = TableModel(11, 30)
    options = DecodeOptions(max_new_tokens=8, min_new_tokens=3, no_repeat_ngram=2, results=4, scoring=scoring)
    filters = [Banned(((7,), (8,), (9, 10)))]
    for medium in range(10):
        for text in generate(model, TableCache([medium]), [Prompt(0, (CLS, 7))], options, filters)[0]:
            assert 3 <= len(text.ids) <= 8
            assert not {7, 8} & set(text.ids)
            bigrams = list(zip(text.ids, text.ids[1:], strict=False))
            assert len(set(bigrams)) == len(bigrams)
            assert (9, 10) not in bigrams
            tokens = (*text.ids, SEP) if text.ended else text.ids
            assert list(text.logprobs) == pytest.approx(model.rescore(medium, (CLS, 7), tokens), abs=1e-5)


def test_authors_rules_rank_by_renormalised_filtered_scores() -> None:
    model = TableModel(2, 20)
    everything_but = [token for token in range(20) if token not in (SEP, 5)]
    filters = [Banned(tuple((token,) for token in everything_but))]
    options = DecodeOptions(max_new_tokens=3, beams=2, length_penalty=0.0)

    def logprobs_after(ids: tuple[int, ...]) -> list[float]:
        logits = model.logits(0, ids).clone()
        logits[everything_but] = -float("inf")
        return logits.log_softmax(-1).tolist()

    twin = authors_beam(logprobs_after, (CLS,), beams=2, penalty=0.0, max_new_tokens=3, sep_id=SEP)
    (found,) = generate(model, TableCache([0]), [Prompt(0, (CLS,))], options, filters)
    assert found[0].ids == twin[0][1]
    assert found[0].score == pytest.approx(twin[0][0], abs=1e-5)


@pytest.mark.parametrize("scoring", ["authors", "transformers"])
def test_when_all_is_forbidden_beams_end_unfinished(scoring: str) -> None:
    model = TableModel(2, 10)
    options = DecodeOptions(max_new_tokens=5, min_new_tokens=5, beams=3, no_repeat_ngram=1, scoring=scoring)
    filters = [Banned(tuple((token,) for token in range(10) if token not in (4, 5)))]
    (found,) = generate(model, TableCache([0]), [Prompt(0, (CLS,))], options, filters)
    assert sorted(found[0].ids) == [4, 5]
    assert not found[0].ended
    assert found[0].score == found[0].score, "not NaN"
    (found,) = generate(model, TableCache([0]), [Prompt(0, (CLS,))], options, [*filters, Banned(((4,), (5,)))])
    assert (found[0].ids, found[0].logprobs, found[0].ended) == ((), (), False)


def test_a_finished_prompt_leaves_the_batch() -> None:
    model = TableModel(5, 30, sep_bonus=3.0)
    options = DecodeOptions(max_new_tokens=10, beams=4)
    cache = TableCache(range(6))
    alone = 0
    for medium in range(6):
        model.stepped.clear()
        generate(model, cache, [Prompt(medium, (CLS,))], options)
        alone += sum(model.stepped)
    model.stepped.clear()
    generate(model, cache, [Prompt(medium, (CLS,)) for medium in range(6)], options)
    assert sum(model.stepped) == alone
    assert sorted(model.stepped[1:], reverse=True) == model.stepped[1:]


def test_not_a_number_does_not_spread() -> None:
    rules = AuthorsRules(width=2, keep=1, length_penalty=0.6, max_new_tokens=4, sep_id=SEP)
    beam = Beam(rules, 1)
    scores_RV = torch.stack([torch.full((8,), float("nan")), torch.randn(8).log_softmax(-1)])
    broken, sound = beam.advance([beam.begin(1), beam.begin(1)], Scores(scores_RV, scores_RV))
    assert broken.rows == () and not broken.closed[0].ended
    assert len(sound.rows) == 2 and all(row.parent == 1 for row in sound.rows)
