"""The processes of one training: who they are, how they add up numbers, and how the model lies across them.

In: what torchrun puts into the environment, or nothing. Out: a `World` (one process alone is a world, too), and the
model wrapped for it. Each holds the whole model (DistributedDataParallel) or a slice of every weight (FSDP2).

    pixtell train RUN.toml FOLDER                                                           one process
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 \\
    torchrun --standalone --nproc-per-node 2 -m pixtell train RUN.toml FOLDER               two, on one machine
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 \\
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint FIRST:29400 \\
        --max-restarts 3 -m pixtell train RUN.toml FOLDER                                   this line on each of four

The surprising thing is the variable: without it torchrun and its processes share one TCP store, in which the addresses
of dead processes stay, so that after the death of one of them the restart hangs or fails (pytorch issue 135712; seen
with torch 2.13 and gloo). It is read by torchrun itself, so it has to stand before it; `joined` says so where it lacks.
FOLDER must be seen by all machines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from pixtell.errors import ConfigError

T = TypeVar("T")
UNSHARED_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
# How long a process waits for the others: an evaluation, or a checkpoint read from a slow disk, may take that long.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class World:
    """This process's place among `size` processes, and its device."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def only_first(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """`say` on the process that speaks for all; on the others nobody hears."""
        return say if self.first else unheard

    def sum(self, *numbers: float) -> list[float]:
        """Each number added up over all processes; the same on each."""
        if self.size == 1:
            return list(numbers)
        added = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(added)
        return [float(number) for number in added.tolist()]

    def gather(self, own: T) -> list[T]:
        """What each process has, in their order; the same list on each."""
        if self.size == 1:
            return [own]
        found: list[T | None] = [None] * self.size
        dist.all_gather_object(found, own)
        return cast(list[T], found)

    def of_first(self, make: Callable[[], T]) -> T:
        """What `make` gives on the first process, on all of them. What it raises there is raised everywhere."""
        if self.size == 1:
            return make()
        answer: list[object] = [None, None]
        if self.first:
            try:
                answer[0] = make()
            except Exception as error:  # the others wait for an answer, whatever it is
                answer[1] = error
        dist.broadcast_object_list(answer, src=0)
        if isinstance(answer[1], Exception):
            raise answer[1]
        return cast(T, answer[0])


def unheard(_: str) -> None:
    """Say nothing, as a process that is not the first."""


@contextmanager
def joined(say: Callable[[str], None], device: str | None = None) -> Iterator[World]:
    """Join the processes that torchrun has started, or be alone; leave them at the end.

    The device is a GPU of one's own where there is one. Raises `ConfigError` where there are more processes than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    on_gpu = torch.cuda.is_available() if device is None else device.startswith("cuda")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpu and local >= torch.cuda.device_count():
        raise ConfigError(
            f"torchrun: process {local} of this machine finds {torch.cuda.device_count()} GPUs: "
            f"set --nproc-per-node to at most that"
        )
    place = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
    if size == 1:
        yield World(device=place)
        return
    # Beside nccl, gloo carries what is on the CPU: objects, and the states that are saved from there.
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    world = World(dist.get_rank(), size, place)
    if world.first and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and not os.environ.get(UNSHARED_STORE):
        say(f"warning: torchrun's restarts may hang; start it as {UNSHARED_STORE}=1 torchrun ...")
    try:
        yield world
    finally:
        dist.destroy_process_group()


def shard(learner: nn.Module, blocks: Sequence[nn.Module], world: World) -> None:
    """Slice every weight over the processes (FSDP2); each of `blocks` is gathered alone, what is left together.

    Blocks of the decoder can't be among them: their halves are called from outside, where no hook would gather them.
    """
    mesh = init_device_mesh(world.device.type, (world.size,))
    for part in (*blocks, learner):
        fully_shard(part, mesh=mesh)


def replicate(learner: nn.Module, world: World) -> nn.Module:
    """`learner` with its gradients averaged over the processes as they come (DistributedDataParallel)."""
    if world.size == 1:
        return learner
    gpu = [world.device] if world.device.type == "cuda" else None
    return DistributedDataParallel(learner, device_ids=gpu, gradient_as_bucket_view=True, broadcast_buffers=False)


def averaging(learner: nn.Module, now: bool) -> AbstractContextManager[None]:
    """Whether gradients are averaged over the processes after this pass, or only added up on each."""
    if isinstance(learner, FSDPModule):
        learner.set_requires_gradient_sync(now)
        return nullcontext()
    if isinstance(learner, DistributedDataParallel) and not now:
        return cast("AbstractContextManager[None]", learner.no_sync())
    return nullcontext()


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together from its slices; all processes must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_slice(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
