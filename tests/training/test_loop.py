"""The loop: a resumed run is the uninterrupted one bit for bit, it learns, and it stops when the numbers do."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_data import COLOURS, drawing, png, tokenizer, write_tar
from torch import Tensor

from pixtell.data.loader import Loader, Stream
from pixtell.data.sources import TarSource
from pixtell.errors import ConfigError, PixtellError
from pixtell.model import GitModel
from pixtell.training.config import RunConfig, SavingConfig, ValidationConfig
from pixtell.training.log import lines_of
from pixtell.training.loop import steps_of, train
from pixtell.training.state import PARTIAL, found_states
from pixtell.training.validation import Evaluator, Look

from .tiny_runs import (
    CONFIG,
    FORKS,
    fresh_loader,
    fresh_model,
    newest,
    quiet,
    run_main,
    run_of,
    stored,
    unequal,
    workplace,
)

STEPS = 20


class Killed(Exception):
    """Stands for the end of the process."""


def killed(_: GitModel) -> dict[str, float]:
    raise Killed


def nothing(_: GitModel) -> dict[str, float]:
    return {"looked": 1.0}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path, precision: str) -> None:
    optim = {"encoder_lr": 1e-3, "lr": 1e-3, "warmup": 2, "frozen_encoder_steps": 2, "ema": 0.5, "accumulation": 2}
    optim |= {"patch_dropout": 0.4}  # more chance that follows from the step
    run = run_of(precision=precision, optim=optim)
    assert CONFIG.text.dropout > 0, "without dropout, a lost random state would not show"
    straight, done = train(run, tmp_path / "straight", fresh_model(), fresh_loader(tmp_path), [nothing], quiet)
    assert done == 6
    with pytest.raises(Killed):
        train(run, tmp_path / "resumed", fresh_model(), fresh_loader(tmp_path), [killed], quiet)
    assert [state.name for state in found_states(tmp_path / "resumed")] == ["step-00000003"]
    torch.manual_seed(99)
    torch.rand(7)  # a new process has another random state
    resumed, done = train(run, tmp_path / "resumed", fresh_model(), fresh_loader(tmp_path), [nothing], quiet)
    assert done == 6 and unequal(straight.state_dict(), resumed.state_dict()) == []
    assert unequal(newest(tmp_path / "straight"), newest(tmp_path / "resumed")) == []
    assert not straight.training and not resumed.training
    moved = unequal(fresh_model().state_dict(), straight.state_dict())
    assert len(moved) == len(straight.state_dict()), "and every weight has learnt something"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the file of `workplace` that nobody killed."""
    folder = tmp_path_factory.mktemp("straight")
    end_to_end(str(workplace(folder, steps=STEPS)), folder / "run")
    return folder / "run"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_killed_at_a_random_moment_and_again_the_weights_are_the_same(
    tmp_path: Path, straight: Path, seed: int
) -> None:
    """kill -9, twice, then to the end; a state is written at every step, so many kills fall into a save."""
    run_file, folder = str(workplace(tmp_path, steps=STEPS)), tmp_path / "run"
    moment = random.Random(seed)
    for kills in (1, 2):
        process = FORKS.Process(target=one_thread_main, args=(run_file, str(folder)))
        process.start()
        while not found_states(folder) or int(found_states(folder)[-1].name[5:]) < kills * 4:
            assert process.is_alive()
            time.sleep(0.001)
        time.sleep(moment.uniform(0, 0.1))
        process.kill()
        process.join()
    assert found_states(folder)[-1].name < f"step-{STEPS:08}", "killed in the midst"
    end_to_end(run_file, folder)
    assert unequal(newest(folder), newest(straight)) == []
    models = [(each / "model" / "model.safetensors").read_bytes() for each in (folder, straight)]
    assert models[0] == models[1]
    logged = [
        line["step"] for line in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if "loss" in line
    ]
    assert logged == sorted(set(logged))
    assert not list(folder.glob(f"*{PARTIAL}"))


def end_to_end(run_file: str, folder: Path) -> None:
    process = FORKS.Process(target=one_thread_main, args=(run_file, str(folder)))
    process.start()
    process.join(120)
    assert process.exitcode == 0


