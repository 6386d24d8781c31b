"""The best model of a run: kept when it was looked at, over kills, and never worse than what one began with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pixtell.errors import CheckpointError, PixtellError
from pixtell.model import GitModel
from pixtell.training import best as module
from pixtell.training.best import FILE, Best, judged
from pixtell.training.config import RunConfig
from pixtell.training.loop import train

from .tiny_runs import fresh_loader, fresh_model, full_disk, quiet, run_of

LOOKS = {"every": 2, "before": True, "keep_best": True}


def trained(folder: Path, scores: list[float], run: RunConfig) -> tuple[GitModel, list[dict[str, torch.Tensor]]]:
    """The model that a run gives, and the weights that were looked at, for looks that score so."""
    seen: list[dict[str, torch.Tensor]] = []

    def look(model: GitModel) -> dict[str, float]:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return {"cider": scores[len(seen) - 1]}

    model, _ = train(run, folder / "run", fresh_model(), fresh_loader(folder), [look], quiet)
    return model, seen


@pytest.mark.parametrize(
    ("scores", "place"), [([1, 3, 2, 0], 1), ([4, 3, 2, 1], 0), ([1, 2, 3, 4], 3), ([1, 2, 2, 1], 1)]
)
def test_the_best_comes_out(tmp_path: Path, scores: list[float], place: int) -> None:
    model, seen = trained(tmp_path, scores, run_of(validation=LOOKS))
    state = model.state_dict()
    assert len(seen) == 4
    assert all(torch.equal(state[name], tensor.half().float()) for name, tensor in seen[place].items())


def test_who_does_not_ask_gets_the_last(tmp_path: Path) -> None:
    model, seen = trained(tmp_path, [4, 3, 2, 1], run_of(validation={**LOOKS, "keep_best": False}))
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in seen[3].items())
    assert not (tmp_path / "run" / FILE).exists()


def test_a_run_that_goes_on_knows_it(tmp_path: Path) -> None:
    run = run_of(validation=LOOKS)
    first, _ = trained(tmp_path, [1, 3, 2, 0], run)
    again, seen = trained(tmp_path, [], run)
    assert seen == [], "it was finished"
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    kept = Best(tmp_path / "run", 4, wanted=True, writes=True)
    assert (kept.score, kept.step) == (3.0, 2)
    assert Best(tmp_path / "run", 0, wanted=True, writes=True).score is None, "a run that begins anew has no best"


def test_a_loss_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    best = Best(tmp_path, 0, wanted=True, writes=False)
    for step, loss in enumerate([float("nan"), 2.0, float("nan"), 3.0]):
        best.note(step, {"caption_loss": loss}, fresh_model())
    assert (best.score, best.step) == (-2.0, 1)


def test_what_a_run_is_judged_by() -> None:
    assert judged({"cider": 0.5, "caption_loss": 9}) == 0.5
    assert judged({"cider": 0.5, "exact_match": 0.25}) == 0.375
    assert judged({"caption_loss": 2.0}) == -2.0 and judged({}) is None


def test_a_full_disk_is_one_line_and_the_best_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best, real = Best(tmp_path, 0, wanted=True, writes=True), module.save_file
    best.note(0, {"cider": 1.0}, fresh_model())
    before = (tmp_path / FILE).read_bytes()

    def refused(*arguments: object) -> None:
        with full_disk():
            real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "save_file", refused)
    with pytest.raises(PixtellError, match=r"best\.safetensors: can't be written \(.*File too large"):
        best.note(2, {"cider": 2.0}, fresh_model())
    assert [path.name for path in tmp_path.iterdir()] == [FILE] and (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"half of it", b"\2\0\0\0\0\0\0\0{}"])
def test_what_is_damaged_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"best\.safetensors: damaged \(.*: delete it"):
        Best(tmp_path, 2, wanted=True, writes=True)
