"""What a run costs before it is begun: weights, memory, seconds a step.

In: a run and its parts, put together. Out: a `Cost`. Passes over a few real rows are made, there and back, of each
stream; what they keep for the way back and how long they take is scaled to whole batches. Nothing is learnt by it.

The surprising thing: memory is counted, not watched. What autograd keeps comes by in a hook, so that the estimate is
the same on a busy machine; what a GPU's allocator wastes is on top of it.

    B media, F frames, C channels, H W pixels, K texts a medium, T tokens
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pixtell.data.loader import Batch, Loader
from pixtell.training.config import RunConfig
from pixtell.training.step import Objective, captions
from pixtell.training.trainee import Trainee

FEW = 4  # media of a trial pass: enough that a medium's share of it is what it is in a batch
# Bytes of a weight, float32; of one that learns its gradient and AdamW's two moments as well, and its running mean.
WEIGHT, GRADIENT, MOMENTS, MEAN = 4, 4, 8, 4
# By version: a group's limit, what it uses, and the parts of memory.stat that are files which can be read again.
CGROUP_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")),
    2: ("memory.max", "memory.current", ("active_file", "inactive_file")),
}


@dataclass(frozen=True)
class Cost:
    """Weights, and those that learn; bytes that stay, and bytes of each medium of a batch; the seconds of a step."""

    parameters: int
    trained: int
    standing: int
    medium: int
    media: int
    seconds: float

    @property
    def memory(self) -> int:
        """Bytes that a step takes."""
        return self.standing + self.medium * self.media


def cost_of(run: RunConfig, steps: int, trainee: Trainee, loader: Loader, objective: Objective = captions) -> Cost:
    """Measure a step of the run with all its weights learning. Raises `InputError` when no row can be seen."""
    trainee.begin(min(run.optim.frozen_encoder_steps, steps))
    counts = [(p.numel(), p.requires_grad) for p in trainee.model.parameters()]
    trained = sum(number for number, learns in counts if learns)
    parameters = sum(number for number, _ in counts)
    learning = GRADIENT + MOMENTS + (MEAN if run.optim.ema else 0)
    medium = fixed = 0
    seconds, cycle = 0.0, sum(stream.weight for stream in loader.streams)
    largest = max(loader.streams, key=lambda stream: stream.media * stream.frames)
    for stream in loader.streams:
        few = [replace(stream, media=min(FEW, stream.media), weight=1)]
        batch = Loader(few, loader.tokenizer, loader.pixels, loader.seed, max_broken=loader.broken.limit).batch(0)
        alone = _kept(trainee, batch, 1)
        kept = _kept(trainee, batch, batch.media)
        spent = _seconds(trainee, batch, objective)
        seconds += spent / batch.media * stream.media * stream.weight / cycle * run.optim.accumulation
        one = (kept - alone) / (batch.media - 1) if batch.media > 1 else kept
        medium = max(medium, round(one * stream.media / largest.media))
        fixed = max(fixed, round(alone - one))  # weights in bfloat16, of which a batch needs one copy
    trainee.optimizer.zero_grad(set_to_none=True)
    standing = parameters * WEIGHT + trained * learning + max(0, fixed)
    return Cost(parameters, trained, standing, medium, largest.media, seconds)


def _kept(trainee: Trainee, batch: Batch, media: int) -> int:
    """Bytes kept for the way back, without the weights themselves."""
    own = {parameter.untyped_storage().data_ptr() for parameter in trainee.core.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    parts = (batch.pixels_BFCHW, batch.ids_BKT, batch.need_predict_BKT.float())
    inputs = [part[:media].to(trainee.world.device) for part in parts]
    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(keep, _same):
        torch.autograd.backward(trainee.core(*inputs))
    return sum(kept.values())


def _seconds(trainee: Trainee, batch: Batch, objective: Objective) -> float:
    """The time that learning a batch takes, there and back, after one that warms up."""
    with torch.random.fork_rng():  # chance in here changes none of that after it
        for _ in range(2):
            start = time.perf_counter()
            for part in objective(trainee, [batch]).parts:
                torch.autograd.backward(trainee.core(part.pixels_BFCHW, part.ids_BKT, part.weight_BKT))
            if trainee.world.device.type == "cuda":
                torch.cuda.synchronize(trainee.world.device)
    return time.perf_counter() - start


def _same(tensor: Tensor) -> Tensor:
    return tensor


def free_memory(device: torch.device, root: Path = Path("/")) -> int | None:
    """Bytes that a training could have: of the GPU, or of the machine, as far as Docker or SLURM allow it.

    None where the system doesn't say.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else None
    return min([free, *_allowed(root)])


def _allowed(root: Path) -> list[int]:
    """What the limits of this process's control groups leave, from its own up to the topmost one (man 7 cgroups).

    A container sees its own group at the top, though it is told another name.
    """
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        controllers, _, own = line.partition(":")[2].partition(":")
        version = 2 if not controllers else 1 if "memory" in controllers.split(",") else None
        if version is None:
            continue
        top = root / "sys" / "fs" / "cgroup" / ("memory" if version == 1 else "")
        group = top / own.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top) and (left := _left(folder, *CGROUP_FILES[version])) is not None:
                found.append(left)
    return found


def _left(group: Path, limit: str, used: str, cached: tuple[str, ...]) -> int | None:
    """What a group may still take, with the files it keeps in memory, which make room; None where it has no limit."""
    try:
        most, taken = (int((group / name).read_text(encoding="ascii")) for name in (limit, used))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        kept = sum(int(line.split()[1]) for line in lines if line.split()[0] in cached)
    except (OSError, ValueError, IndexError):  # "max" is no number
        return None
    return max(0, most - taken + kept)


def fitting(media: int, fits: Callable[[int], bool]) -> tuple[int, int]:
    """`media` halved until a batch fits, and how many such batches make the step that was meant."""
    accumulation = 1
    while media > 1 and not fits(media):
        media, accumulation = (media + 1) // 2, accumulation * 2
    return media, accumulation