def one_thread_main(*arguments: str) -> None:
    torch.set_num_threads(1)
    run_main(*arguments)


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    run, said = run_of(), []
    first, _ = train(run, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [nothing], quiet)
    again, _ = train(run, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [killed], said.append)
    assert unequal(first.state_dict(), again.state_dict()) == []
    assert said[0].endswith("steps 6 to 6")


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    train(run_of(steps=1), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    with pytest.raises(ConfigError, match=r"of another run \(steps was 1 and is 2\)"):
        train(run_of(steps=2), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be made a folder"):
        train(run_of(), tmp_path / "file", fresh_model(), fresh_loader(tmp_path), [], quiet)


def test_how_it_is_saved_and_looked_at_may_change(tmp_path: Path) -> None:
    straight, _ = train(run_of(), tmp_path / "straight", fresh_model(), fresh_loader(tmp_path), [], quiet)
    with pytest.raises(Killed):
        train(run_of(), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [killed], quiet)
    other = run_of(saving={"every": 1, "keep": 9, "asynchronous": False}, validation={"every": 99}, log={"every": 1})
    resumed, _ = train(other, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    assert unequal(straight.state_dict(), resumed.state_dict()) == []
    assert len(found_states(tmp_path / "run")) == 4


def test_a_wish_to_stop_saves_and_ends(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(_: GitModel) -> dict[str, float]:
        if not asked:
            os.kill(os.getpid(), signal.SIGTERM)
        asked.append("once: the second signal would end the process")
        return {}

    straight, _ = train(run_of(), tmp_path / "straight", fresh_model(), fresh_loader(tmp_path), [], quiet)
    before = signal.getsignal(signal.SIGTERM)
    _, done = train(run_of(), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [ask], quiet)
    assert done == 6, "the evaluation after step 5 asked; step 6 was the last anyway"
    run = run_of(validation={"every": 2})
    asked.clear()
    _, done = train(run, tmp_path / "stopped", fresh_model(), fresh_loader(tmp_path), [ask], quiet)
    assert done == 3 and found_states(tmp_path / "stopped")[-1].name == "step-00000003"
    assert signal.getsignal(signal.SIGTERM) == before
    resumed, done = train(run, tmp_path / "stopped", fresh_model(), fresh_loader(tmp_path), [], quiet)
    assert done == 6 and unequal(straight.state_dict(), resumed.state_dict()) == []


def stopped_at(line: str, end: Callable[[], None]) -> Callable[[str], None]:
    """Who hears the training, and ends it at this line, once."""

    def say(told: str) -> None:
        if told.startswith(line):
            end()

    return say


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def scores(*values: float) -> Evaluator:
    """What looks find, one after another; none is left for a look too many."""
    left = iter(values)
    return lambda _: {"cider": next(left)}


@pytest.mark.parametrize(("best", "reached"), [(0, 2), (1, 4), (2, 6)])
def test_a_look_that_a_stop_passed_over_is_made_up_for(tmp_path: Path, best: int, reached: int) -> None:
    """At step 4, when a look is due, so that the best of three looks is the one without a stop, whichever it is."""
    run = run_of(validation={"every": 2, "keep_best": True}, log={"every": 1})
    found = [0.5, 0.4, 0.3]
    found[best] = 0.9
    parts = (fresh_model, lambda: fresh_loader(tmp_path))
    straight, _ = train(run, tmp_path / "straight", *(part() for part in parts), [scores(*found)], quiet)
    looks, folder = scores(*found), tmp_path / "run"
    _, done = train(run, folder, *(part() for part in parts), [looks], stopped_at("step 4/", terminate))
    assert done == 4 and [line["step"] for line in lines_of(folder) if "cider" in line] == [2]
    resumed, done = train(run, folder, *(part() for part in parts), [looks], quiet)
    assert done == 6 and [line["step"] for line in lines_of(folder) if "cider" in line] == [2, 4, 6]
    assert unequal(resumed.state_dict(), straight.state_dict()) == []
    kept = {name[6:]: t.half().float() for name, t in stored_at(tmp_path, run, reached).items() if name[:6] == "model."}
    assert unequal(resumed.state_dict(), kept) == []


def stored_at(folder: Path, run: RunConfig, step: int) -> dict[str, Tensor]:
    """What the run has learnt after so many steps."""
    every = run.model_copy(update={"saving": SavingConfig(every=1, keep=9), "validation": ValidationConfig()})
    train(every, folder / "every", fresh_model(), fresh_loader(folder), [], quiet)
    return stored(folder / "every" / f"step-{step:08}")


def test_the_last_look_is_made_although_a_stop_is_wished_and_after_a_death_in_it(tmp_path: Path) -> None:
    run = run_of(validation={"every": 99, "keep_best": True}, log={"every": 1})
    for name in ("stopped", "killed"):
        folder, looks = tmp_path / name, scores(0.5)
        if name == "killed":
            with pytest.raises(Killed):
                train(run, folder, fresh_model(), fresh_loader(tmp_path), [killed], quiet)
            assert found_states(folder)[-1].name == "step-00000006", "it was saved before it was looked at"
            train(run, folder, fresh_model(), fresh_loader(tmp_path), [looks], quiet)
        else:
            train(run, folder, fresh_model(), fresh_loader(tmp_path), [looks], stopped_at("step 6/", terminate))
        assert [line["step"] for line in lines_of(folder) if "cider" in line] == [6]


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_numbers_that_are_none_stop_the_run_before_they_are_learnt(tmp_path: Path, broken: str) -> None:
    model = fresh_model()

    def spoil(_: GitModel) -> dict[str, float]:
        bias = model.decoder.head.bias
        if broken == "loss":
            with torch.no_grad():
                bias[5] = float("nan")
        else:
            bias.register_hook(lambda gradient: gradient * float("inf"))
        return {}

    run = run_of(steps=9, saving={"every": 1}, validation={"every": 5})
    with pytest.raises(PixtellError, match=r"(loss|gradients' norm) is (nan|inf) at step 5: the last saved"):
        train(run, tmp_path / "run", model, fresh_loader(tmp_path), [spoil], quiet)
    good = stored(tmp_path / "run" / "step-00000004")
    assert all(bool(tensor.isfinite().all()) for tensor in good.values())
    if broken == "gradient":
        weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        kept = stored(tmp_path / "run" / "step-00000005")
        assert unequal({name: kept[name] for name in weights}, weights) == [], "the step was not taken"


def test_epochs_are_passes_over_the_first_stream(tmp_path: Path) -> None:
    loader = fresh_loader(tmp_path)  # 8 rows, 2 a step, and it serves 2 of 4 steps
    assert steps_of(run_of(steps=None, epochs=3), loader) == 24
    assert steps_of(run_of(steps=None, epochs=3, optim={"accumulation": 2}), loader) == 12
    assert steps_of(run_of(steps=None, epochs=0.01), loader) == 1
    assert steps_of(run_of(), loader) == 6


def test_four_pairs_are_learnt_by_heart(tmp_path: Path) -> None:
    """Pictures, loss, optimiser, cache and decoding together: what was shown is said, word for word."""
    texts = {
        "red": "a red disc",
        "green": "it is a square of green ?",
        "blue": "on blue",
        "yellow": "word1 word2 yellow",
    }
    files: list[tuple[str, bytes | dict[str, object] | list[object]]] = []
    for colour, text in texts.items():
        shape = "disc" if colour in ("red", "yellow") else "square"
        files += [(f"{colour}.png", png(drawing(colour, shape))), (f"{colour}.json", {"captions": [text]})]
    source = TarSource([write_tar(tmp_path / "four.tar", files)])
    loader = Loader([Stream(source, weight=1, media=4, texts=1, area=1.0)], tokenizer(), CONFIG.pixels, seed=1)
    optim = {"encoder_lr": 2e-3, "lr": 2e-3, "warmup": 10}
    run = run_of(steps=120, saving={"every": 1000}, precision="fp32", optim=optim, validation={"every": 1000})
    model, _ = train(run, tmp_path / "run", fresh_model(), loader, [], quiet)
    look = Look(tokenizer(), CONFIG.pixels, 4, quiet)
    said = {}
    with torch.inference_mode():
        for seen in look.batches(source, model, {}):
            answered = look.answers(model, seen.pixels_BFCHW, [[""]] * len(seen.rows))
            for example, answers in zip(seen.examples, answered, strict=True):
                said[example.key] = answers[0]
    assert said == {colour: text.replace(" ?", "?") for colour, text in texts.items()}
    assert set(COLOURS) == set(said)
