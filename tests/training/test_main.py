"""The training as its user runs it: a process, a run file, a folder; also killed in the middle, and with mistakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_data import VOCAB, captions_tar, drawing, questions_tar, write_tar

import pixtell
from pixtell.checkpoint.convert import load_checkpoint, save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.model import GitModel
from pixtell.training.__main__ import main
from pixtell.training.state import STATE_FILE

SOURCE = Path(__file__).resolve().parents[2] / "src"
RUN_FILE = """
seed = 5
steps = {steps}
save_every = {save_every}
[start]
model = "{model}"
[[streams]]
data = "data/captions-*.tar"
weight = 2
media = 4
[[streams]]
data = "data/captions-*.tar"
media = 2
frames = 2
[[streams]]
data = "data/questions.tar"
media = 2
flip = false
[optim]
encoder_lr = 1e-4
decoder_lr = 1e-3
warmup = 5
[validation]
every = 1000
limit = 3
captions = "data/captions-*.tar"
questions = "data/questions.tar"
"""


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with tiny tars, a tiny model to start from, and a run file."""
    (tmp_path / "data").mkdir()
    captions_tar(tmp_path / "data" / "captions-0.tar")
    questions_tar(tmp_path / "data" / "questions.tar")
    text = TextConfig(
        vocab_size=len(VOCAB), width=32, layers=2, heads=2, mlp_width=48, max_positions=48, cls_id=2, sep_id=3
    )
    config = ModelConfig(
        ClipVitConfig(image_size=16, patch_size=8, width=24, layers=1, heads=2, mlp_width=32),
        text,
        PixelConfig(size=16),
        frames=2,
    )
    torch.manual_seed(0)
    save_checkpoint(Checkpoint(config, GitModel(config).state_dict(), VOCAB), tmp_path / "start")
    write_run(tmp_path, steps=60)
    return tmp_path


def write_run(folder: Path, steps: int, save_every: int = 1, text: str = RUN_FILE) -> Path:
    path = folder / "run.toml"
    path.write_text(text.format(steps=steps, save_every=save_every, model=folder / "start"), encoding="utf-8")
    return path


def training_process(folder: Path, run: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pixtell.training", str(folder / "run.toml"), str(folder / run)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    """What a training that ends well says on stderr; nothing may stand on stdout."""
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert out == ""
    return said


def test_a_killed_process_goes_on_to_the_very_same_weights(workplace: Path) -> None:
    process = training_process(workplace, "killed")
    deadline = time.monotonic() + 120
    while not (workplace / "killed" / STATE_FILE).exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    reached = torch.load(workplace / "killed" / STATE_FILE, weights_only=True)["step"]
    assert 1 <= reached < 60, "killed in the middle"
    said = finished(training_process(workplace, "killed"))
    assert f"steps {reached} to 60" in said or f"steps {reached + 1} to 60" in said

    assert main([str(workplace / "run.toml"), str(workplace / "straight")]) == 0
    killed, straight = (torch.load(workplace / run / STATE_FILE, weights_only=True) for run in ("killed", "straight"))
    assert killed["step"] == straight["step"] == 60
    assert all(torch.equal(tensor, straight["model"][name]) for name, tensor in killed["model"].items())
    files = [(workplace / run / "model" / "model.safetensors").read_bytes() for run in ("killed", "straight")]
    assert files[0] == files[1]


def test_the_model_that_comes_out(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write_run(workplace, steps=5, save_every=3)), str(workplace / "run")]) == 0
    said = capsys.readouterr().err
    assert "parameters, steps 0 to 5" in said and "(reference: 'a red disc')" in said
    assert "caption_loss" in said and "exact_match" in said
    state = torch.load(workplace / "run" / STATE_FILE, weights_only=True)["model"]
    stored = load_file(workplace / "run" / "model" / "model.safetensors")
    assert stored.keys() == state.keys()
    assert all(torch.equal(tensor.half(), stored[name]) for name, tensor in state.items())
    checkpoint = load_checkpoint(workplace / "run" / "model")
    assert checkpoint.vocab == VOCAB and checkpoint.config.frames == 2
    captioner = pixtell.load(str(workplace / "run" / "model"), device="cpu")
    assert isinstance(captioner.caption(drawing("blue", "square"), beams=1, max_new_tokens=4).text, str)


def test_mistakes_are_one_line_and_exit_code_1(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(workplace / "run.toml")

    def said_by(*arguments: str, code: int = 1) -> str:
        assert main(list(arguments)) == code
        captured = capsys.readouterr()
        assert captured.out == "" and "Traceback" not in captured.err
        (line,) = captured.err.splitlines()
        return line

    assert said_by(run, code=2) == "usage: python -m pixtell.training RUN.toml FOLDER"
    assert said_by(str(workplace / "no.toml"), "x").startswith("error: ") and "no such run file" in said_by(
        "no.toml", "x"
    )
    assert "can't be made a folder" in said_by(run, run)
    broken = RUN_FILE.replace("questions.tar", "nothing.tar", 1)
    assert "no file matches 'data/nothing.tar'" in said_by(str(write_run(workplace, 3, text=broken)), "x")
    write_run(workplace, 3, text=RUN_FILE.replace("{model}", str(workplace / "none")))
    assert "none" in said_by(run, "x")
    write_tar(workplace / "data" / "questions.tar", [("1.jpg", b"?"), ("1.json", {"qa": []})])
    write_run(workplace, 3)
    assert said_by(run, "x") == "error: 1.json: neither `captions` nor `qa`"


def test_a_decoder_with_too_few_positions_is_refused(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Training texts take up to 42 positions; without this check, one of them would end the run after hours."""
    start = load_checkpoint(workplace / "start")
    config = replace(start.config, text=replace(start.config.text, max_positions=41))
    state = {**start.state}
    state["decoder.position_embedding.weight"] = state["decoder.position_embedding.weight"][:41].clone()
    save_checkpoint(Checkpoint(config, state, VOCAB), workplace / "start", overwrite=True)
    assert main([str(workplace / "run.toml"), str(workplace / "run")]) == 1
    assert "the decoder has 41 text positions, but a training text may take 42" in capsys.readouterr().err
