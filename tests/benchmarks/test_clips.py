"""The benchmark of clips beside stills runs on tiny things, and refuses a model that reads no clips."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import tiny_data

import pixtell
from pixtell.checkpoint.convert import load_checkpoint, save_checkpoint
from pixtell.data.dataset import open_dataset

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "clips.py"


@pytest.fixture(scope="module")
def clips() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("clips_benchmark", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["clips_benchmark"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["clips_benchmark"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny_data.captions_tar(tmp_path / "val.tar")


def test_it_ends_with_json(clips: ModuleType, tiny_model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clips.main(["--model", str(tiny_model), "--data", str(data), "--limit", "5", "--beams", "1"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["photos"], report["data"]) == (5, "val")
    assert report["stills"]["CIDEr"] >= 0 and report["clips"]["CIDEr"] >= 0


def test_a_clip_moves_and_is_the_same_each_time(clips: ModuleType, tiny_model: Path, data: Path) -> None:
    captioner = pixtell.load(str(tiny_model))
    row = open_dataset([data]).rows[0]
    one, same, other = (clips.clip(row, number, captioner) for number in (0, 0, 1))
    content = [[frame.tobytes() for frame in media.frames] for media in (one, same, other)]
    assert content[0] == content[1] != content[2]
    assert len(content[0]) == 6 and len(set(content[0])) > 1


def test_the_score_is_that_of_the_references(clips: ModuleType, data: Path) -> None:
    rows = open_dataset([data]).rows
    assert clips.cider([row.captions[0] for row in rows], rows) > clips.cider(["a red disc"] * len(rows), rows) > 0


def test_a_picture_model_is_refused(
    clips: ModuleType, tiny_model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    checkpoint = load_checkpoint(str(tiny_model))
    state = {name: tensor for name, tensor in checkpoint.state.items() if "temporal" not in name}
    stills = replace(checkpoint, config=replace(checkpoint.config, frames=0), state=state)
    model = save_checkpoint(stills, tmp_path / "stills")
    assert clips.main(["--model", str(model), "--data", str(data)]) == 1
    assert "reads single pictures" in capsys.readouterr().err
