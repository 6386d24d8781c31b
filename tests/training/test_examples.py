"""The run files of examples/: each has its head, and runs: its settings, with tiny data and a tiny model.

The surprising thing: what a tiny model is made of, and what is learnt for hundreds of steps first, is replaced, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from tiny_data import captions_lines, captions_tar, questions_tar

from pixtell.training.dry_run import dry_run
from pixtell.training.log import lines_of
from pixtell.training.run import Judges, run_training
from pixtell.training.run_file import load_stages
from pixtell.training.scst import Reward, Said
from pixtell.training.stages import stages_in
from pixtell.training.state import found_states

from .tiny_clip import tiny_clip
from .tiny_runs import quiet, workplace

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BUNDLED = EXAMPLES / "pixtell-mini.toml"
PUBLISHED = sorted(EXAMPLES.glob("git-*.toml"), key=lambda path: path.name)
TASKS = "pretraining coco textcaps vqav2 textvqa vatex msrvtt msrvtt-qa msvd-qa imagenet scene-text"
# Lines of a run file, and what stands in their place where everything is tiny.
TINY = {
    r"^(epochs|steps) = .*": "steps = 3",
    r"^layers = .*\n": "",
    r"^efficientnet = .*": 'model = "start"',
    r"^frozen_encoder_steps = .*": "frozen_encoder_steps = 1",
    r"^model = .*": 'model = "start"',
    r"^clip = .*": 'clip = "clip"\nvocab = "vocab.txt"\nlayers = 1',
    r"^(pictures|split) = .*\n": "",
    r"^size = .*": "size = 32",
    r"^max_size = .*": "max_size = 48",
    r"^sizes = .*": "sizes = [24, 32]",
    r"^media = .*": "media = 2",
    r"^accumulation = .*": "accumulation = 2",
    r"^workers = .*": "workers = 0",
    r"^held_out = .*": "held_out = 1",
    r"^warmup = .*": "warmup = 1",
}


FILES = r"^(data|captions|questions) = (\[\n(?:  .*\n)*\]|.*)(?P<asked>\nask = true)?"
LOGGED = ["log.every=1"]


def tiny_files(name: str, found: re.Match[str]) -> str:
    """The same line with tiny files: of questions where the example's are, and of captions that answer some."""
    if found["asked"]:
        return f'{found[1]} = "captions.jsonl"{found["asked"]}'
    questions = found[1] == "questions" or "qa" in name or "daquar" in found[2]
    return f'{found[1]} = "{"questions" if questions else "captions"}.tar"'


def everyone_the_same(pictures: Sequence[tuple[str, ...]]) -> Reward:
    def reward(references: Sequence[tuple[str, ...]], said: Sequence[Said]) -> Sequence[float]:
        return [float(len(each.text)) for each in said]

    return reward


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    workplace(tmp_path, steps=1)
    captions_tar(tmp_path / "captions.tar")
    questions_tar(tmp_path / "questions.tar")
    captions_lines(tmp_path)
    return tmp_path


def test_every_task_has_a_run_file() -> None:
    named = {path.stem.split("-", 2)[2] for path in PUBLISHED}
    assert named == set(TASKS.split())
    assert {path.stem for path in PUBLISHED} >= {"git-base-pretraining", "git-large-pretraining"}


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: str(path.stem))
def test_the_head_says_command_data_cost_and_published_result(path: Path) -> None:
    head = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert f"#   pixtell train examples/{path.name} runs/{path.stem}\n" in head
    assert [word for word in ("Data", "Cost", "Published") if f"\n# {word}: " not in head] == []
    load_stages(path)


@pytest.mark.parametrize("path", [*PUBLISHED, BUNDLED], ids=lambda path: str(path.stem))
def test_it_runs(path: Path, tiny: Path) -> None:
    """A dry run, then three steps of each stage."""
    text = path.read_text(encoding="utf-8")
    for pattern, tiny_line in TINY.items():
        text = re.sub(pattern, tiny_line, text, flags=re.MULTILINE)
    text = re.sub(FILES, partial(tiny_files, path.stem), text, flags=re.MULTILINE)
    if "pretraining" in path.stem:
        text = text.replace("[optim]", "[optim]\nwarmup = 1")
        tiny_clip(tiny)
    run_file = tiny / path.name
    run_file.write_text(text, encoding="utf-8")
    judges = Judges(reward=everyone_the_same)
    stages = load_stages(run_file, LOGGED)
    told = dry_run(stages, run_file, quiet, judges)
    assert sum(line.startswith("length   3 steps") for line in told) == len(stages)
    assert run_training(run_file, tiny / "run", quiet, overrides=LOGGED, judges=judges)
    for stage in stages_in(tiny / "run", stages):
        losses = [line["loss"] for line in lines_of(stage.folder) if "loss" in line]
        assert len(losses) == 3 and all(map(math.isfinite, losses))
    states = [found_states(stage.folder)[-1].name for stage in stages_in(tiny / "run", stages)]
    assert states == ["step-00000003"] * len(stages)
    assert (tiny / "run" / "model" / "model.safetensors").exists()
