"""The quality benchmark: predictions and scores apart, then together on a tiny model and tiny tars."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny_data import VOCAB, captions_tar, questions_tar

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint, expected
from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "quality.py"


@pytest.fixture(scope="module")
def quality() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("quality_benchmark", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["quality_benchmark"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["quality_benchmark"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in ("flickr8k", "daquar"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    captions_tar(tmp_path / "data" / "flickr8k" / "val-000.tar")
    questions_tar(tmp_path / "data" / "daquar" / "val-000.tar")
    return tmp_path / "data"


def model_folder(folder: Path, frames: int) -> Path:
    text = TextConfig(
        vocab_size=len(VOCAB), width=32, layers=1, heads=2, mlp_width=32, max_positions=96, cls_id=2, sep_id=3
    )
    vision = ClipVitConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=16)
    config = ModelConfig(vision, text, PixelConfig(size=16, fit="squash"), frames)
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=generator) for name, shape in expected(config).items()}
    return save_checkpoint(Checkpoint(config, state, VOCAB), folder)


def test_answers_match_exactly_or_not(quality: ModuleType) -> None:
    def said(text: str, reference: str) -> object:
        return quality.Prediction("questions", "k", "what?", text, (reference,))

    right = [said("soft toy", "soft_toy"), said("Red", "red"), said("cup, stand", "cup, stand")]
    wrong = [said("toy", "soft_toy"), said("", "red"), said("red red", "red")]
    assert quality.score_questions(right) == {"exact_match": 1.0}
    assert quality.score_questions(wrong) == {"exact_match": 0.0}
    assert quality.score_questions([*right, *wrong, wrong[0]]) == {"exact_match": 0.4286}


def test_captions_are_scored_beside_their_references(quality: ModuleType) -> None:
    pytest.importorskip("pycocoevalcap")
    texts = ["a red disc on it", "a blue square of it", "what colour is the dog", "two men run on snow"]

    def score(said: list[str]) -> dict[str, float]:
        rows = [
            quality.Prediction("captions", str(n), "", text, (reference, f"{reference} now"))
            for n, (text, reference) in enumerate(zip(said, texts, strict=True))
        ]
        numbers: dict[str, float] = quality.score_captions(rows, lambda texts: texts)
        return numbers

    same, shifted, half = score(texts), score(texts[1:] + texts[:1]), score([texts[0], texts[1], "x", "y"])
    assert same["BLEU-4"] == same["ROUGE-L"] == 1.0 and same["CIDEr"] > 5
    assert shifted["CIDEr"] < 0.2 * same["CIDEr"] and half["CIDEr"] == pytest.approx(same["CIDEr"] / 2, rel=0.05)


def test_what_is_missing_is_one_line(
    quality: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality.shutil, "which", lambda _: None)
    assert quality.main(["--only", "captions"]) == 1
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    assert quality.main([]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("error: ") for line in lines)
    assert "pip install pycocoevalcap" in lines[1]


def run(quality: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    assert quality.main([str(argument) for argument in arguments]) == 0
    report: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return report


def test_answers_of_a_tiny_model(
    quality: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = tmp_path / "deep" / "predictions.jsonl"
    arguments = ["--data", data, "--predictions", predictions, "--only", "questions"]
    report = run(quality, capsys, "--model", model_folder(tmp_path / "m", 2), "--limit", 3, "--beams", 2, *arguments)
    rows = [json.loads(line) for line in predictions.read_text().splitlines()]
    assert [(row["task"], row["key"], row["references"]) for row in rows] == [
        ("questions", colour, [colour]) for colour in ("red", "green", "blue")
    ]
    assert report["scores"] == {"questions": {"texts": 3, "exact_match": 0.0}}
    rows[1]["text"] = "Green"
    predictions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(quality, capsys, "--rescore", *arguments)["scores"] == {"questions": {"texts": 3, "exact_match": 0.3333}}
    assert quality.main(["--rescore", "--only", "questions", "--predictions", str(tmp_path / "none")]) == 1
    assert quality.main(["--only", "questions", "--model", str(tmp_path / "none")]) == 1


def test_captions_and_clips_of_tiny_models(
    quality: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocoevalcap")
    monkeypatch.setattr(quality, "missing_for_captions", lambda: None)
    monkeypatch.setattr(quality, "ptb_tokens", lambda texts: texts)
    written = []
    for number, batch in enumerate((16, 2)):
        path = tmp_path / f"{number}.jsonl"
        written.append(path)
        report = run(
            quality, capsys, "--model", model_folder(tmp_path / f"m{number}", 2), "--data", data, "--predictions", path,
            "--limit", 4, "--beams", 2, "--batch", batch, "--only", "captions", "clips",
        )  # fmt: skip
        assert {task: numbers["texts"] for task, numbers in report["scores"].items()} == {"captions": 4, "clips": 4}
    assert written[0].read_text() == written[1].read_text(), "neither chance nor the batch size changes a text"
    rows = [json.loads(line) for line in written[0].read_text().splitlines()]
    assert rows[0]["references"] == ["a red disc", "a disc of red"] and rows[4]["task"] == "clips"
    assert len({row["text"] for row in rows}) > 1
    arguments = ["--model", model_folder(tmp_path / "photo", 0), "--data", data, "--predictions", written[0]]
    assert quality.main([*map(str, arguments), "--limit", "1"]) == 0
    captured = capsys.readouterr()
    assert "clips: left out" in captured.err and "clips" not in json.loads(captured.out.splitlines()[-1])["scores"]


def test_with_java_the_tokens_are_penn_treebanks(quality: ModuleType) -> None:
    pytest.importorskip("pycocoevalcap")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed, which pycocoevalcap's tokenizer runs on")
    assert quality.ptb_tokens({"k": ["A dog's ball, isn't it ?", "Two"]}) == {"k": ["a dog 's ball is n't it", "two"]}
