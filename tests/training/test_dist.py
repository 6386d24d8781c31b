"""Several processes learn what one would; killed, they go on where they were, also as fewer; slices or whole copies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_data import texts_tar

from pixtell.data.loader import prefetched
from pixtell.errors import ConfigError
from pixtell.training.dist import UNSHARED_STORE, World, joined
from pixtell.training.log import broken_in
from pixtell.training.run import run_training
from pixtell.training.state import found_states

from .tiny_runs import (
    STEADY,
    fresh_loader,
    fresh_model,
    in_processes,
    killed,
    newest,
    quiet,
    run_and_die,
    run_main,
    start_processes,
    unequal,
    workplace,
)

SOURCE = Path(__file__).resolve().parents[2] / "src"
STEPS = 8


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run file, and runs of it on one and on two processes."""
    folder = tmp_path_factory.mktemp("runs")
    run_file = str(workplace(folder, STEPS, start=STEADY))
    in_processes(1, run_main, run_file, str(folder / "one"))
    in_processes(2, run_main, run_file, str(folder / "two"))
    return folder


def test_two_processes_learn_what_one_does(runs: Path) -> None:
    """Their batches hold other numbers of tokens, so a mean of means would be another."""
    end = newest(runs / "one")
    moved = max(float((end[f"model.{name}"] - t).abs().max()) for name, t in fresh_model().state_dict().items())
    assert moved > 1e-3, "there is something to differ in"
    assert unequal(end, newest(runs / "two"), atol=1e-5) == []


def test_accumulated_batches_are_one_large_one(runs: Path, tmp_path: Path) -> None:
    """Two micro-batches a step on one process and on two: which process has which text makes no difference."""
    run_file = str(workplace(tmp_path, STEPS, start=STEADY))
    setting = "optim.accumulation=2"
    in_processes(1, run_main, run_file, str(tmp_path / "one"), "--set", setting)
    in_processes(2, run_main, run_file, str(tmp_path / "two"), "--set", setting)
    assert unequal(newest(tmp_path / "one"), newest(tmp_path / "two"), atol=1e-5) == []
    assert unequal(newest(tmp_path / "one"), newest(runs / "one"), atol=1e-5) != []


@pytest.mark.parametrize(
    "extra",
    [
        [],
        pytest.param(["optim.ema=0.9", "gradient_checkpointing=true"], marks=pytest.mark.slow),
        pytest.param(["lora.rank=2"], marks=pytest.mark.slow),
    ],
)
def test_slices_learn_what_whole_copies_do(runs: Path, tmp_path: Path, extra: list[str]) -> None:
    run_file = str(workplace(tmp_path, STEPS, start=STEADY))
    settings = [word for setting in extra for word in ("--set", setting)]
    whole = runs / "two"
    if extra:
        whole = tmp_path / "ddp"
        in_processes(2, run_main, run_file, str(whole), *settings)
    in_processes(2, run_main, run_file, str(tmp_path / "fsdp2"), *settings, "--set", "dist.strategy=fsdp2")
    assert unequal(newest(whole), newest(tmp_path / "fsdp2"), atol=1e-4) == []


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_killed_processes_go_on_to_the_same_weights(runs: Path, tmp_path: Path, strategy: str) -> None:
    """Two die in the fourth step; two go on to what two would have learnt, bit for bit, one alone to nearly that."""
    run_file, folder = str(workplace(tmp_path, STEPS, start=STEADY)), tmp_path / "run"
    setting = f"dist.strategy={strategy}"
    killed(start_processes(2, run_and_die, STEPS, 4, run_file, str(folder), "--set", setting))
    assert found_states(folder)[-1].name == "step-00000003", "killed in the midst"
    if strategy == "ddp":
        in_processes(2, run_main, run_file, str(folder))
        assert unequal(newest(folder), newest(runs / "two")) == []
    else:  # slices are put together by one process
        in_processes(1, run_main, run_file, str(folder))
        assert unequal(newest(folder), newest(runs / "one"), atol=1e-4) == []


def test_two_processes_begin_from_the_state_that_slices_were_saved_in(runs: Path, tmp_path: Path) -> None:
    """Each reads it alone, and they learn what one would."""
    run_file = str(workplace(tmp_path, 2, start=STEADY))
    in_processes(2, run_main, run_file, str(tmp_path / "slices"), "--set", "dist.strategy=fsdp2")
    settings = ("--set", f"start.model={tmp_path / 'slices'}", "--set", "steps=1")
    in_processes(2, run_main, run_file, str(tmp_path / "two"), *settings)
    in_processes(1, run_main, run_file, str(tmp_path / "one"), *settings)
    assert unequal(newest(tmp_path / "one"), newest(tmp_path / "two"), atol=1e-5) == []


