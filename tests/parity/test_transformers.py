"""Ours against transformers 5.23: one set of random weights through our converter, in float32.

Logits within 1e-4 and the same 20 greedy tokens, for captions, questions and clips: full-size git-base, git-base with
6 frames and git-large, and tiny models with the picture, patch and frame counts of every released one.

    B media, F frames, C channels, H W pixels, T text tokens, V vocabulary
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.hub_config import model_config_json, read_model_config
from pixtell.checkpoint.state import Checkpoint, describe, foreign_shapes, from_foreign, known_names, require
from pixtell.config import PRESETS, ClipVitConfig, DecodeOptions, ModelConfig, TextConfig
from pixtell.decoding import Prompt, generate
from pixtell.model import GitModel

transformers = pytest.importorskip("transformers", minversion="5.23")

CLS, SEP = 101, 102
CAPTION = (CLS,)
QUESTION = (CLS, 254, 203, 323, 129)
NEW_TOKENS = 20

TINY_TEXT = TextConfig(vocab_size=500, width=64, layers=2, heads=2, mlp_width=96, max_positions=64)
SHAPES = sorted(
    {
        (preset.model.vision.image_size, preset.model.vision.patch_size, preset.model.frames)
        for preset in PRESETS.values()
        if isinstance(preset.model.vision, ClipVitConfig)
    }
)


def tiny(image_size: int, patch_size: int, frames: int) -> ModelConfig:
    vision = ClipVitConfig(image_size, patch_size, width=32, layers=2, heads=2, mlp_width=64)
    return ModelConfig(vision, TINY_TEXT, frames=frames)


def reference(config: ModelConfig) -> Any:
    """transformers' model of this shape, with weights under which everything matters.

    Its own initialisation leaves biases and temporal embeddings at 0, norms at 1 and pictures hardly visible. Matrices
    keep the size of what they read (1 / sqrt(inputs)); large text positions keep greedy search from saying one token
    for ever; and the head makes logits of about 1, where 1e-4 is a tight bound in float32.
    """
    with torch.device("meta"):
        empty = transformers.GitForCausalLM(transformers.GitConfig(**model_config_json(config, "float32")))
    generator = torch.Generator().manual_seed(11)
    state = {}
    for name, tensor in empty.state_dict().items():
        values = torch.empty(tensor.shape)
        if name == "output.weight":
            state[name] = values.normal_(std=config.text.width**-0.5, generator=generator)
        elif tensor.dim() in (2, 4) and "embedding" not in name:
            scale = 0.5 if name.startswith("git.encoder") else 1.0
            state[name] = values.normal_(std=scale * tensor[0].numel() ** -0.5, generator=generator)
        else:
            norm = name.endswith("weight") and tensor.dim() == 1
            std = 1.0 if name == "git.embeddings.position_embeddings.weight" else 0.2
            state[name] = values.normal_(mean=float(norm), std=std, generator=generator)
    with transformers.initialization.no_init_weights():
        model = transformers.GitForCausalLM(empty.config)
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def converted(model: Any, folder: Path) -> GitModel:
    """The same weights as our model, by the steps that reading a hub folder takes."""
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))
    config = read_model_config(folder, PRESETS["git-base"].hub_pixels)
    state = model.state_dict()
    require(describe(state), foreign_shapes(config, "hub"), "transformers")
    assert known_names(describe(state), "hub") == {name: name for name in state}
    config, ours = from_foreign(state, config, "hub")
    return build_model(Checkpoint(config, ours, vocab=()))


def their_texts(
    model: Any, pixels_BFCHW: torch.Tensor, ids: tuple[int, ...]
) -> list[tuple[tuple[int, ...], torch.Tensor]]:
    """For each medium, 20 greedy tokens and the logits_TV each was chosen from; [SEP] ends a text and is left out."""
    ids_BT = torch.tensor([ids] * len(pixels_BFCHW))
    found = model.generate(
        input_ids=ids_BT,
        attention_mask=torch.ones_like(ids_BT),
        # Their models of single pictures take pixels without a dimension for frames.
        pixel_values=pixels_BFCHW if model.config.num_image_with_embedding else pixels_BFCHW[:, 0],
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    logits_BTV = torch.stack(found.logits, dim=1)
    texts = []
    for row, logits_TV in zip(found.sequences[:, len(ids) :].tolist(), logits_BTV, strict=True):
        tokens = tuple(row[: row.index(SEP)] if SEP in row else row)
        texts.append((tokens, logits_TV[: len(tokens)]))
    return texts


def our_tokens(model: GitModel, visual_BPD: torch.Tensor, ids: tuple[int, ...]) -> list[tuple[int, ...]]:
    prompts = [Prompt(medium, ids) for medium in range(len(visual_BPD))]
    options = DecodeOptions(beams=1, max_new_tokens=NEW_TOKENS)
    return [found[0].ids for found in generate(model, model.prefill(visual_BPD), prompts, options)]


def compare(config: ModelConfig, folder: Path, media: int) -> None:
    """A caption and a question about each medium: the greedy tokens, and the logits that each was chosen from."""
    model = reference(config)
    ours = converted(model, folder)
    assert ours.config.vision == config.vision and ours.config.frames == config.frames
    size = config.vision.image_size
    pixels_BFCHW = torch.randn(media, max(1, config.frames), 3, size, size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        visual_BPD = ours.see(pixels_BFCHW)
        for ids in (CAPTION, QUESTION):
            texts = their_texts(model, pixels_BFCHW, ids)
            assert our_tokens(ours, visual_BPD, ids) == [tokens for tokens, _ in texts]
            assert len({token for tokens, _ in texts for token in tokens}) > 5, "a text of one token would prove little"
            for medium, (tokens, wanted_TV) in enumerate(texts):
                assert len(tokens) == NEW_TOKENS
                assert wanted_TV.std() > 0.5, "logits that hardly differ would prove nothing"
                found_BKTV = ours(visual_BPD[[medium]], torch.tensor([[(*ids, *tokens[:-1])]]))
                torch.testing.assert_close(found_BKTV[0, 0, len(ids) - 1 :], wanted_TV, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("image_size", "patch_size", "frames"), SHAPES)
def test_tiny_models_of_every_released_shape(image_size: int, patch_size: int, frames: int, tmp_path: Path) -> None:
    compare(tiny(image_size, patch_size, frames), tmp_path, media=2)


def test_every_shape_is_there() -> None:
    tokens = {(size // patch) ** 2 + 1 for size, patch, _ in SHAPES}
    assert tokens == {197, 257, 901}
    assert {(224, 16, 6), (224, 14, 6), (480, 16, 0), (420, 14, 0)} <= set(SHAPES)


@pytest.mark.parametrize("name", ["git-base", "git-base-vatex", "git-large"])
def test_full_size_models(name: str, tmp_path: Path) -> None:
    compare(PRESETS[name].model, tmp_path, media=1)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (426, 640), (640, 480), (480, 480)])
def test_kept_aspects_with_interpolated_positions(height: int, width: int, tmp_path: Path) -> None:
    """transformers interpolates when asked to; its convolution drops the same rows that don't fill a patch."""
    model = reference(tiny(480, 16, 0))
    ours = converted(model, tmp_path)
    pixels_BFCHW = torch.randn(1, 1, 3, height, width, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        wanted = model(torch.tensor([QUESTION]), pixel_values=pixels_BFCHW[:, 0], interpolate_pos_encoding=True).logits
        found = ours(ours.see(pixels_BFCHW), torch.tensor([[QUESTION]]))[:, 0]
    torch.testing.assert_close(found, wanted[:, -len(QUESTION) :], atol=1e-4, rtol=0)


def test_a_change_anywhere_is_noticed(tmp_path: Path) -> None:
    """The comparison above is not blind: a small change of any one tensor moves the logits by more than 1e-4."""
    config = tiny(32, 16, 2)
    checkpoint = weights_of(converted(reference(config), tmp_path))
    pixels_BFCHW = torch.randn(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(3))

    def logits(state: dict[str, torch.Tensor]) -> torch.Tensor:
        model = build_model(replace(checkpoint, state=state))
        return model(model.see(pixels_BFCHW), torch.tensor([[QUESTION]]))

    with torch.inference_mode():
        base = logits(dict(checkpoint.state))
        moved = {name: (logits(state) - base).abs().max().item() for name, state in changes(checkpoint)}
    unseen = {name for name, distance in moved.items() if distance < 1e-3}
    assert not unseen


def weights_of(model: GitModel) -> Checkpoint:
    return Checkpoint(model.config, model.state_dict(), vocab=())


def changes(checkpoint: Checkpoint) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(4)
    for name, tensor in checkpoint.state.items():
        noise = torch.empty(tensor.shape).normal_(std=0.1, generator=generator)
        yield name, {**checkpoint.state, name: tensor + noise}
