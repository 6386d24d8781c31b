"""Two learning rates, one schedule, four groups."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import EFFICIENTNET, TEXT, loud_model, tiny_config

from pixtell.config import ModelConfig, PixelConfig
from pixtell.model import GitModel
from pixtell.training.config import OptimConfig
from pixtell.training.optim import build_optimizer, clip_gradients, learning_rate, set_learning_rate

CONFIG = OptimConfig(encoder_lr=1e-5, lr=5e-5, warmup=4, weight_decay=0.02, frozen_encoder_steps=10)


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 0.25),
        (1, 0.5),
        (3, 1.0),  # the last step of the warm-up is at the peak
        (4, 1.0),  # and the cosine begins there
        (8, 0.5 * (1 + math.cos(math.pi * 4 / 16))),
        (12, 0.5),
        (16, 0.5 * (1 - math.cos(math.pi * 4 / 16))),
        (19, 0.5 * (1 + math.cos(math.pi * 15 / 16))),
        (20, 0.0),
    ],
)
def test_schedule(step: int, share: float) -> None:
    assert learning_rate(step, steps=20, warmup=4) == pytest.approx(share, abs=1e-12)


def test_schedule_rises_then_falls_and_stays_within_0_and_1() -> None:
    shares = [learning_rate(step, 50, 10) for step in range(50)]
    assert shares[:10] == sorted(shares[:10]) and shares[10:] == sorted(shares[10:], reverse=True)
    assert all(0 < share <= 1 for share in shares)
    assert learning_rate(3, steps=3, warmup=3) == 1.0, "a run of nothing but warm-up divides by nothing"


@pytest.mark.parametrize(
    ("step", "encoder", "decoder"),
    [
        (0, 0.0, 0.25),
        (9, 0.0, learning_rate(9, 40, 4)),
        (10, 0.25, learning_rate(10, 40, 4)),  # thawed: its own warm-up begins
        (13, 1.0, learning_rate(13, 40, 4)),
        (27, 0.5 * (1 + math.cos(math.pi * 13 / 26)), learning_rate(27, 40, 4)),
    ],
)
def test_the_encoder_has_a_schedule_of_its_own(step: int, encoder: float, decoder: float) -> None:
    optimizer = build_optimizer(loud_model().named_parameters(), CONFIG)
    set_learning_rate(optimizer, CONFIG, step, 40)
    for group in optimizer.param_groups:
        peak_share = 1e-5 * encoder if group["name"] == "encoder" else 5e-5 * decoder
        assert group["lr"] == pytest.approx(peak_share), group["name"]


def efficientnet_model() -> GitModel:
    return GitModel(ModelConfig(EFFICIENTNET, TEXT, PixelConfig(size=64, fit="squash"), 2))


@pytest.mark.parametrize("model", [loud_model(tiny_config(frames=2, tied_head=False)), efficientnet_model()])
def test_groups(model: GitModel) -> None:
    optimizer = build_optimizer(model.named_parameters(), CONFIG)
    place = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters())) == len(place)
    for name, parameter in model.named_parameters():
        group = place[id(parameter)]
        vector = name.endswith("bias") or "norm.weight" in name or ".ln_" in name or name == "vision.class_embedding"
        assert group["weight_decay"] == (0.0 if vector else 0.02), name
        assert (group["name"], group["peak_lr"]) == (
            ("encoder", 1e-5) if name.startswith("vision.") else ("decoder", 5e-5)
        ), name


def test_weights_that_get_no_gradient_do_not_decay() -> None:
    """A frozen encoder must stay bit for bit what it was."""
    model = loud_model()
    optimizer = build_optimizer(model.named_parameters(), CONFIG)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.decoder.head.bias.grad = torch.ones_like(model.decoder.head.bias)
    optimizer.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"decoder.head.bias"}


def test_clipping_gives_the_norm_before() -> None:
    model = loud_model()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    norm = math.sqrt(sum(p.numel() for p in model.parameters()))
    assert clip_gradients(model.parameters(), 1.0) == pytest.approx(norm, rel=1e-4)
    after = math.sqrt(sum(float((p.grad**2).sum()) for p in model.parameters() if p.grad is not None))
    assert after == pytest.approx(1.0, rel=1e-3)
    assert clip_gradients(model.parameters(), 5.0) == pytest.approx(1.0, rel=1e-3), "a small one is left as it is"
    assert clip_gradients(model.parameters(), 5.0) == pytest.approx(1.0, rel=1e-3)


def test_the_encoder_learns_a_fifth_as_fast_unless_it_is_told() -> None:
    assert OptimConfig().rate_of_encoder == pytest.approx(1e-5) and OptimConfig().lr == 5e-5
    assert OptimConfig(lr=1e-3).rate_of_encoder == pytest.approx(2e-4)
    assert OptimConfig(lr=1e-3, encoder_lr=0.0).rate_of_encoder == 0.0


def test_moments_that_are_there_from_the_start_change_nothing() -> None:
    """torch would make them at the first step; a state must have the same tensors before it."""
    ours, twin = loud_model(), loud_model()
    keywords = {"betas": (0.8, 0.9), "eps": 1e-8, "weight_decay": 0.0}
    plain = torch.optim.AdamW(twin.parameters(), lr=1e-2, fused=True, **keywords)
    slow = loud_model()
    unfused = torch.optim.AdamW(slow.parameters(), lr=1e-2, **keywords)
    config = OptimConfig(lr=1e-2, encoder_lr=1e-2, betas=(0.8, 0.9), weight_decay=0.0)
    optimizer = build_optimizer(ours.named_parameters(), config)
    assert len(optimizer.state) == len(list(ours.parameters()))
    for _ in range(3):
        for model, each in ((ours, optimizer), (twin, plain), (slow, unfused)):
            for parameter in model.parameters():
                parameter.grad = parameter.detach().sin()
            each.step()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[name]), name
        assert torch.allclose(tensor, slow.state_dict()[name], atol=1e-6), name