def test_the_order_of_the_data_does_not_depend_on_the_processes(tmp_path: Path) -> None:
    """What two processes see together in steps 0 to 3, and one from then on, is what one alone sees."""
    loader = fresh_loader(tmp_path, media=3)
    alone = [batch.keys for batch in prefetched(loader, 0, 8)]
    shares = [[b.keys for b in prefetched(fresh_loader(tmp_path, media=3), 0, 4, rank=r, world=2)] for r in (0, 1)]
    then = [batch.keys for batch in prefetched(fresh_loader(tmp_path, media=3), 4, 8)]
    assert [first + second for first, second in zip(*shares, strict=True)] + then == alone
    assert len(set(alone)) > 4


def test_too_many_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_file = workplace(tmp_path, STEPS)

    def three() -> World:
        return World(0, 3)

    class Three:
        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> World:
            return three()

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("pixtell.training.run.joined", Three)
    with pytest.raises(ConfigError, match=r"3 processes need a medium each: streams\.1\.media is 2"):
        run_training(run_file, tmp_path / "run", quiet)


def test_alone_is_a_world_too() -> None:
    said: list[str] = []
    with joined(said.append, "cpu") as world:
        assert world == World() and world.first
        assert world.sum(1.5, 2) == [1.5, 2]
        assert world.gather("x") == ["x"] and world.of_first(lambda: 7) == 7
    assert said == []


def test_what_the_first_process_finds_the_others_know(tmp_path: Path) -> None:
    in_processes(2, _talk, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def _talk(folder: Path) -> None:
    os.environ["TORCHELASTIC_MAX_RESTARTS"] = "1"
    said: list[str] = []
    with joined(said.append) as world:
        assert world.sum(world.rank + 1, 0.5) == [3.0, 1.0]
        assert world.gather(f"process {world.rank}") == ["process 0", "process 1"]
        assert world.of_first(lambda: world.rank) == 0
        with pytest.raises(ZeroDivisionError):
            world.of_first(lambda: 1 / world.rank)
        assert bool(said) == world.first and all(UNSHARED_STORE in line for line in said)
        (folder / str(world.rank)).touch()


def test_rows_that_only_one_process_passed_over_are_in_the_log(tmp_path: Path) -> None:
    run_file = str(workplace(tmp_path, STEPS, start=STEADY))
    texts = [(f"p{number}", {"caption": f"word{number}"}) for number in range(6)]
    texts_tar(tmp_path / "data" / "captions-1.tar", texts, broken=["p0", "p2", "p4"])
    in_processes(2, run_main, run_file, str(tmp_path / "two"))
    assert sorted(broken_in(tmp_path / "two")) == ["p0", "p2", "p4"]


def torchrun(*words: str) -> subprocess.Popen[str]:
    """The documented command for two processes of one machine, with these words after it."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", UNSHARED_STORE: "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *words]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_torchrun_runs_pixtell_train(runs: Path, tmp_path: Path) -> None:
    run_file, folder = workplace(tmp_path, STEPS, start=STEADY), tmp_path / "run"
    launcher = torchrun("-m", "pixtell", "train", str(run_file), str(folder))
    _, said = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, said
    assert said.count(f"pixtell: {folder / 'model'}: the finished model") == 1, "of several processes one speaks"
    assert "  cider " in said, "the command brings it"
    assert unequal(newest(folder), newest(runs / "two")) == []


@pytest.mark.slow
def test_torchrun_restarts_after_the_death_of_one(runs: Path, tmp_path: Path) -> None:
    """The real command: one of two processes is killed, torchrun starts both again, and the weights are the same."""
    run_file, folder = workplace(tmp_path, STEPS, start=STEADY), tmp_path / "run"
    launcher = torchrun("--max-restarts", "2", "-m", "pixtell.training", str(run_file), str(folder))
    while not found_states(folder):
        assert launcher.poll() is None
        time.sleep(0.001)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    os.kill(int(children[-1]), 9)
    _, said = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, said
    assert said.count("parameters, steps ") == 2, "and it was started again"
    assert unequal(newest(folder), newest(runs / "two")) == []
    assert torch.isfinite(torch.stack([tensor.sum() for tensor in newest(folder).values()])).all()
