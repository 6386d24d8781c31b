"""Beam search with `scoring="transformers"` gives the tokens that `transformers` 5.23 itself gives.

Both search over one and the same tiny, random `GitForCausalLM`: ours through a wrapper that runs it without a cache.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from pixtell.config import DecodeOptions, ModelConfig, TextConfig
from pixtell.decoding import Prompt, generate

from .table_model import TableCache

VOCAB, CLS, SEP, PAD = 60, 1, 2, 0


class Wrapped:
    """A `GitForCausalLM` that obeys `StepModel`, medium m being picture m of `pixels_BCHW`."""

    def __init__(self, model: Any, pixels_BCHW: Tensor) -> None:
        self.model, self.pixels_BCHW = model, pixels_BCHW
        self.calls = 0  # of the model, by whichever search
        model.register_forward_hook(self.count)
        text = TextConfig(vocab_size=VOCAB, width=32, heads=4, cls_id=CLS, sep_id=SEP, pad_id=PAD, max_positions=64)
        self.config = ModelConfig(text=text)

    def count(self, *_: object) -> None:
        self.calls += 1

    def step(self, ids_RT: Tensor, cache: TableCache, lengths_R: Tensor | None = None) -> Tensor:
        assert lengths_R is None
        cache.texts = [
            (medium, (*text, *ids)) for (medium, text), ids in zip(cache.texts, ids_RT.tolist(), strict=True)
        ]
        pixels_RCHW = self.pixels_BCHW[[medium for medium, _ in cache.texts]]
        ids_RT = torch.tensor([text for _, text in cache.texts])
        return self.model(input_ids=ids_RT, pixel_values=pixels_RCHW, use_cache=False).logits[:, -1]


@pytest.fixture(scope="module")
def tiny() -> Wrapped:
    transformers = pytest.importorskip("transformers")
    vision = {
        "image_size": 16,
        "patch_size": 8,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = transformers.GitConfig(
        vision_config=vision,
        vocab_size=VOCAB,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=64,
        bos_token_id=CLS,
        eos_token_id=SEP,
        pad_token_id=PAD,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = transformers.GitForCausalLM(config).eval()
    with torch.no_grad():  # far from uniform
        for parameter in model.parameters():
            parameter.mul_(4.0)
        model.output.weight.normal_(std=0.15)
    return Wrapped(model, torch.randn(6, 3, 16, 16))


def theirs(tiny: Wrapped, prompt: Prompt, options: DecodeOptions) -> tuple[list[tuple[int, ...]], list[float]]:
    """The new tokens of each result without [SEP], and its score."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = tiny.model.generate(
            pixel_values=tiny.pixels_BCHW[[prompt.media]],
            input_ids=torch.tensor([prompt.ids]),
            num_beams=options.beams,
            num_return_sequences=options.results,
            length_penalty=options.length_penalty,
            max_new_tokens=options.max_new_tokens,
            min_new_tokens=options.min_new_tokens or None,
            early_stopping=False,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
    new = [ids[len(prompt.ids) :] for ids in out.sequences.tolist()]
    return [tuple(ids[: ids.index(SEP)] if SEP in ids else ids) for ids in new], out.sequences_scores.tolist()


def test_tokens_scores_and_steps_equal_those_of_transformers(tiny: Wrapped) -> None:
    lengths, early = set(), 0
    for seed in range(60):
        draw = random.Random(seed)
        beams = draw.randint(2, 6)
        maximum = draw.randint(1, 14)
        options = DecodeOptions(
            beams=beams,
            results=draw.randint(1, beams),
            length_penalty=draw.choice([0.0, 0.6, 1.0, 2.0]),
            max_new_tokens=maximum,
            min_new_tokens=draw.choice([0, 0, maximum // 2]),
            scoring="transformers",
        )
        tiny.model.output.bias.data[SEP] = draw.choice([1.0, 3.0, 5.0])  # from long texts to searches that stop early
        prompt = Prompt(draw.randrange(6), (CLS, *(draw.randrange(3, VOCAB) for _ in range(draw.randrange(5)))))
        before = tiny.calls
        found = generate(tiny, TableCache(range(6)), [prompt], options)[0]
        between = tiny.calls
        ids, scores = theirs(tiny, prompt, options)
        assert between - before == tiny.calls - between, "both should stop at the same step"
        assert [text.ids for text in found] == ids, (seed, options, prompt)
        assert [text.score for text in found] == pytest.approx(scores, abs=1e-5)
        early += tiny.calls - between < options.max_new_tokens
        lengths |= {len(text.ids) for text in found}
    assert len(lengths) > 8 and early > 8, "texts of many lengths and many early stops, or the test shows little"
