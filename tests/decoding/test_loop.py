"""The loop: batches against single prompts, streams against whole texts, and what leaves the batch when."""

from __future__ import annotations

import random

import pytest
import torch

from pixtell.cache import KVCache
from pixtell.config import ClipVitConfig, DecodeOptions, ModelConfig, TextConfig
from pixtell.decoding import Prompt, generate, stream
from pixtell.errors import ConfigError
from pixtell.model import GitModel

from .authors_beam import authors_beam
from .table_model import CLS, SEP, TableCache, TableModel, prompt_ids

VOCAB = 40
GREEDY = DecodeOptions(beams=1, max_new_tokens=9)
SAMPLES = DecodeOptions(beams=1, temperature=0.9, top_p=0.9, seed=1, results=2, max_new_tokens=9)
BEAMS = DecodeOptions(beams=4, results=2, max_new_tokens=9)


@pytest.fixture(scope="module")
def real() -> tuple[GitModel, torch.Tensor]:
    """A tiny random GIT whose texts end now and then, and the visual tokens of three media."""
    text = TextConfig(
        vocab_size=VOCAB, width=32, layers=2, heads=4, mlp_width=32, max_positions=32, cls_id=CLS, sep_id=SEP
    )
    vision = ClipVitConfig(image_size=8, patch_size=8, width=8, layers=1, heads=1, mlp_width=8)
    model = GitModel(ModelConfig(vision=vision, text=text)).eval().requires_grad_(False)
    torch.manual_seed(0)
    for parameter in model.decoder.parameters():
        if parameter.dim() > 1:  # the layer norms stay as they are, or all texts come out alike
            parameter.normal_(std=0.5)
    model.decoder.head.bias[SEP] += 4.5
    return model, torch.randn(3, 5, 32)


def mixed_prompts() -> list[Prompt]:
    generator = torch.Generator().manual_seed(1)
    prompts = [Prompt(index % 3, prompt_ids(generator, VOCAB, longest=7)) for index in range(8)]
    assert len({len(prompt.ids) for prompt in prompts}) > 3
    return prompts


@pytest.mark.parametrize("options", [GREEDY, SAMPLES, BEAMS])
def test_mixed_questions_in_any_order_equal_one_at_a_time(
    real: tuple[GitModel, torch.Tensor], options: DecodeOptions
) -> None:
    model, visual_BPD = real
    cache = model.prefill(visual_BPD)
    prompts = mixed_prompts()
    alone = [generate(model, cache, [prompt], options)[0] for prompt in prompts]
    assert len({len(text.ids) for texts in alone for text in texts}) > 3
    for shuffle in range(3):
        order = random.Random(shuffle).sample(range(8), 8)
        together = generate(model, cache, [prompts[index] for index in order], options)
        for texts, index in zip(together, order, strict=True):
            assert [text.ids for text in texts] == [text.ids for text in alone[index]]
            assert [text.score for text in texts] == pytest.approx([text.score for text in alone[index]], abs=1e-4)


def test_beams_of_the_real_model_equal_the_slow_twin_without_a_cache(real: tuple[GitModel, torch.Tensor]) -> None:
    model, visual_BPD = real
    prompts = mixed_prompts()
    found = generate(model, model.prefill(visual_BPD), prompts, BEAMS)
    for prompt, texts in zip(prompts, found, strict=True):
        medium_1PD = visual_BPD[prompt.media : prompt.media + 1]

        def logprobs_after(ids: tuple[int, ...], medium_1PD: torch.Tensor = medium_1PD) -> list[float]:
            return model(medium_1PD, torch.tensor([[ids]]))[0, 0, -1].log_softmax(-1).tolist()

        twin = authors_beam(logprobs_after, prompt.ids, beams=4, penalty=0.6, max_new_tokens=9, sep_id=SEP, results=2)
        assert [text.ids for text in texts] == [ids for _, ids in twin]
        assert [text.score for text in texts] == pytest.approx([score for score, _ in twin], abs=1e-4)


