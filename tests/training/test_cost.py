"""What a run will cost: counted weights, counted memory, and a batch that fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pixtell.training.config import RunConfig
from pixtell.training.cost import Cost, cost_of, fitting, free_memory
from pixtell.training.dist import World
from pixtell.training.trainee import Trainee

from .tiny_runs import fresh_loader, fresh_model, run_of


def cost(folder: Path, run: RunConfig, media: int = 2) -> Cost:
    return cost_of(run, 6, Trainee.of(run, 6, fresh_model(), World()), fresh_loader(folder, media))


def test_weights_and_what_learning_them_takes(tmp_path: Path) -> None:
    whole = cost(tmp_path, run_of(precision="fp32"))
    frozen = cost(tmp_path, run_of(precision="fp32", frozen=["vision"], optim={"ema": 0.9}))
    model = fresh_model()
    encoder = sum(p.numel() for p in model.vision.parameters())
    assert whole.parameters == whole.trained == sum(p.numel() for p in model.parameters())
    assert frozen.trained == whole.trained - encoder
    # AdamW, float32: a weight, its gradient and two moments; a frozen one is a weight alone; ema keeps one more.
    # Beside them stays little that doesn't grow with a batch; 4 bytes a weight would be 249,000.
    assert 0 <= whole.standing - 16 * whole.trained < 100_000
    assert 0 <= frozen.standing - 20 * frozen.trained - 4 * encoder < 100_000
    assert frozen.medium < whole.medium


def test_memory_grows_with_the_media_and_shrinks_when_blocks_compute_again(tmp_path: Path) -> None:
    two, eight = cost(tmp_path, run_of(), 2), cost(tmp_path, run_of(), 8)
    assert 0.8 < eight.medium / two.medium < 1.25, "the share of a medium hardly depends on the batch"
    assert eight.memory - eight.standing == 8 * eight.medium
    again = cost(tmp_path, run_of(gradient_checkpointing=True), 2)
    assert again.medium < 0.8 * two.medium
    assert two.seconds > 0


def test_measuring_changes_nothing(tmp_path: Path) -> None:
    run, model = run_of(), fresh_model()
    trainee = Trainee.of(run, 6, model, World())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(3)
    cost_of(run, 6, trainee, fresh_loader(tmp_path))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(("limit", "expected"), [(32, (32, 1)), (31, (16, 2)), (9, (8, 4)), (1, (1, 32)), (0, (1, 32))])
def test_a_batch_is_halved_until_it_fits(limit: int, expected: tuple[int, int]) -> None:
    assert fitting(32, lambda media: media <= limit) == expected


def test_the_machine_says_what_is_free() -> None:
    free = free_memory(torch.device("cpu"))
    assert free is None or free > 10**8
