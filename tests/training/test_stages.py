"""Stages: one after another in one run file, each in a folder of its own; killed at any moment, and with mistakes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pixtell.checkpoint.convert import load_checkpoint, save_checkpoint
from pixtell.data.lock import lock
from pixtell.errors import ConfigError, PixtellError
from pixtell.training import run as module
from pixtell.training.config import LoraConfig, RunConfig, StartConfig, StreamConfig
from pixtell.training.run import Judges, fit_later, run_training
from pixtell.training.stages import Stage
from pixtell.training.state import found_states, seal

from .tiny_runs import (
    CONFIG,
    PATIENCE,
    RUN_FILE,
    STEADY,
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
STAGES = """
[[then]]
steps = 3
[then.optim]
lr = 2e-3
[[then.streams]]
data = "data/questions.tar"
media = 2
"""
FIRST, SECOND = 4, 3  # steps
WEIGHTS = Path("model") / "model.safetensors"


def staged(folder: Path, more: str = "", start: str = STEADY) -> Path:
    return workplace(folder, FIRST, start=start, text=RUN_FILE + STAGES + more)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two stages that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("straight")
    assert run_training(staged(folder), folder / "run", quiet)
    return folder / "run"


def heard(run_file: Path, folder: Path, *overrides: str, finished: bool = True) -> list[str]:
    said: list[str] = []
    assert run_training(run_file, folder, said.append, overrides=overrides) == finished
    return said


def same(one: Path, other: Path) -> bool:
    return all((one / name / WEIGHTS).read_bytes() == (other / name / WEIGHTS).read_bytes() for name in NAMES)


NAMES = ("stage-1", "stage-2", "")


def test_the_second_stage_is_a_run_from_the_model_of_the_first(straight: Path, tmp_path: Path) -> None:
    """By hand: two run files and two commands. The dropout given at first is in the model."""
    first = workplace(tmp_path, FIRST, start=STEADY)
    assert run_training(first, tmp_path / "one", quiet)
    assert (tmp_path / "one" / WEIGHTS).read_bytes() == (straight / "stage-1" / WEIGHTS).read_bytes()
    second = workplace(tmp_path, SECOND)
    settings = ("start.model=one/model", "optim.lr=2e-3", "streams=[{data='data/questions.tar', media=2}]")
    assert run_training(second, tmp_path / "two", quiet, overrides=settings)
    assert (tmp_path / "two" / WEIGHTS).read_bytes() == (straight / "stage-2" / WEIGHTS).read_bytes()
    assert load_checkpoint(straight / "model").config.text.dropout == 0.0


def test_what_lies_where(straight: Path) -> None:
    assert sorted(path.name for path in straight.iterdir()) == [".lock", "model", "stage-1", "stage-2"]
    for number, steps in ((1, FIRST), (2, SECOND)):
        folder = straight / f"stage-{number}"
        assert found_states(folder)[-1].name == f"step-{steps:08}" and (folder / "report.html").exists()
    assert (
        same(straight, straight) and (straight / WEIGHTS).read_bytes() == (straight / "stage-2" / WEIGHTS).read_bytes()
    )
    assert sorted(path.name for path in (straight / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "vocab.txt"
    ]  # fmt: skip


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("where", "calls"),
    [("save_checkpoint", 1), ("write_report", 1), ("train", 2), ("save_checkpoint", 2), ("save_checkpoint", 3)],
)
def test_what_dies_between_two_stages_goes_on(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, calls: int
) -> None:
    """Before the model of a stage, before it is sealed, before the next stage's first step, before the last model."""
    real, left = getattr(module, where), [calls]

    def mortal(*arguments: object, **named: object) -> object:
        left[0] -= 1
        return real(*arguments, **named) if left[0] else die()

    run_file = staged(tmp_path)
    monkeypatch.setattr(module, where, mortal)
    with pytest.raises(KeyboardInterrupt):
        run_training(run_file, tmp_path / "run", quiet)
    assert not (tmp_path / "run" / "model").exists()
    monkeypatch.undo()
    assert run_training(run_file, tmp_path / "run", quiet, resume=True)
    assert same(tmp_path / "run", straight)


