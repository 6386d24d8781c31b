"""The page of a run: its curves are the log's, its pictures were not learnt, and nothing breaks out of it."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from browser import BROWSER, HALF, HOSTILE, assert_closed, drawn, embedded
from tiny_data import texts_tar

from pixtell.data.loader import Batch
from pixtell.errors import PixtellError
from pixtell.training import loop
from pixtell.training.__main__ import STOPPED, main
from pixtell.training.optim import build_optimizer, set_learning_rate
from pixtell.training.report import FILE, NAMES, Curve, RunReport, Shown, curves_of, page, write_report
from pixtell.training.step import Objective, Outcome
from pixtell.training.trainee import Trainee

from .tiny_runs import RUN_FILE, fresh_model, run_of, workplace

PICTURE = "data:image/jpeg;base64,/9j/4AAQ"
REPORT = RunReport(
    "photos",
    40,
    (Curve("loss", ((20, 3.0), (40, 2.0))), Curve("CIDEr", ((40, 0.5),))),
    (("optim.lr", "5e-05"),),
    (Shown("beach", "", "a dog", ("two dogs", "two dogs"), PICTURE), Shown("b", "what ?", "", ("dog",), PICTURE)),
)


def test_a_run_leaves_its_page(tmp_path: Path) -> None:
    run = workplace(tmp_path, steps=4)
    words = ["validation={held_out=3,every=2,before=true}", "log.every=2"]
    assert main([str(run), str(tmp_path / "run"), *(word for each in words for word in ("--set", each))]) == 0
    text = (tmp_path / "run" / FILE).read_text(encoding="utf-8")
    assert_closed(text)
    content = embedded(text)
    curves = {curve["name"]: curve["points"] for curve in content["curves"]}
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert curves["loss"] == [[line["step"], line["loss"]] for line in logged if "loss" in line]
    assert [step for step, _ in curves["loss of captions that are not learnt"]] == [0, 2, 4]
    assert len(content["shown"]) == 3 and content["steps"] == 4
    assert all(one["picture"].startswith("data:image/jpeg;base64,") and one["references"] for one in content["shown"])
    assert ["optim.lr", "0.001"] in content["settings"]


def test_questions_are_shown_with_their_answers(tmp_path: Path) -> None:
    run = workplace(tmp_path, steps=1)
    words = ["--set", "validation={questions='data/questions.tar'}"]
    assert main([str(run), str(tmp_path / "run"), *words]) == 0
    shown = embedded((tmp_path / "run" / FILE).read_text(encoding="utf-8"))["shown"]
    assert [one["question"] for one in shown] == ["what colour is it ?"] * 4
    assert sorted(one["references"][0] for one in shown) == ["blue", "green", "red", "yellow"]


def test_rows_that_can_not_be_seen_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = workplace(tmp_path, steps=1)
    texts = [(f"p{number}", {"caption": f"word{number}"}) for number in range(4)]
    texts_tar(tmp_path / "data" / "some.tar", texts, broken=["p1"])
    words = ["validation={captions='data/some.tar'}", "optim.warmup=1"]
    assert main([str(run), str(tmp_path / "run"), *(word for each in words for word in ("--set", each))]) == 0
    shown = embedded((tmp_path / "run" / FILE).read_text(encoding="utf-8"))["shown"]
    assert [one["id"] for one in shown] == ["p0", "p2", "p3"], "in their order"
    assert capsys.readouterr().err.count("some: 1 of 4 rows can't be seen, the first: p1: ") == 2, "at the look, too"


@pytest.mark.parametrize("asked", [True, False], ids=["a wish", "a loss that is no number"])
def test_a_run_that_has_stopped_leaves_its_curves(tmp_path: Path, asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    run = workplace(tmp_path, steps=6, text=RUN_FILE)
    learnt = loop.learn

    def learn(trainee: Trainee, batches: list[Batch], step: int, objective: Objective) -> Outcome:
        if step == 3 and asked:
            os.kill(os.getpid(), signal.SIGTERM)
        elif step == 3:
            raise PixtellError("loss is nan at step 3")
        return learnt(trainee, batches, step, objective)

    monkeypatch.setattr(loop, "learn", learn)
    words = [word for each in ("log.every=1", "optim.warmup=1") for word in ("--set", each)]
    assert main([str(run), str(tmp_path / "run"), *words]) == (STOPPED if asked else 1)
    content = embedded((tmp_path / "run" / FILE).read_text(encoding="utf-8"))
    done = 4 if asked else 3
    assert content["title"] == f"run, stopped: logged up to step {done} of 6" and content["shown"] == []
    curves = {curve["name"]: curve["points"] for curve in content["curves"]}
    assert [step for step, _ in curves["loss"]] == list(range(1, done + 1))


def test_a_run_of_other_settings_does_not_touch_the_page(tmp_path: Path) -> None:
    run = workplace(tmp_path, steps=1)
    words = [str(run), str(tmp_path / "run"), "--set", "optim.warmup=1"]
    assert main(words) == 0
    before = (tmp_path / "run" / FILE).read_bytes()
    assert main([*words, "--set", "optim.lr=0.5"]) == 1
    assert (tmp_path / "run" / FILE).read_bytes() == before


def test_everything_that_is_logged_has_a_curve() -> None:
    line = {"step": 1.0, "waiting": 0.25, **dict.fromkeys(NAMES, 0.5), "reward": 0.75, "baseline": 0.5}
    curves = {curve.name: curve.points for curve in curves_of(run_of(), 6, [line])}
    assert curves["reward that was to be expected"] == ((1, 0.5),) and curves["reward of samples"] == ((1, 0.75),)
    assert "share of the time that was waited for data" in curves


def test_the_rates_are_those_that_the_optimiser_had() -> None:
    run = run_of(steps=30, optim={"lr": 1e-3, "encoder_lr": 1e-4, "warmup": 5, "frozen_encoder_steps": 10})
    curves = {curve.name: dict(curve.points) for curve in curves_of(run, 30, [])}
    optimizer = build_optimizer(fresh_model().named_parameters(), run.optim)
    for step in range(30):
        set_learning_rate(optimizer, run.optim, step, 30)
        rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
        assert curves["learning rate, decoder"][step + 1] == pytest.approx(rates["decoder"])
        assert curves["learning rate, encoder"][step + 1] == pytest.approx(rates["encoder"])
    assert [curve.name for curve in curves_of(run_of(frozen=["vision"], optim={}), 6, [])] == ["learning rate, decoder"]


@pytest.mark.parametrize("text", [HOSTILE, HALF])
def test_no_text_breaks_out(text: str) -> None:
    shown = Shown(text, text, text, (text,), PICTURE)
    hostile = replace(REPORT, title=text, curves=(Curve(text, ((1, 2.0),)),), settings=((text, text),), shown=(shown,))
    assert_closed(page(hostile))
    assert embedded(page(hostile))["shown"][0]["text"] == text


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PixtellError, match=r"report\.html: can't be written \(File exists\)"):
        write_report(REPORT, tmp_path / "file" / FILE)


@pytest.mark.skipif(BROWSER is None, reason="no browser")
def test_a_browser_draws_it(tmp_path: Path) -> None:
    write_report(REPORT, tmp_path / FILE)
    elements = drawn(tmp_path / FILE)
    assert len(list(elements.all("svg"))) == 2 and len(list(elements.all("img"))) == 2
    (first, second) = elements.all("path")
    assert first[0]["d"] == "M50 0L100 100" and second[0]["d"] == "M100 100h0.5"
