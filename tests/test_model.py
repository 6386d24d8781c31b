"""The whole model, pixels to logits, against the plain writing of GIT."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from plain_git import plain_git
from tiny import EFFICIENTNET, TEXT, assert_near, loud_model, random_ids, random_pixels, tiny_config
from torch import Tensor, nn

from pixtell.config import ModelConfig, PixelConfig
from pixtell.errors import InputError
from pixtell.model import GitModel


@pytest.mark.parametrize(("embeddings", "frames"), [(0, 1), (4, 1), (4, 3), (4, 4)])
def test_equals_the_plain_writing_from_pixels_to_logits(embeddings: int, frames: int) -> None:
    model = loud_model(tiny_config(frames=embeddings))
    pixels_BFCHW, ids_BKT = random_pixels(2, frames, 16, 16), random_ids(2, 2, 6)
    with torch.inference_mode():
        visual_BPD = model.see(pixels_BFCHW)
        logits_BKTV = model(visual_BPD, ids_BKT)
        step_RV = model.step(ids_BKT.flatten(0, 1), model.prefill(visual_BPD).rows([0, 0, 1, 1], capacity=6))
        for medium in range(2):
            for text in range(2):
                twin = plain_git(model.state_dict(), model.config, pixels_BFCHW[medium], ids_BKT[medium, text].tolist())
                assert_near(logits_BKTV[medium, text], twin)
                assert_near(step_RV[2 * medium + text], twin[-1])
    assert visual_BPD.shape == (2, 5 * frames, TEXT.width)


def test_frames_in_another_order_are_another_clip() -> None:
    model, pixels_BFCHW = loud_model(tiny_config(frames=4)), random_pixels(1, 4, 16, 16)
    with torch.inference_mode():
        forwards, backwards = model.see(pixels_BFCHW), model.see(pixels_BFCHW.flip(1))
    shuffled_back = backwards.view(1, 4, 5, -1).flip(1).flatten(1, 2)
    assert (forwards - shuffled_back).abs().max() > 0.1, "time is seen"


def test_too_many_frames() -> None:
    pixels_BFCHW = random_pixels(1, 5, 16, 16)
    with pytest.raises(InputError, match="5 frames, but the model has 4 temporal embeddings"):
        loud_model(tiny_config(frames=4)).see(pixels_BFCHW)
    with pytest.raises(InputError, match="5 frames, but this model reads single pictures"):
        loud_model().see(pixels_BFCHW)
    with torch.inference_mode():
        assert loud_model(tiny_config(frames=4)).see(pixels_BFCHW, resample_frames=True).shape[1] == 25


def test_media_are_seen_one_by_one() -> None:
    """A batch gives each medium what it gets alone, also of a shape that is not the learned one."""
    model, pixels_BFCHW = loud_model(tiny_config(frames=2)), random_pixels(3, 2, 24, 33)
    with torch.inference_mode():
        together = model.see(pixels_BFCHW)
        alone = torch.cat([model.see(one[None]) for one in pixels_BFCHW])
    assert together.shape == (3, 2 * (1 + 3 * 4), TEXT.width)
    assert_near(together, alone)


def test_the_encoder_runs_once_for_all_frames_and_never_for_text() -> None:
    model = loud_model(tiny_config(frames=3))
    calls: list[int] = []
    model.vision.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    with torch.inference_mode():
        cache = model.prefill(model.see(random_pixels(2, 3, 16, 16))).rows([0, 0, 0, 1], capacity=9)
        for _ in range(3):
            model.step(random_ids(4, 3), cache)
    assert calls == [6]


def efficientnet_model() -> GitModel:
    torch.manual_seed(5)
    config = ModelConfig(EFFICIENTNET, TEXT, PixelConfig(size=64, fit="squash"), 2)
    return GitModel(config).eval()


def test_an_efficientnet_sees_and_speaks() -> None:
    model, pixels_BFCHW, ids_BKT = efficientnet_model(), random_pixels(2, 2, 64, 96), random_ids(2, 1, 4)
    with torch.inference_mode():
        visual_BPD = model.see(pixels_BFCHW)
        assert visual_BPD.shape == (2, 2 * 2 * 3, TEXT.width)
        logits_RV = model.step(ids_BKT[:, 0], model.prefill(visual_BPD).rows([0, 1], capacity=4))
        assert torch.allclose(logits_RV, model(visual_BPD, ids_BKT)[:, 0, -1], atol=1e-5)


@pytest.mark.parametrize("build", [lambda: loud_model(tiny_config(frames=2)), efficientnet_model])
def test_bfloat16_runs_and_is_close(build: Callable[[], GitModel]) -> None:
    model, ids_BKT = build(), random_ids(2, 2, 5)
    pixels_BFCHW = random_pixels(2, 2, 64, 64)

    def look(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            visual_BPD = model.to(dtype).see(pixels_BFCHW.to(dtype))
            rows = model.prefill(visual_BPD).rows([0, 0, 1, 1], capacity=5)
            forward = model(visual_BPD, ids_BKT)[:, :, -1].flatten(0, 1)
            return forward, model.step(ids_BKT.flatten(0, 1), rows)

    (exact, _), (forward, step) = look(torch.float32), look(torch.bfloat16)
    assert forward.dtype == step.dtype == torch.bfloat16
    for rough in (forward, step):
        error = (rough.float() - exact).pow(2).mean().sqrt() / exact.std()
        assert error < 0.1, f"bfloat16 is off by {error:.3f} of the logits' spread"


def test_every_weight_learns() -> None:
    model = loud_model(tiny_config(frames=2)).train()
    nn.functional.cross_entropy(
        model(model.see(random_pixels(2, 2, 16, 16)), random_ids(2, 1, 4)).flatten(0, 2), torch.arange(8)
    ).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
