"""The published logits: pass and fail on a tiny model, and the numbers as a person reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixtell.checkpoint import verify as module
from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.state import Checkpoint
from pixtell.checkpoint.verify import BUS, CATS, PUBLISHED, SPAGHETTI, Published, VerifyReport, verify
from pixtell.config import PRESETS, PixelConfig, Preset
from pixtell.errors import CheckpointError, InputError
from pixtell.pixels import to_pixels


def photo() -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def released(make: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Checkpoint]:
    """Tiny released models whose published logits are what the model computes with its hub pixels, step by step."""

    def build(shape: str) -> Checkpoint:
        checkpoint = replace(make(shape), preset=shape)
        config = checkpoint.config
        hub_pixels = PixelConfig(size=config.vision.image_size)
        frames = [photo()] * max(1, config.frames)
        model = build_model(checkpoint)
        with torch.inference_mode():
            cache = model.prefill(model.see(to_pixels(frames, hub_pixels)[None])).rows([0], 1)
            logits = model.step(torch.tensor([[config.text.cls_id]]), cache)[0, :3].tolist()
        monkeypatch.setattr(module, "PRESETS", {shape: Preset(shape, config, hub_pixels)})
        monkeypatch.setattr(module, "PUBLISHED", {shape: Published(tuple(round(x, 4) for x in logits))})
        return checkpoint

    return build


@pytest.mark.parametrize("shape", ["picture", "question", "separate"])
def test_a_faithful_model_passes_and_a_changed_one_fails(
    released: Callable[[str], Checkpoint], shape: str, tmp_path: Path
) -> None:
    checkpoint = released(shape)
    photo().save(tmp_path / "cats.png")
    report = verify(checkpoint, str(tmp_path / "cats.png"))
    assert report.passed and str(report).endswith("pass: must agree within 0.0001")
    state = dict(checkpoint.state)
    state["decoder.head.bias"] = state["decoder.head.bias"] + 2.5e-4
    changed = verify(replace(checkpoint, state=state), photo())
    assert not changed.passed and "FAIL" in str(changed)
    other = verify(checkpoint, photo().rotate(90))
    assert not other.passed, "another picture"


def test_a_clip_and_a_name_given_by_hand(released: Callable[[str], Checkpoint]) -> None:
    checkpoint = replace(released("clip"), preset=None)
    with pytest.raises(CheckpointError, match="not known which model this is; those that have are clip"):
        verify(checkpoint, [photo()] * 6)
    assert verify(checkpoint, [photo()] * 6, "clip").passed
    with pytest.raises(InputError, match="1 frames, but clip needs a clip of 6 frames"):
        verify(checkpoint, photo(), "clip")


def test_a_clip_where_a_picture_is_needed(released: Callable[[str], Checkpoint]) -> None:
    with pytest.raises(InputError, match="2 frames, but picture needs one picture"):
        verify(released("picture"), [photo()] * 2)


def test_a_model_without_published_logits(make: Callable[..., Checkpoint]) -> None:
    for name in ("git-base-msrvtt", "pixtell-mini"):
        with pytest.raises(CheckpointError, match=f"{name} has no published logits; those that have are git-base, "):
            verify(make(), photo(), name)


def test_the_table() -> None:
    assert PUBLISHED.keys() == {name for name, preset in PRESETS.items() if preset.on_hub}
    assert len(PUBLISHED) == 17
    for name, published in PUBLISHED.items():
        clip = PRESETS[name].model.frames > 0
        assert published.medium == (SPAGHETTI if clip else BUS if "textvqa" in name else CATS)
        assert max(published.logits) - min(published.logits) < 0.002


def test_the_report_shows_the_numbers_side_by_side() -> None:
    report = VerifyReport("git-base", CATS, "cats.jpg", (-1.2832, -1.2835, -1.2840), (-1.28321, -1.2835, -1.28440))
    assert str(report).splitlines() == [
        "git-base on cats.jpg (published for 000000039769.jpg), logits after [CLS]",
        "          published    computed  difference",
        "      0     -1.2832     -1.2832    -0.00001",
        "      1     -1.2835     -1.2835     0.00000",
        "      2     -1.2840     -1.2844    -0.00040",
        "FAIL: must agree within 0.0001",
    ]
    assert replace(report, computed=(-1.2833, -1.2835, -1.2841)).passed
    assert not replace(report, computed=(float("nan"),) * 3).passed
