"""The training as its user runs it: a process, a run file, a folder; also killed in the midst, and with mistakes."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_data import VOCAB, drawing, texts_tar, write_tar

import pixtell
from pixtell.checkpoint.convert import build_model, load_checkpoint, save_checkpoint
from pixtell.config import DecodeOptions
from pixtell.decoding.loop import Prompt, generate
from pixtell.pixels import to_pixels
from pixtell.tokenizer import Tokenizer
from pixtell.training import loop
from pixtell.training.__main__ import STOPPED, main
from pixtell.training.log import broken_in
from pixtell.training.state import found_states

from .tiny_runs import RUN_FILE, full_disk, newest, unequal, workplace

SOURCE = Path(__file__).resolve().parents[2] / "src"


def training_process(folder: Path, run: str) -> subprocess.Popen[str]:
    """`pixtell train`, its pictures opened by a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pixtell", "train", str(folder / "run.toml"), str(folder / run)]
    command += ["--set", "loading.workers=1"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    """What a training that ends well says on stderr; nothing may stand on stdout."""
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert out == ""
    return said


@pytest.mark.slow
def test_killed_at_five_random_moments_the_command_goes_on_to_the_very_same_weights(tmp_path: Path) -> None:
    """From before the first state on; nothing is deleted or repaired between."""
    workplace(tmp_path, steps=300)
    moment = random.Random(7)
    for _ in range(5):
        process = training_process(tmp_path, "killed")
        time.sleep(moment.uniform(2, 8))
        assert process.poll() is None, process.communicate()[1]
        process.kill()
        process.communicate()
    reached = found_states(tmp_path / "killed")
    assert reached and reached[-1].name < "step-00000300"
    assert f"steps {int(reached[-1].name[5:])} to 300" in finished(training_process(tmp_path, "killed"))
    finished(training_process(tmp_path, "straight"))
    assert unequal(newest(tmp_path / "killed"), newest(tmp_path / "straight")) == []
    files = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("killed", "straight")]
    assert files[0] == files[1]


def test_the_model_that_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main([str(workplace(tmp_path, steps=5, save_every=3)), str(run)]) == 0
    said = capsys.readouterr().err
    assert "parameters, steps 0 to 5" in said and "(reference: 'a red disc')" in said
    assert "caption_loss" in said and "exact_match" in said
    state = {name[6:]: tensor for name, tensor in newest(run).items() if name.startswith("model.")}
    stored = load_file(run / "model" / "model.safetensors")
    assert unequal(stored, {name: tensor.half() for name, tensor in state.items()}) == []
    checkpoint = load_checkpoint(run / "model")
    assert checkpoint.vocab == VOCAB and checkpoint.config.frames == 2
    captioner = pixtell.load(str(run / "model"), device="cpu")
    assert isinstance(captioner.caption(drawing("blue", "square"), beams=1, max_new_tokens=4).text, str)


def test_a_trained_model_says_the_same_in_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    run = tmp_path / "run"
    settings = ["optim.lr=3e-3", "optim.ema=0.5", "lora.rank=4", "saving.every=99"]
    words = [word for setting in settings for word in ("--set", setting)]
    assert main([str(workplace(tmp_path, steps=30)), str(run), *words]) == 0
    checkpoint = load_checkpoint(run / "model")
    save_checkpoint(checkpoint, tmp_path / "hub", "hub")
    theirs = transformers.GitForCausalLM.from_pretrained(tmp_path / "hub", dtype=torch.float32).eval()
    ours, tokenizer = build_model(checkpoint), Tokenizer(checkpoint.vocab)
    pictures = [drawing(colour, shape) for colour in ("red", "blue") for shape in ("disc", "square")]
    said = set()
    for picture in pictures:
        pixels = to_pixels([picture], checkpoint.config.pixels)
        with torch.inference_mode():
            cache = ours.prefill(ours.see(pixels[None]))
            greedy = DecodeOptions(beams=1, max_new_tokens=8)
            mine = generate(ours, cache, [Prompt(0, (tokenizer.cls_id,))], greedy)[0][0]
            start = torch.tensor([[tokenizer.cls_id]])
            found = theirs.generate(
                input_ids=start, pixel_values=pixels[None], max_new_tokens=8, do_sample=False, num_beams=1
            )
        assert tokenizer.decode(found[0].tolist()) == tokenizer.decode(mine.ids)
        said.add(mine.ids)
    assert said


