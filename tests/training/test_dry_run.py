"""A run as it would be: the numbers are those of the run, and nothing is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixtell.errors import ConfigError, InputError
from pixtell.training import dry_run as module
from pixtell.training.dry_run import dry_run
from pixtell.training.run_file import load_stages

from .tiny_runs import RUN_FILE, fresh_model, in_processes, workplace


def lines_of(folder: Path, *overrides: str, more: str = "") -> dict[str, list[str]]:
    path = workplace(folder, steps=12, text=RUN_FILE + more)
    before = sorted(folder.rglob("*"))
    found: dict[str, list[str]] = {}
    for line in dry_run(load_stages(path, overrides), path, lambda _: None):
        name, _, rest = line.partition(" ")
        found.setdefault(name, []).append(rest.strip())
    assert sorted(folder.rglob("*")) == before
    return found


def test_what_it_says(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "optim.accumulation=2", "frozen=['vision']")
    model = fresh_model()
    encoder = sum(p.numel() for p in model.vision.parameters())
    learns = sum(p.numel() for p in model.parameters()) - encoder
    counts = [f"{number / 1e6:.1f} M" for number in (learns + encoder, learns, encoder)]
    assert lines["model"] == ["{} parameters: {} learn, {} stay as they are".format(*counts)]
    assert lines["data"] == [
        "captions-0: 8 rows with 16 texts, 4 rows a batch",
        "captions-0: 8 rows with 16 texts, 2 rows a batch",
        "questions: 4 rows with 4 texts, 3 rows a batch",
    ]
    # 24 batches, of 4 rows for 2 in 4 of them, of 2 rows for 1 in 4, of 3 rows for 1 in 4
    assert lines["length"] == ["12 steps of 2 batches, epochs of the data: 6.0, 1.5, 4.5"]
    assert "rows of a batch" not in lines["memory"][0] and "GB are free" in lines["memory"][0]
    assert lines["time"][0].startswith("about ") and "s a step on one process as here" in lines["time"][0]


def test_what_is_held_out_and_what_is_lacking(tmp_path: Path) -> None:
    files = ["streams.0.data=data/captions-0.tar", "validation={held_out=3}", "steps=5"]
    lines = lines_of(tmp_path, *files)
    assert "captions-0 held out: 3 rows" in lines["data"]
    assert "nothing to look at on the way (validation)" in lines_of(tmp_path, "validation={}")["data"]


def test_each_stage_is_told(tmp_path: Path) -> None:
    """The second has a third frame, and begins from a model that the adapters of the first are no part of."""
    more = "[lora]\nrank = 2\n[[then]]\nsteps = 3\nstart.frames = 3\nlora.rank = 1\n"
    more += "[[then.streams]]\ndata = 'data/questions.tar'\nmedia = 2\n"
    lines = lines_of(tmp_path, more=more)
    assert lines["stage"] == ["1 of 2", "2 of 2"]
    assert lines["length"][0].startswith("12 steps") and lines["length"][1] == "3 steps, epochs of the data: 1.5"
    assert len(lines["model"]) == len(lines["memory"]) == len(lines["time"]) == 2
    assert lines["data"][-1] == "questions: 4 rows with 4 texts, 2 rows a batch" and len(lines["data"]) == 4


def test_a_warm_up_that_outlasts_the_epochs_is_told(tmp_path: Path) -> None:
    path, said = workplace(tmp_path, steps=12), []
    settings = ["epochs=1", "optim.warmup=5"]
    path.write_text(path.read_text().replace("steps = 12\n", ""))
    dry_run(load_stages(path, settings), path, said.append)
    assert [line for line in said if line.startswith("warning: optim.warmup: ")] == [
        "warning: optim.warmup: learning rates rise for 5 steps, but the run has 4: a tenth of them is 1"
    ]


def test_memory_is_kept_as_in_the_run_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or each step would take a third longer than it will."""
    kept: list[int] = []
    monkeypatch.setattr(module, "keep_freed_memory", lambda: kept.append(1))
    lines_of(tmp_path)
    assert kept == [1]


def told(path: Path) -> None:
    said: list[str] = []
    lines = dry_run(load_stages(path, ["streams.2.media=2"]), path, said.append)
    assert bool(lines) == (os.environ["RANK"] == "0") and said == []


def test_of_two_processes_one_is_told(tmp_path: Path) -> None:
    in_processes(2, told, workplace(tmp_path, steps=3))


def test_what_would_stop_the_run_stops_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="CIDEr is wired by the command"):
        lines_of(tmp_path, "scst.samples=2")
    with pytest.raises(InputError, match=r"none\.tar"):
        lines_of(tmp_path, "validation.questions=data/none.tar")
    with pytest.raises(InputError, match=r"none\.tar"):
        lines_of(tmp_path, more="[[then]]\nvalidation.questions = 'data/none.tar'\n")
