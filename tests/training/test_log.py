"""The log: for people and programs, without what a killed run wrote in vain."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pixtell.data.row import Problem
from pixtell.errors import MissingExtraError, PixtellError
from pixtell.model import GitModel
from pixtell.training.config import LogConfig
from pixtell.training.log import Log, before_and_after, broken_in, lines_of, time_left
from pixtell.training.loop import train
from pixtell.training.step import Outcome

from .tiny_runs import fresh_loader, fresh_model, full_disk, quiet, run_of


def nothing(_: GitModel) -> dict[str, float]:
    return {"looked": 1.0}


def test_the_log_is_readable_by_people_and_programs(tmp_path: Path) -> None:
    said: list[str] = []
    run = run_of(steps=8, log={"every": 2})
    train(run, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [nothing], said.append)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [(line["step"], sorted(line.keys() - {"step"})) for line in lines]
    learning, looking = ["gradient_norm", "loss", "media_per_second", "waiting"], ["looked"]
    assert steps == [(2, learning), (4, learning), (5, looking), (6, learning), (8, learning), (8, looking)]
    learnt = [line for line in lines if "loss" in line]
    assert all(0 < line["loss"] < 10 and line["gradient_norm"] > 0 and 0 <= line["waiting"] <= 1 for line in learnt)
    assert said[0].endswith("M parameters, steps 0 to 8") and said[1].startswith("step 2/8  loss ")
    assert "media/s" in said[1] and "% waiting for data" in said[1] and said[1].endswith(" left")
    assert "step 5  looked 1.0000" in said


def test_means_rates_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("pixtell.training.log.time.monotonic", lambda: clock[0])
    said: list[str] = []
    log = Log(tmp_path, LogConfig(every=2), 10, 110, said.append)
    log.step(11, Outcome(2.0, 1.0, 30, (("reward", 0.5),)), waited=0.5)
    clock[0] += 10
    log.step(12, Outcome(4.0, 3.0, 50, (("reward", 0.7),)), waited=1.5)
    assert said == ["step 12/110  loss 3.0000  reward 0.600  8.0 media/s  20% waiting for data  8 min left"]
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "step": 12, "loss": 3.0, "reward": 0.6, "gradient_norm": 3.0, "media_per_second": 8.0, "waiting": 0.2
    }  # fmt: skip
    assert [time_left(seconds) for seconds in (40, 89.4, 600, 11_100)] == ["40 s", "89 s", "10 min", "3 h 05 min"]


def test_what_was_written_after_the_last_state_goes(tmp_path: Path) -> None:
    lines = ['{"step": 20, "loss": 3}', '{"step": 40, "cider": 1}', '{"step": 60, "loss": 2}', '{"step": 80, "lo']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    Log(tmp_path, LogConfig(), 40, 100, quiet, writes=False)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4, "only the first process writes"
    log = Log(tmp_path, LogConfig(), 40, 100, quiet)
    log.evaluation(60, {"cider": 2.0})
    assert (tmp_path / "log.jsonl").read_text().splitlines() == [*lines[:2], '{"step": 60, "cider": 2.0}']


def test_a_run_that_begins_anew_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 0, "cider": 1}\n{"step": 20, "loss": 3}\n')
    Log(tmp_path, LogConfig(), 0, 100, quiet).evaluation(0, {"cider": 1.0})
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 0, "cider": 1.0}\n'


def test_rows_that_were_passed_over_stand_there_once(tmp_path: Path) -> None:
    """Over resumes, too; and they are no numbers for who asks for those."""
    cut, text = Problem("truncated", "p1", "p1: it is cut off"), Problem("unsupported", "p2", "p2: it holds text")
    log = Log(tmp_path, LogConfig(), 0, 100, quiet)
    log.broken(3, [cut, cut])
    log.evaluation(3, {"cider": 1.0})
    log.broken(5, [cut])
    Log(tmp_path, LogConfig(), 0, 100, quiet, writes=False).broken(6, [text])
    log = Log(tmp_path, LogConfig(), 4, 100, quiet)
    log.broken(7, [text, cut])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 3, "broken": {"p1": "p1: it is cut off"}},
        {"step": 3, "cider": 1.0},
        {"step": 7, "broken": {"p2": "p2: it holds text"}},
    ]
    assert list(broken_in(tmp_path)) == ["p1", "p2"] and lines_of(tmp_path) == lines[1:2]
    assert broken_in(tmp_path / "none") == {}


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    log = Log(tmp_path, LogConfig(every=1), 0, 100, quiet)
    log.evaluation(1, {"cider": 1.0})
    with pytest.raises(PixtellError, match=r"log\.jsonl: can't be written \(File too large\)"), full_disk():
        log.step(2, Outcome(2.0, 1.0, 30), waited=0.5)
    with pytest.raises(PixtellError, match=r"log\.jsonl: can't be written \(File too large\)"), full_disk():
        Log(tmp_path, LogConfig(), 1, 100, quiet)
    assert lines_of(tmp_path) == [{"step": 1, "cider": 1.0}]


def test_before_and_after(tmp_path: Path) -> None:
    run = run_of(steps=4, log={"every": 2}, validation={"every": 3, "before": True})
    numbers = iter([0.25, 0.75, 0.5])
    train(run, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [lambda _: {"cider": next(numbers)}], quiet)
    lines = lines_of(tmp_path / "run")
    assert [line["step"] for line in lines if "cider" in line] == [0, 3, 4]
    assert before_and_after(tmp_path / "run", best=False) == [("CIDEr", 0.25, 0.5)]
    assert before_and_after(tmp_path / "run", best=True) == [("CIDEr", 0.25, 0.75)]
    (tmp_path / "log.jsonl").write_text('{"step": 2, "cider": 1}\n{"step": 4, "cider": 2}\n{"step": 6, "ci')
    assert before_and_after(tmp_path, best=True) == [], "nothing is known of before"
    assert before_and_after(tmp_path / "none", best=True) == []


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            written.append((Path(folder).name, purge_step))

        def add_scalar(self, *scalar: object) -> None:
            written.append(scalar)

        def close(self) -> None:
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))  # type: ignore[arg-type]
    log = Log(tmp_path, LogConfig(tensorboard=True), 7, 100, quiet)
    log.evaluation(8, {"cider": 2.0})
    log.close()
    assert written == [("tensorboard", 8), ("cider", 2.0, 8), "closed"]


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtraError, match=r"pip install 'pixtell\[tensorboard\]'"):
        Log(tmp_path, LogConfig(tensorboard=True), 0, 100, quiet)


def test_a_number_that_only_some_steps_have_is_their_mean(tmp_path: Path) -> None:
    """Captions are rewarded, questions beside them are not."""
    said: list[str] = []
    log = Log(tmp_path, LogConfig(every=3), 0, 6, said.append)
    numbers = [(("reward", 0.5),), (), (("reward", 0.75),), (), (), ()]
    for step, own in enumerate(numbers, start=1):
        log.step(step, Outcome(1.0, 1.0, 2, own), waited=0.0)
    log.close()
    first, second = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert first["reward"] == 0.625 and "reward" not in second
    assert "reward 0.625" in said[0] and "reward" not in said[1]
