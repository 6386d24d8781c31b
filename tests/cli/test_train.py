"""`pixtell train`: a run file and a folder go to the trainer, with CIDEr. (What it does: tests/training/.)"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from tiny_data import COLOURS, SHAPES, VOCAB, captions_tar, drawing, png

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.cli.train import agreement_by_cider, reward_by_cider, score_by_cider
from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.evaluation.metrics.cider import DocumentFrequencies, cider_d
from pixtell.model import GitModel
from pixtell.training.run import run_training
from pixtell.training.scst import Said

from .conftest import Run

RUN_FILE = """
steps = 2
start.model = "start"
loading.workers = 0
validation = {every = 1, limit = 8, captions = "captions.tar"}
log.every = 1
optim.warmup = 1
[[streams]]
data = "captions.tar"
media = 4
"""


def test_a_run_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    outcome = run("train", tmp_path / "none.toml", tmp_path / "out")
    assert outcome.code in (1, 2)
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert "none.toml: no such run file" in outcome.err


def test_every_problem_of_a_run_file_is_told(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("steps = 0\nstpes = 5\nstreams = []\n")
    outcome = run("train", file, tmp_path / "out", "--set", "optim.lrr=3", "--set", "lora.rank=0")
    assert outcome.code in (1, 2)
    assert all(name in outcome.err for name in ("steps", "stpes", "streams", "optim.lrr", "lora.rank"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [[], ["run.toml"]])
def test_both_words_are_needed(run: Run, words: list[str]) -> None:
    assert run("train", *words).code == 2


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    captions_tar(tmp_path / "captions.tar")
    text = TextConfig(
        vocab_size=len(VOCAB), width=24, layers=1, heads=2, mlp_width=32, max_positions=48, cls_id=2, sep_id=3
    )
    vision = ClipVitConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=24)
    torch.manual_seed(0)
    model = GitModel(ModelConfig(vision, text, PixelConfig(size=16)))
    save_checkpoint(Checkpoint(model.config, model.state_dict(), VOCAB), tmp_path / "start")
    (tmp_path / "run.toml").write_text(RUN_FILE)
    return tmp_path / "run.toml"


def test_evaluations_have_cider_and_samples_are_rewarded_by_it(run: Run, run_file: Path) -> None:
    folder = run_file.parent / "run"
    settings = ("scst.samples=3", "scst.max_new_tokens=5")
    outcome = run("train", run_file, folder, *(word for setting in settings for word in ("--set", setting)))
    assert outcome.code == 0, outcome.err
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert all("cider" in line for line in lines if "caption_loss" in line)
    assert all("reward" in line and "baseline" in line for line in lines if "loss" in line)
    assert (folder / "model" / "model.safetensors").exists()
    assert run("train", run_file, folder, *(w for s in settings for w in ("--set", s)), "--resume").code == 0


def test_stages_are_one_command(run: Run, run_file: Path) -> None:
    folder = run_file.parent / "run"
    stages = "[[then]]\nsteps = 1\nscst = {samples = 2, max_new_tokens = 4}\n"
    run_file.write_text(RUN_FILE.replace("every = 1,", "every = 1, before = true,") + stages)
    told = run("train", run_file, "--dry-run")
    assert [line for line in told.lines if line.startswith(("stage", "length"))] == [
        "stage    1 of 2",
        "length   2 steps, epochs of the data: 1.0",
        "stage    2 of 2",
        "length   1 steps, epochs of the data: 0.5",
    ]
    outcome = run("train", run_file, folder)
    assert outcome.code == 0, outcome.err
    *_, first, second, last = outcome.err.splitlines()
    assert "stage 1 of 2, CIDEr: " in first and "stage 2 of 2, CIDEr: " in second
    assert f"{folder / 'model'}: the finished model" in last
    again = run("train", run_file, folder, "--resume")
    assert again.code == 0 and "stage 2 of 2: finished before" in again.err
    refused = run("train", run_file, folder, "--set", "then.0.optim.lr=-1")
    assert refused.code == 2 and "then.0.optim.lr: input should be greater than or equal to 0" in refused.err


def test_a_run_file_may_change_while_it_runs(run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edited_meanwhile(*arguments: object, **named: object) -> bool:
        finished = run_training(*arguments, **named)  # type: ignore[arg-type]
        run_file.write_text("steps = 0\n")
        return finished

    monkeypatch.setattr("pixtell.training.run.run_training", edited_meanwhile)
    run_file.write_text(RUN_FILE.replace("every = 1,", "every = 1, before = true,"))
    outcome = run("train", run_file, run_file.parent / "run")
    assert outcome.code == 0, outcome.err
    assert "CIDEr: " in outcome.err and "the finished model" in outcome.err.splitlines()[-1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full, a disk that is always full")
def test_a_dry_run_on_a_full_disk_is_one_line(run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "w", buffering=1)  # noqa: SIM115 - what is left in it can't be written when it is closed
    monkeypatch.setattr(sys, "stdout", full)
    outcome = run("train", run_file, "--dry-run")
    with contextlib.suppress(OSError):
        full.close()
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("pixtell: results can't be written to stdout: No space left")


@pytest.fixture
def photos(run_file: Path) -> Path:
    """A folder of drawings with texts, beside the tiny model `start`."""
    folder = run_file.parent / "photos"
    folder.mkdir()
    for number, (colour, shape) in enumerate([(c, s) for c in COLOURS for s in SHAPES] * 3):
        (folder / f"{number}.png").write_bytes(png(drawing(colour, shape)))
        (folder / f"{number}.txt").write_text(f"a {colour} {shape}\n")
    return folder


def test_from_a_folder_to_a_model_and_once_more(run: Run, photos: Path) -> None:
    start, out = photos.parent / "start", photos.parent / "out"
    words = ("train", "--data", photos, "--from", start, "-o", out)
    quick = ("--set", "optim.lr=1e-2", "--set", "loading.workers=0", "--set", "epochs=3")
    outcome = run(*words, *quick)
    assert outcome.code == 0, outcome.err
    assert "before, " in outcome.err and "CIDEr: " in outcome.err and "(reference: 'a " in outcome.err
    assert f"{out / 'model'}: the finished model" in outcome.err and outcome.out == ""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    looked = [line["step"] for line in lines if "cider" in line]
    assert looked[0] == 0 and looked[-1] == 30, "3 epochs of 20 rows by 2, with a look before and after"
    kept = (out / "run.toml").read_text()
    again = run(*words, *quick)
    assert again.code == 0 and "steps 30 to 30" in again.err
    assert (out / "run.toml").read_text() == kept
    assert run("caption", photos / "0.png", "--model", out / "model", "--max-new-tokens", "4").code == 0
    other = run("train", "--data", photos.parent / "captions.tar", "--from", start, "-o", out)
    assert other.code == 2 and "is there already" in other.err
    assert run("train", out / "run.toml", photos.parent / "third", *quick).code == 0, "the run file is one as any other"


@pytest.mark.parametrize(
    ("data", "name"),
    [("photos", "photos"), ("photos/", "photos"), ("captions.tar", "captions"), ("capt*-[0-9]*.tar", "capt-0-9")],
)
def test_a_run_is_called_as_its_data(
    run: Run, photos: Path, data: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    (photos.parent / "capt-0.tar").write_bytes((photos.parent / "captions.tar").read_bytes())
    asked: list[str] = []
    monkeypatch.setattr("pixtell.training.run.run_training", lambda file, *_, **__: asked.append(str(file)))
    outcome = run("train", "--data", data, "--from", "start")
    assert asked == [f"runs/{name}/run.toml"] and f"runs/{name}/run.toml: the settings" in outcome.err
    assert Path(asked[0]).is_file()


def test_what_another_run_saved_is_gone_on_from(run: Run, photos: Path, run_file: Path) -> None:
    other = photos.parent / "other"
    assert run("train", run_file, other, "--set", "validation={}").code == 0
    outcome = run("train", "--data", photos, "--from", other, "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "learn" in outcome.lines[0] and not Path("runs", "photos").exists()


def test_a_dry_run_writes_nothing(run: Run, photos: Path, run_file: Path) -> None:
    before = sorted(photos.parent.rglob("*"))
    out = photos.parent / "out"
    by_data = run("train", "--data", photos, "--from", photos.parent / "start", "-o", out, "--dry-run")
    assert by_data.code == 0, by_data.err
    assert [line.split()[0] for line in by_data.lines] == ["model", "data", "data", "length", "memory", "time"]
    by_file = run("train", run_file, "--dry-run", "--set", "steps=7")
    assert by_file.code == 0 and "length   7 steps, epochs of the data: 3.5" in by_file.lines
    assert sorted(photos.parent.rglob("*")) == before


def test_data_is_for_one_process_and_resuming_for_what_was_begun(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = photos.parent / "out"
    words = ("train", "--data", photos, "--from", photos.parent / "start", "-o", out)
    assert "no run to go on from" in run(*words, "--resume").err
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = run(*words)
    assert outcome.code == 2 and f"torchrun ... -m pixtell train {out / 'run.toml'} {out}" in outcome.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run.toml", "--data", "x", "-o", "y"], "run.toml: a run file names its data"),
        (["run.toml", "out", "--from", "m"], "--from goes with --data"),
        (["run.toml", "-o", "out"], "name a run file and a folder"),
    ],
)
def test_words_that_do_not_go_together(run: Run, words: list[str], told: str) -> None:
    outcome = run("train", *words)
    assert outcome.code == 2 and told in outcome.err


PICTURES = (("a dog runs", "a brown dog is running"), ("two boats on a lake", "boats float"), ("a cat", "a cat sleeps"))


def test_the_reward_is_cider_with_the_end_as_a_word() -> None:
    said = ["a dog is running", "boats on a lake", "a cat sleeps"]
    reward = reward_by_cider(PICTURES)
    order = [PICTURES[2], PICTURES[0], PICTURES[1], PICTURES[0]]
    texts = [Said(said[2], True), Said(said[0], True), Said(said[1], False), Said(said[0], False)]
    by_hand = cider_d(
        [f"{said[0]} <eos>", said[1], f"{said[2]} <eos>"], [[f"{text} <eos>" for text in own] for own in PICTURES]
    ).items_N
    found = reward(order, texts)
    assert found[:3] == pytest.approx([by_hand[2], by_hand[0], by_hand[1]])
    assert found[3] < found[1], "a text that never ends earns less"


def test_the_score_is_that_of_the_evaluator() -> None:
    said = ["A dog is running.", "boats on a lake", "a cat sleeps"]
    tokens = ["a dog is running", "boats on a lake", "a cat sleeps"]
    assert score_by_cider(said, PICTURES) == pytest.approx(cider_d(tokens, [list(own) for own in PICTURES]).value)


def test_agreement_is_cider_against_the_picture_s_other_captions() -> None:
    pictures = [
        ("A dog runs.", "a brown dog is running", "dogs"),
        ("two boats on a lake", "boats float"),
        ("a cat", "a cat", "a cat sleeps", "x"),
    ]
    tokens = [[f"{text.lower().removesuffix('.')} <eos>" for text in own] for own in pictures]
    frequencies = DocumentFrequencies.of(tokens)
    said = [(text, own[:place] + own[place + 1 :]) for own in tokens for place, text in enumerate(own)]
    slow = cider_d([text for text, _ in said], [others for _, others in said], frequencies).items_N
    found = agreement_by_cider(pictures)
    assert [len(own) for own in found] == [3, 2, 4]
    assert [score for own in found for score in own] == pytest.approx(list(slow), abs=1e-9)
    assert found[2][0] > found[2][2] > found[2][3] >= 0
