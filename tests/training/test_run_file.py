"""Run files: what is wrong is listed at once, with the names of the fields; single settings are overruled."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.errors import ConfigError
from pixtell.training.config import contradictions
from pixtell.training.run_file import load_run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALLEST = 'steps = 3\n[[streams]]\ndata = "*.tar"\n'


def run_file(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_bundled_models_run_files() -> None:
    run = load_run(EXAMPLES / "pixtell-mini.toml")
    assert [(stream.weight, stream.frames, stream.flip) for stream in run.streams] == [
        (10, 1, True),
        (1, 6, True),
        (2, 1, False),
    ]
    assert run.start.model is None and run.optim.label_smoothing == 0.1
    assert contradictions(load_run(EXAMPLES / "pixtell-mini-questions.toml")) == []


def test_everything_wrong_is_listed_at_once(tmp_path: Path) -> None:
    text = """
    seed = -1
    steps = "many"
    epochs = 3
    [start]
    efficientnet = 7
    model = "git-base"
    layers = 3
    [[streams]]
    data = "a.tar"
    media = 0
    flipp = true
    [[streams]]
    area = 1.5
    [optim]
    lr = -0.1
    label_smoothing = 1.0
    frozen_encoder_steps = 3
    [lora]
    ranks = 3
    """
    with pytest.raises(ConfigError) as caught:
        load_run(run_file(tmp_path, text), ["optim.betas=[0.9, 2]", "nonsense"])
    lines = str(caught.value).splitlines()
    for name in (
        "seed", "steps", "start.efficientnet", "streams.0.media", "streams.0.flipp", "streams.1.data",
        "streams.1.area", "optim.lr", "optim.label_smoothing", "optim.betas.1", "lora.ranks", "--set nonsense",
        "start", "lora",
    ):  # fmt: skip
        (line,) = (line for line in lines if line.startswith(f"  - {name}: "))
        assert len(line) < 130, "a missing field does not show its whole section"
    assert lines[0].endswith("run.toml: 14 problems")
    assert "  - streams.0.media: input should be greater than or equal to 1, got 0" in lines
    assert "  - streams.1.data: field required" in lines
    assert "  - start: a checkpoint brings its own shape: layers do not go with model" in lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "2 problems"),
        ("steps = 3\nstreams = []\n", "streams: .*at least 1 item"),
        (SMALLEST + '[start]\nmodel = "x"\nlayers = 2\n', "layers do not go with model"),
        (f"seed = {2**32}\n" + SMALLEST, "seed: .*less than"),
        ("steps = \n", "not valid TOML"),
        (SMALLEST + "[optim]\nencoder_lr = nan\n", "optim.encoder_lr"),
    ],
)
def test_other_mistakes(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_run(run_file(tmp_path, text))


def test_files_that_are_no_run_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such run file"):
        load_run(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="can't be read"):
        load_run(tmp_path)
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_run(tmp_path / "run.toml")


def test_settings_are_overruled(tmp_path: Path) -> None:
    settings = [
        "optim.lr=2e-5",
        "streams.0.data=other.tar",
        "start.model = 'git-base'",
        "lora.rank=4",
        "optim.betas=[0.8, 0.9]",
        "gradient_checkpointing=true",
    ]
    run = load_run(run_file(tmp_path, SMALLEST), settings)
    assert run.optim.lr == 2e-5 and run.streams[0].data == "other.tar" and run.start.model == "git-base"
    assert run.lora is not None and run.lora.rank == 4 and run.optim.betas == (0.8, 0.9) and run.gradient_checkpointing


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("steps", "--set steps: say it as section.name=value"),
        ("optim..lr=1", "say it as section.name=value"),
        ("optim.lrr=1", "optim.lrr: extra inputs are not permitted, got 1"),
        ("streams.1.media=2", "there is no streams.1 to set anything in"),
        ("streams.media=2", "name a setting of one of them, such as streams.0.media"),
        ("steps.x=2", "there is no steps to set anything in"),
        ("optim.lr=fast", "optim.lr: .*got 'fast'"),
    ],
)
def test_settings_that_can_not_be_overruled_so(tmp_path: Path, setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_run(run_file(tmp_path, SMALLEST), [setting])
