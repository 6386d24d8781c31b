"""Tiny trainings: a run, a model, a loader and a folder for them, processes to spread them over, and what they saved.

The processes come from a server that has imported torch already, so that a test can afford many.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_data import VOCAB, captions_tar, questions_tar, tokenizer
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.data.loader import Batch, Loader, Stream
from pixtell.data.sources import TarSource
from pixtell.model import GitModel
from pixtell.training import loop
from pixtell.training.__main__ import main
from pixtell.training.config import RunConfig
from pixtell.training.state import KEPT, found_states
from pixtell.training.step import Objective, Outcome
from pixtell.training.trainee import Trainee

CONFIG = ModelConfig(
    ClipVitConfig(image_size=32, patch_size=8, width=32, layers=1, heads=2, mlp_width=64),
    TextConfig(
        vocab_size=len(VOCAB),
        width=48,
        layers=2,
        heads=3,
        mlp_width=96,
        max_positions=48,
        cls_id=VOCAB.index("[CLS]"),
        sep_id=VOCAB.index("[SEP]"),
    ),
    PixelConfig(size=32, fit="squash"),
    frames=2,
)
QUIET_LOADING = {"workers": 0}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pixtell.training.run"])
PATIENCE = 120  # seconds

RUN_FILE = """
seed = 5
steps = {steps}
precision = "fp32"
[start]
model = "start"
{start}
[[streams]]
data = "data/captions-*.tar"
weight = 2
media = 4
[[streams]]
data = "data/captions-*.tar"
media = 2
frames = 2
[[streams]]
data = "data/questions.tar"
media = 3
[optim]
encoder_lr = 1e-4
lr = 1e-3
warmup = 1
[loading]
workers = 0
[saving]
every = {save_every}
[validation]
every = 1000
limit = 3
captions = "data/captions-*.tar"
questions = "data/questions.tar"
"""
STEADY = "dropout = 0.0\nattention_dropout = 0.0"  # chance differs from process to process


def run_of(**changes: object) -> RunConfig:
    """A run of six steps over streams that `fresh_loader` brings."""
    settings = {
        "steps": 6,
        "streams": [{"data": "unused", "media": 2}],
        "optim": {"encoder_lr": 1e-3, "lr": 1e-3, "warmup": 2, "frozen_encoder_steps": 2},
        "loading": QUIET_LOADING,
        "saving": {"every": 3},
        "validation": {"every": 5},
        **changes,
    }
    return RunConfig.model_validate(settings)


def fresh_model(config: ModelConfig = CONFIG) -> GitModel:
    """The same random model each time."""
    torch.manual_seed(1)
    return GitModel(config)


def fresh_loader(folder: Path, media: int = 2) -> Loader:
    """New objects over the same tars, as a new process would have them."""
    captions, questions = folder / "captions.tar", folder / "questions.tar"
    if not captions.exists():
        captions_tar(captions)
        questions_tar(questions)
    streams = [
        Stream(TarSource([captions]), weight=2, media=media, texts=2),
        Stream(TarSource([captions]), weight=1, media=media, texts=2, frames=2),
        Stream(TarSource([questions]), weight=1, media=media, texts=1),
    ]
    return Loader(streams, tokenizer(), CONFIG.pixels, seed=4)


def quiet(_: str) -> None:
    """For who need not hear it."""


def workplace(folder: Path, steps: int, save_every: int = 1, start: str = "", text: str = RUN_FILE) -> Path:
    """A folder with tiny tars, a tiny model to start from, and a run file, whose path it returns."""
    if not (folder / "data").exists():
        (folder / "data").mkdir()
        captions_tar(folder / "data" / "captions-0.tar")
        questions_tar(folder / "data" / "questions.tar")
        save_checkpoint(Checkpoint(CONFIG, fresh_model().state_dict(), VOCAB), folder / "start")
    path = folder / "run.toml"
    path.write_text(text.format(steps=steps, save_every=save_every, start=start), encoding="utf-8")
    return path


@contextmanager
def full_disk() -> Iterator[None]:
    """Within it no file may grow above ten bytes; who tries hears "File too large", an error as any of a disk."""
    resource = pytest.importorskip("resource", reason="there is no limit to set")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def stored(state: Path) -> dict[str, Tensor]:
    """The tensors of a saved state."""
    entries = FileSystemReader(state).read_metadata().state_dict_metadata
    tensors: dict[str, Any] = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in entries.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # one process reads alone
    load(tensors, checkpoint_id=state)
    return {name.removeprefix(f"{KEPT}."): tensor for name, tensor in tensors.items()}


def newest(folder: Path) -> dict[str, Tensor]:
    """The tensors of a run's newest state."""
    return stored(found_states(folder)[-1])


def unequal(one: Mapping[str, Tensor], other: Mapping[str, Tensor], atol: float = 0.0) -> list[str]:
    """The names of tensors that differ, by more than `atol`."""
    assert one.keys() == other.keys()
    return [name for name in one if not torch.allclose(one[name], other[name], rtol=0, atol=atol)]


def start_processes(count: int, work: Callable[..., object], *arguments: object) -> list[BaseProcess]:
    """Start `count` processes that torchrun could have started, each doing `work(*arguments)`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes: list[BaseProcess] = []
    for rank in range(count):
        process = FORKS.Process(target=_as_rank, args=(rank, count, port, work, arguments))
        process.start()
        processes.append(process)
    return processes


def in_processes(count: int, work: Callable[..., object], *arguments: object) -> None:
    """The same, to the end, which must be a good one."""
    processes = start_processes(count, work, *arguments)
    for process in processes:
        process.join(PATIENCE)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * count, codes


def _as_rank(rank: int, count: int, port: int, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    work(*arguments)


def run_main(*arguments: str) -> None:
    """`python -m pixtell.training ...`, which must end well."""
    assert main(list(arguments)) == 0


def run_and_die(steps: int, after: int, *arguments: str) -> None:
    """The same, but that the process kills itself once it has learnt for `after` of a run's `steps`.

    By then all processes have saved the state before, if they save at each step.
    """
    learn = loop.learn

    def mortal(trainee: Trainee, batches: Sequence[Batch], step: int, objective: Objective) -> Outcome:
        outcome = learn(trainee, batches, step, objective)
        if (trainee.steps, step + 1) == (steps, after):
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome

    loop.learn = mortal
    main([*arguments, "--set", "saving.asynchronous=false"])


def killed(processes: Sequence[BaseProcess]) -> None:
    """Wait until processes that `run_and_die` are dead: by their own hands, or by what the death of another raised."""
    for process in processes:
        process.join(PATIENCE)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert -signal.SIGKILL in codes and None not in codes and 0 not in codes, codes
