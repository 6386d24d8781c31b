"""`pixtell models`: sizes against built models, and what the hub's cache holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pixtell.checkpoint import convert
from pixtell.cli import models
from pixtell.config import PRESETS
from pixtell.model import GitModel

from .conftest import Run


def test_every_released_model_is_listed(run: Run) -> None:
    rows = run("models", "--json").objects
    assert [row["name"] for row in rows if row["where"] != "bundled"] == list(PRESETS)
    table = run("models")
    assert table.code == 0
    assert [line.split()[0] for line in table.lines[1:]] == [row["name"] for row in rows]


@pytest.mark.parametrize("name", ["git-base-coco", "git-base-vatex", "git-large-vqav2"])
def test_the_size_is_that_of_the_model(name: str) -> None:
    with torch.device("meta"):
        built = GitModel(PRESETS[name].model)
    assert models.released(PRESETS[name]).parameters == sum(parameter.numel() for parameter in built.parameters())


def test_a_line_tells_pixels_frames_and_purpose() -> None:
    def told(name: str) -> tuple[str, int, str]:
        listing = models.released(PRESETS[name])
        return listing.pixels, listing.frames, listing.purpose

    assert told("git-base") == ("224 crop", 1, "a start for fine-tuning")
    assert told("git-base-vqav2") == ("480-640 aspect", 1, "questions about photos")
    assert told("git-large-msrvtt-qa") == ("224 crop", 6, "questions about clips")
    assert told("git-large-r-coco") == ("224 crop", 1, "captions of photos (no name tags)")


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_what_the_cache_holds(run: Run, tmp_path: Path, weights: str) -> None:
    """A cache as huggingface_hub lays it out."""
    repository = tmp_path / "models--microsoft--git-base-coco"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")

    def where() -> dict[str, str]:
        return {row["name"]: row["where"] for row in run("models", "--json", "--cache-dir", tmp_path).objects}

    assert where()["git-base-coco"] == "hub"  # without weights it is of no use
    (snapshot / weights).write_bytes(b"")
    assert where()["git-base-coco"] == "cached"
    assert where()["git-base"] == "hub"
    assert where()["git-base-msrvtt"] == "files"


def test_the_bundled_model_is_looked_for_where_it_is_loaded_from() -> None:
    assert models.CONFIG == convert.CONFIG


def test_a_folder_in_our_layout_is_read_without_torch(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "BUNDLED_FOLDER", tiny_model)
    (listing,) = models.bundled()
    state = convert.load_checkpoint(tiny_model).state
    assert listing.parameters == sum(tensor.numel() for tensor in state.values())
    assert (listing.pixels, listing.frames, listing.where) == ("32 crop", 6, "bundled")


def test_an_installation_without_the_bundled_model(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "BUNDLED_FOLDER", tmp_path / "none")
    assert len(run("models", "--json").lines) == len(PRESETS)


def test_the_bundled_model_comes_first(run: Run, bundled: str) -> None:
    first = json.loads(run("models", "--json").lines[0])
    assert (first["name"], first["where"]) == (bundled, "bundled")
    assert 1e6 < first["parameters"] < 5e7
