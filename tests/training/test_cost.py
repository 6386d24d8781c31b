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


MB = 1 << 20


def machine(root: Path, cgroup: str, files: dict[str, object], available: int = 900) -> int:
    """Megabytes that are free on a machine with these control groups, of which `available` are in all."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:  {available * 1024} kB\n")
    (root / "proc" / "self" / "cgroup").write_text(cgroup)
    for name, value in files.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value * MB if isinstance(value, int) else value}\n")
    free = free_memory(torch.device("cpu"), root)
    assert free is not None
    return free // MB


CACHED = f"anon 5\nactive_file {20 * MB}\ninactive_file {10 * MB}\nshmem 7"


def test_docker_and_slurm_allow_less_than_the_machine_has(tmp_path: Path) -> None:
    """Files that a group keeps in memory make room; the tightest of the groups above it counts, too."""
    docker = {"memory.max": 500, "memory.current": 130, "memory.stat": CACHED}
    assert machine(tmp_path / "docker", "0::/docker/af12\n", docker) == 400
    assert machine(tmp_path / "roomy", "0::/\n", {**docker, "memory.max": 4_000}) == 900
    slurm = {f"slurm/job_7/{name}": value for name, value in {**docker, "memory.max": 300}.items()}
    step = {f"slurm/job_7/step_0/{name}": value for name, value in {**docker, "memory.max": "max"}.items()}
    assert machine(tmp_path / "slurm", "0::/slurm/job_7/step_0\n", {**slurm, **step}) == 200
    old = {
        "memory/slurm/memory.limit_in_bytes": 250,
        "memory/slurm/memory.usage_in_bytes": 100,
        "memory/slurm/memory.stat": f"total_inactive_file {5 * MB}",
    }
    assert machine(tmp_path / "old", "9:cpu,cpuacct:/\n8:memory:/slurm\n0::/init\n", old) == 155
    assert machine(tmp_path / "full", "0::/\n", {**docker, "memory.current": 600}) == 0
    assert machine(tmp_path / "none", "0::/user.slice\n", {}) == 900


def test_the_machine_says_what_is_free() -> None:
    free = free_memory(torch.device("cpu"))
    assert free is None or free > 10**8