def test_beams_take_turns_between_two_pieces_of_memory(
    real: tuple[GitModel, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, visual_BPD = real
    places: list[int] = []
    reorder = KVCache.reorder

    def noted(self: KVCache, rows_R: list[int], spare: KVCache | None = None) -> KVCache:
        cache = reorder(self, rows_R, spare)
        places.append(cache.text_keys.data_ptr())
        return cache

    monkeypatch.setattr(KVCache, "reorder", noted)
    generate(model, model.prefill(visual_BPD), mixed_prompts(), DecodeOptions(min_new_tokens=9, max_new_tokens=9))
    # The prompts' own rows are too few for their beams, so two more pieces are made, and no third.
    assert len(places) == 9 and len(set(places)) == 2


def test_the_cache_of_the_media_is_not_changed(real: tuple[GitModel, torch.Tensor]) -> None:
    model, visual_BPD = real
    cache = model.prefill(visual_BPD)
    first = generate(model, cache, mixed_prompts(), BEAMS)
    assert cache.num_rows == 0
    assert generate(model, cache, mixed_prompts(), BEAMS) == first


def test_finished_rows_leave_the_batch() -> None:
    model = TableModel(5, VOCAB, sep_bonus=3.0)
    prompts = [Prompt(medium, (CLS, 4)) for medium in range(6)]
    found = generate(model, TableCache(range(6)), prompts, GREEDY)
    # A text of n words that has ended took n + 1 steps, one that was cut off n.
    steps = [len(text.ids) + text.ended for (text,) in found]
    assert model.stepped == [sum(step < count for count in steps) for step in range(max(steps))]
    assert len(set(steps)) > 2


def test_samples_read_the_prompt_once() -> None:
    model = TableModel(5, VOCAB)
    generate(model, TableCache([0]), [Prompt(0, (CLS, 4))], SAMPLES)
    assert model.stepped[0] == 1 and max(model.stepped) == 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_streamed_tokens_equal_the_whole(temperature: float) -> None:
    options = DecodeOptions(beams=1, temperature=temperature, seed=3 if temperature else None, max_new_tokens=9)
    model, cache = TableModel(6, VOCAB), TableCache(range(3))
    told: list[list[int]] = [[] for _ in range(8)]
    whole = generate(model, cache, mixed_prompts(), options, on_token=lambda index, token: told[index].append(token))
    assert [tuple(ids) for ids in told] == [text.ids for (text,) in whole]
    again: list[list[int]] = [[] for _ in range(8)]
    for index, token in stream(model, cache, mixed_prompts(), options):
        again[index].append(token)
    assert again == told


def test_a_stream_steps_only_when_asked() -> None:
    model = TableModel(6, VOCAB, sep_bonus=-5.0)
    pieces = stream(model, TableCache([0]), [Prompt(0, (CLS,))], GREEDY)
    assert model.stepped == []
    assert next(pieces)[0] == 0
    assert model.stepped == [1]
    assert len(list(pieces)) == 8


def test_what_cannot_stream_is_refused_at_once() -> None:
    model, cache, prompts = TableModel(6, VOCAB), TableCache([0]), [Prompt(0, (CLS,))]
    for options, reason in ((BEAMS, "4 beams"), (SAMPLES, "results is 2")):
        with pytest.raises(ConfigError, match=reason):
            stream(model, cache, prompts, options)
        with pytest.raises(ConfigError, match=reason):
            generate(model, cache, prompts, options, on_token=lambda index, token: None)
    assert model.stepped == []


@pytest.mark.parametrize("options", [GREEDY, SAMPLES, BEAMS, DecodeOptions(scoring="transformers")])
def test_no_prompts_no_texts_and_one_new_token(options: DecodeOptions) -> None:
    assert generate(TableModel(6, VOCAB), TableCache([0]), [], options) == []
    changed = DecodeOptions(**{**vars(options), "max_new_tokens": 1})
    for texts in generate(TableModel(6, VOCAB), TableCache([0]), [Prompt(0, (CLS,))], changed):
        assert all(len(text.ids) <= 1 for text in texts)


def test_a_prompt_without_room_is_refused_with_the_numbers() -> None:
    with pytest.raises(ConfigError, match=r"a prompt of 4 tokens .* 69 positions, but the model has 64.* at most 60"):
        generate(TableModel(6, VOCAB), TableCache([0]), [Prompt(0, (CLS, 5, 6, 7))], DecodeOptions(max_new_tokens=65))
    with pytest.raises(ConfigError, match=r"at least \[CLS\]"):
        Prompt(0, ())


def test_half_precision_logits_are_searched_in_float32(real: tuple[GitModel, torch.Tensor]) -> None:
    model, visual_BPD = real

    class Half:
        config = model.config

        def __init__(self, dtype: torch.dtype) -> None:
            self.dtype = dtype

        def step(self, *arguments: object) -> torch.Tensor:
            return model.step(*arguments).bfloat16().to(self.dtype)

    cache = model.prefill(visual_BPD)
    for options in (GREEDY, SAMPLES, BEAMS):
        half, single = (Half(dtype) for dtype in (torch.bfloat16, torch.float32))
        expected = generate(single, cache, mixed_prompts(), options)
        assert generate(half, cache, mixed_prompts(), options) == expected
