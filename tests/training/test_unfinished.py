"""The model of a run that is not finished: what `train` would hand over at that step, wherever its states lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tiny_data import VOCAB

from pixtell.checkpoint.convert import build_model
from pixtell.errors import CheckpointError
from pixtell.model import GitModel
from pixtell.training.config import StartConfig
from pixtell.training.loop import train
from pixtell.training.run import run_training
from pixtell.training.start import checkpoint_of, starting_model
from pixtell.training.state import found_states, seal, unseal
from pixtell.training.unfinished import DESCRIPTION, load_unfinished

from .tiny_runs import CONFIG, fresh_loader, fresh_model, newest, quiet, run_of, stored, unequal, workplace


def trained(folder: Path, **changes: object) -> GitModel:
    """A run of 6 steps in `folder`, with states of steps 3 and 6."""
    model, _ = train(run_of(**changes), folder, fresh_model(), fresh_loader(folder.parent), [], quiet)
    return model


@pytest.mark.parametrize(
    "changes",
    [{}, {"optim": {"ema": 0.5, "lr": 1e-3, "warmup": 1}}, {"lora": {"rank": 2, "alpha": 4.0}, "optim": {"ema": 0.5}}],
    ids=["weights", "mean", "adapters"],
)
def test_it_is_what_the_run_would_hand_over(tmp_path: Path, changes: dict[str, object]) -> None:
    model = trained(tmp_path / "run", **changes)
    found = load_unfinished(tmp_path / "run")
    assert (found.config, found.vocab) == (CONFIG, VOCAB)
    assert unequal(build_model(found).state_dict(), model.state_dict()) == []
    assert unequal(build_model(found).state_dict(), fresh_model().state_dict()) != []


def test_a_run_a_state_and_the_folder_of_stages(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    trained(tmp_path / "run" / "stage-1")
    newer = trained(tmp_path / "run" / "stage-2", seed=7)
    (tmp_path / "run" / "stage-3").mkdir()
    assert unequal(dict(load_unfinished(tmp_path / "run").state), newer.state_dict()) == []
    (third, sixth) = found_states(tmp_path / "run" / "stage-1")
    for state in (third, sixth):
        kept = {name[6:]: tensor for name, tensor in stored(state).items() if name.startswith("model.")}
        assert unequal(dict(checkpoint_of(str(state)).state), kept) == []


def test_a_damaged_state_is_passed_over_and_an_old_one_refused(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    third, sixth = found_states(tmp_path / "run")
    (next(sixth.glob("*.distcp"))).write_bytes(b"damaged")
    assert load_unfinished(tmp_path / "run").source == str(third)
    with pytest.raises(CheckpointError, match="step-00000006: damaged"):
        load_unfinished(sixth)
    step, settings = unseal(third)
    os.remove(third / DESCRIPTION)
    os.remove(third / "whole.json")
    seal(third, step, settings)
    with pytest.raises(CheckpointError, match=r"step-00000003: is from before states held model\.json"):
        load_unfinished(tmp_path / "run")
    with pytest.raises(CheckpointError, match="holds no state"):
        load_unfinished(tmp_path)


def test_a_run_begins_from_another_ones_last_state_at_a_lower_rate(tmp_path: Path) -> None:
    """What the message says when numbers are none; by the weights, from which a step of no rate does not move."""
    trained(tmp_path / "run")
    model, vocabulary = starting_model(StartConfig(model="run"), [], tmp_path)
    assert vocabulary == VOCAB and all(p.requires_grad for p in model.parameters())
    settings = ["start.model=run", "optim.lr=0.0", "optim.encoder_lr=0.0"]
    assert run_training(workplace(tmp_path, steps=1), tmp_path / "other", quiet, overrides=settings)
    kept, begun = newest(tmp_path / "run"), newest(tmp_path / "other")
    names = [name for name in kept if name.startswith("model.")]
    assert unequal({name: begun[name] for name in names}, {name: kept[name] for name in names}) == []
    about = json.loads((found_states(tmp_path / "other")[0] / DESCRIPTION).read_text(encoding="utf-8"))
    assert tuple(about["vocab"]) == VOCAB, "and that run's states say what they are, too"