def said_by(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    return captured.err.splitlines()[-1]


def test_mistakes_are_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, x = str(workplace(tmp_path, steps=3)), str(tmp_path / "x")
    assert said_by(capsys, str(tmp_path / "no.toml"), x).endswith("no such run file")
    assert "can't be made a folder" in said_by(capsys, run, run)
    assert "no state to go on from" in said_by(capsys, run, str(tmp_path / "new"), "--resume")
    assert not (tmp_path / "new").exists()
    assert "scst: CIDEr is wired by the command" in said_by(capsys, run, x, "--set", "scst.samples=5")
    assert "nothing.tar" in said_by(capsys, run, x, "--set", "streams.0.data=data/nothing.tar")
    assert "none" in said_by(capsys, run, x, "--set", "start.model=none")
    with pytest.raises(SystemExit, match="2"):
        main([run])
    assert "usage: python -m pixtell.training" in capsys.readouterr().err
    write_tar(tmp_path / "data" / "questions.tar", [("1.jpg", b"?"), ("1.json", {"qa": []})])
    assert said_by(capsys, run, x).startswith("error: ")


def test_rows_that_are_broken_are_told_and_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(workplace(tmp_path, steps=8))
    good = (tmp_path / "data" / "captions-0.tar").read_bytes()
    at = good.index(b"\x89PNG")
    (tmp_path / "data" / "captions-0.tar").write_bytes(good[:at] + b"?" * 40 + good[at + 40 :])
    assert main([run, str(tmp_path / "run")]) == 0
    said = capsys.readouterr().err
    assert "warning: 1 rows were broken and passed over, the first: " in said
    assert "warning: captions-0: 1 of 3 rows can't be seen, the first: " in said
    assert "0 is the limit" in said_by(capsys, run, str(tmp_path / "x"), "--set", "loading.max_broken=0")


def test_broken_rows_are_all_in_the_log_also_of_a_run_that_died(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, folder = str(workplace(tmp_path, steps=8)), tmp_path / "run"
    texts = [(f"p{number}", {"caption": f"word{number}"}) for number in range(6)]
    texts_tar(tmp_path / "data" / "captions-1.tar", texts, broken=["p0", "p2", "p4"])
    learn = loop.learn

    def mortal(*arguments: object) -> object:
        if arguments[2] == 5:
            raise KeyboardInterrupt
        return learn(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(loop, "learn", mortal)
        main([run, str(folder)])
    assert broken_in(folder), "some of them before it died"
    for name in ("run", "straight"):
        assert main([run, str(tmp_path / name)]) == 0
        found = broken_in(tmp_path / name)
        assert sorted(found) == ["p0", "p2", "p4"] and all(text.startswith(f"{key}: ") for key, text in found.items())
        said = capsys.readouterr().err
        told = f"warning: 3 rows were broken and passed over, the first: {next(iter(found.values()))}; all are in "
        assert f"{told}{tmp_path / name / 'log.jsonl'}" in said
        assert all((tmp_path / name / "log.jsonl").read_text().count(f'"{key}"') == 1 for key in found)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, folder = str(workplace(tmp_path, steps=6)), tmp_path / "run"
    words = ("--set", "log.every=1", "--set", "saving.asynchronous=false")
    learn = loop.learn
    with contextlib.ExitStack() as until_then, monkeypatch.context() as patched:

        def last_before(*arguments: object) -> object:
            outcome = learn(*arguments)  # type: ignore[arg-type]
            if arguments[2] == 3:
                until_then.enter_context(full_disk())
            return outcome

        patched.setattr(loop, "learn", last_before)
        assert main([run, str(folder), *words]) == 1
    *_, saved, told = capsys.readouterr().err.splitlines()
    assert saved == "saved up to step 3; once what stopped it is mended, the same command goes on from there"
    assert told == f"error: {folder / 'log.jsonl'}: can't be written (File too large)"
    assert main([run, str(folder), *words]) == main([run, str(tmp_path / "straight"), *words]) == 0
    models = [tmp_path / name / "model" / "model.safetensors" for name in ("run", "straight")]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_resuming_is_no_more_than_running_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(workplace(tmp_path, steps=2))
    assert main([run, str(tmp_path / "run")]) == 0
    assert main([run, str(tmp_path / "run"), "--resume"]) == 0
    assert "steps 2 to 2" in capsys.readouterr().err


def test_a_run_that_was_asked_to_stop_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixtell.training.stop.StopWish.__enter__", lambda self: setattr(self, "asked", True) or self)
    run = str(workplace(tmp_path, steps=2, text=RUN_FILE))
    assert main([run, str(tmp_path / "run")]) == STOPPED
    assert "stopped after step 0; the same command goes on from there" in capsys.readouterr().err
    assert not (tmp_path / "run" / "model").exists()
