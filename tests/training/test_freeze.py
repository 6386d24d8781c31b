"""Which weights learn at which step."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import EFFICIENTNET, TEXT, loud_model

from pixtell.config import ModelConfig, PixelConfig
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.training.freeze import ever_learning, hold_still, learning_weights
from pixtell.training.loop import train

from .tiny_runs import fresh_loader, fresh_model, quiet, run_of, unequal


def learning_of_encoder(model: GitModel, step: int, **optim: object) -> set[str]:
    learning = learning_weights(model, run_of(optim=optim), step)
    assert {name for name, _ in model.named_parameters() if not name.startswith("vision.")} <= learning
    return {name.removeprefix("vision.") for name in learning if name.startswith("vision.")}


def test_the_encoder_thaws_as_it_is_told() -> None:
    clip = loud_model()
    everything = {name for name, _ in clip.vision.named_parameters()}
    for blocks, steps, step, learns in (
        (None, 0, 0, everything),
        (None, 3, 2, set()),
        (None, 3, 3, everything),
        (1, 3, 2, set()),
        (1, 3, 3, {name for name in everything if name.startswith(("blocks.1.", "ln_post."))}),
        (2, 0, 0, {name for name in everything if name.startswith(("blocks.", "ln_post."))}),
        (99, 0, 0, {name for name in everything if name.startswith(("blocks.", "ln_post."))}),
    ):
        found = learning_of_encoder(clip, step, frozen_encoder_steps=steps, encoder_blocks=blocks)
        assert found == learns, (blocks, steps, step)
    mobile = GitModel(ModelConfig(EFFICIENTNET, TEXT, PixelConfig(size=64, fit="squash")))
    last = len(mobile.vision.blocks) - 1
    begins = (f"blocks.{last}.", f"blocks.{last - 1}.", "head.")
    expected = {n for n, _ in mobile.vision.named_parameters() if n.startswith(begins)}
    assert learning_of_encoder(mobile, 0, encoder_blocks=2) == expected


def test_parts_are_frozen_by_name() -> None:
    model = loud_model()
    names = {name for name, _ in model.named_parameters()}
    frozen = ever_learning(
        model, run_of(frozen=["vision", "decoder.word_embedding", "prefix.layer_norm.bias"], optim={})
    )
    still = ("vision.", "decoder.word_embedding.", "prefix.layer_norm.bias")
    assert frozen == {name for name in names if not name.startswith(still)}
    hold_still(model, frozen)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == frozen
    with pytest.raises(
        ConfigError, match=r"no weight's name begins with encoder, decoder\.word; parts are decoder, prefix"
    ):
        ever_learning(model, run_of(frozen=["encoder", "decoder.word", "vision"]))


@pytest.mark.parametrize(
    "how", [{"optim": {"frozen_encoder_steps": 99, "lr": 1e-3, "warmup": 1}}, {"frozen": ["vision"]}]
)
def test_frozen_weights_stay_bit_for_bit(tmp_path: Path, how: dict[str, object]) -> None:
    run = run_of(**{"optim": {"lr": 1e-3, "warmup": 1}, **how})
    trained, _ = train(run, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    moved = unequal(fresh_model().state_dict(), trained.state_dict())
    assert moved and not [name for name in moved if name.startswith("vision.")]