def test_two_processes_are_killed_in_the_second_stage_and_go_on(straight: Path, tmp_path: Path) -> None:
    run_file, folder = str(staged(tmp_path)), tmp_path / "run"
    many = ("--set", "then.0.steps=8")
    killed(start_processes(2, run_and_die, 8, 4, run_file, str(folder), *many))
    assert found_states(folder / "stage-2")[-1].name == "step-00000003", "killed in the midst"
    assert unequal(newest(folder / "stage-1"), newest(straight / "stage-1"), atol=1e-5) == []
    before = (folder / "stage-1" / WEIGHTS).stat().st_mtime_ns
    in_processes(2, run_main, run_file, str(folder), *many)
    assert (folder / "stage-1" / WEIGHTS).stat().st_mtime_ns == before
    in_processes(2, run_main, run_file, str(tmp_path / "other"), *many)
    assert same(folder, tmp_path / "other")


def test_finished_stages_are_not_run_again_wherever_they_lie(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_file = staged(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_training(run_file, Path("run"), quiet)
    os.rename("run", "moved")
    monkeypatch.chdir(Path("/"))
    assert heard(run_file, tmp_path / "moved") == ["stage 1 of 2: finished before", "stage 2 of 2: finished before"]
    assert same(tmp_path / "moved", straight)
    (tmp_path / "moved" / "stage-1" / WEIGHTS).write_bytes(b"damaged")
    assert heard(run_file, tmp_path / "moved")[0] == "stage 1 of 2"
    assert same(tmp_path / "moved", straight), "made anew from the last state, and the second began from the same"
    said = heard(
        run_file,
        tmp_path / "moved",
        "then=[{steps=3, optim={lr=2e-3}, streams=[{data='data/questions.tar', media=2}]}, {steps=1}]",
    )
    assert said[:3] == ["stage 1 of 3: finished before", "stage 2 of 3: finished before", "stage 3 of 3"]


def test_a_finished_stage_with_other_settings_is_refused(tmp_path: Path) -> None:
    run_file, folder = staged(tmp_path), tmp_path / "run"
    assert run_training(run_file, folder, quiet)
    with pytest.raises(ConfigError, match=r"stage-1.step-00000004 is of another run \(optim.lr was 0.001 and is 0.5"):
        run_training(run_file, folder, quiet, overrides=["optim.lr=0.5"])
    with pytest.raises(ConfigError, match=r"stage-2.step-00000003 is of another run \(optim.lr was 0.002 and is 0.5"):
        run_training(run_file, folder, quiet, overrides=["then.0.optim.lr=0.5"])
    os.rename(folder / "stage-1", tmp_path / "away")
    with pytest.raises(ConfigError, match=r"stage-2.* is of another run \(start.model was stage-1/model \(.*and is"):
        run_training(run_file, folder, quiet, overrides=["optim.lr=0.5", "then.0.optim.lr=2e-3"])


def test_the_best_look_is_kept_by_a_stage_and_counts_for_whether_it_is_finished(tmp_path: Path) -> None:
    run_file, folder = staged(tmp_path), tmp_path / "run"
    kept = ("then.0.validation.keep_best=true", "then.0.validation.before=true", "then.0.optim.lr=5")
    assert run_training(run_file, folder, quiet, overrides=kept)
    models = [load_file(folder / name / WEIGHTS) for name in NAMES]
    assert unequal(models[0], models[1]) == [] == unequal(models[0], models[2]), "such a rate makes nothing better"
    said = heard(run_file, folder, "then.0.optim.lr=5")
    assert said[:2] == ["stage 1 of 2: finished before", "stage 2 of 2"]
    last = {name[6:]: tensor.half() for name, tensor in newest(folder / "stage-2").items() if name[:6] == "model."}
    assert unequal(load_file(folder / WEIGHTS), last) == []


def test_the_data_of_later_stages_are_opened_before_the_first(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"none\.tar"):
        run_training(staged(tmp_path), tmp_path / "run", quiet, overrides=["then.0.streams.0.data=none.tar"])
    with pytest.raises(ConfigError, match="CIDEr is wired by the command"):
        run_training(staged(tmp_path), tmp_path / "run", quiet, overrides=["then.0.scst.samples=2"])
    rewarded, nobody = ["then.0.scst.samples=2"], Judges(reward=lambda pictures: lambda references, said: [])
    with pytest.raises(ConfigError, match="only captions are rewarded, and no stream has any"):
        run_training(staged(tmp_path), tmp_path / "run", quiet, overrides=rewarded, judges=nobody)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("then.0.frozen=['visoin']", "stage 2 of 2: frozen: no weight's name begins with visoin; parts are decoder, "),
        ("then.0.lora.targets=['x.*']", r"stage 2 of 2: lora.targets: no linear layer is called x\.\*"),
        ("then.0.start.frames=1", "stage 2 of 2: start.frames: the stage before has 2 temporal embeddings"),
        ("then.0.streams.0.frames=3", r"stage 2 of 2: the model has 2 .*start\.frames = 3 adds more: streams\.0"),
    ],
)
def test_what_later_stages_want_of_the_model_is_looked_at_before_the_first(
    tmp_path: Path, setting: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        run_training(staged(tmp_path), tmp_path / "run", quiet, overrides=[setting])
    assert not (tmp_path / "run" / "stage-1").exists()


def test_later_stages_may_want_what_those_before_them_add() -> None:
    """Frames, and larger pictures; it is all found out without a weight."""
    run = RunConfig.model_validate({"steps": 1, "streams": [{"data": "x"}], "start": {"frames": 4, "size": 48}})
    more = run.model_copy(update={"start": StartConfig(), "streams": (StreamConfig(data="x", frames=4),)})
    adapters = more.model_copy(update={"lora": LoraConfig()})
    fit_later(CONFIG, [Stage(each, Path("x"), "a stage") for each in (run, more, adapters)])
    with pytest.raises(ConfigError, match="a stage: the model has 2 temporal embeddings"):
        fit_later(CONFIG, [Stage(more, Path("x"), "a stage")])


def test_a_folder_in_which_another_process_trains_is_left_alone(tmp_path: Path) -> None:
    run_file, folder = staged(tmp_path), tmp_path / "run"
    folder.mkdir()
    with (folder / ".lock").open("a") as file:
        lock(file.fileno(), folder, "")
        with pytest.raises(
            PixtellError, match=r"run.\.lock: another process is at it: wait for the training that runs"
        ):
            run_training(run_file, folder, quiet)
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert run_training(run_file, folder, quiet), "a lock ends with its process"


def test_a_folder_is_for_one_stage_or_for_several(straight: Path, tmp_path: Path) -> None:
    plain = workplace(tmp_path, FIRST, start=STEADY)
    with pytest.raises(ConfigError, match=r"holds the stages of a run file with \[\[then\]\]"):
        run_training(plain, straight, quiet)
    assert run_training(plain, tmp_path / "run", quiet)
    run_file = staged(tmp_path)
    with pytest.raises(ConfigError, match=r"a run without \[\[then\]\]: move all of it but its run file to .*stage-1"):
        run_training(run_file, tmp_path / "run", quiet)
    (tmp_path / "new").mkdir()
    os.rename(tmp_path / "run", tmp_path / "new" / "stage-1")
    said = heard(run_file, tmp_path / "new")
    assert any(line.endswith("steps 4 to 4") for line in said)
    assert same(tmp_path / "new", straight)


def test_resuming_insists_that_any_stage_has_a_state(tmp_path: Path) -> None:
    run_file = staged(tmp_path)
    with pytest.raises(ConfigError, match="no state to go on from"):
        run_training(run_file, tmp_path / "run", quiet, resume=True)


def test_a_model_that_is_sealed_by_halves_is_not_finished(straight: Path, tmp_path: Path) -> None:
    run_file, folder = staged(tmp_path), tmp_path / "run"
    assert run_training(run_file, folder, quiet)
    seals = folder / "stage-2" / "model" / "whole.json"
    seals.write_bytes(seals.read_bytes()[:40])
    assert heard(run_file, folder)[1] == "stage 2 of 2"
    save_checkpoint(load_checkpoint(folder / "stage-1" / "model"), folder / "stage-2" / "model", overwrite=True)
    seal(folder / "stage-2" / "model", 3, {"of": "another run"})
    assert heard(run_file, folder)[1] == "stage 2 of 2"
    assert same(folder, straight)


@pytest.mark.slow
def test_killed_six_times_the_command_goes_on_to_the_very_same_models(straight: Path, tmp_path: Path) -> None:
    """Each time a little after something new is there; nothing is deleted or repaired."""
    command = [sys.executable, "-m", "pixtell", "train", str(staged(tmp_path)), str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    moment, deaths = random.Random(3), 0
    marks = ("stage-1/step-00000002", "stage-1/step-00000004", "stage-1/model", "stage-1/model/whole.json")
    for mark in (*marks, "stage-2/step-00000001", "stage-2/model"):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and not (tmp_path / "run" / mark).exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(moment.uniform(0, 0.02))
        process.kill()
        deaths += process.wait() != 0
    assert deaths >= 4, "most kills came before the end"
    assert subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False).returncode == 0
    assert same(tmp_path / "run", straight)
