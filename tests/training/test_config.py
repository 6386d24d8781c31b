"""Run files: what is wrong is listed at once, with the names of the fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.errors import ConfigError
from pixtell.training.config import load_run, tars

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "pixtell-mini.toml"
SMALLEST = 'steps = 3\n[[streams]]\ndata = "*.tar"\n'


def run_file(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_bundled_models_run_file() -> None:
    run = load_run(EXAMPLE)
    assert [(stream.weight, stream.frames, stream.flip) for stream in run.streams] == [
        (10, 1, True),
        (1, 6, True),
        (2, 1, False),
    ]
    assert run.start.model is None and run.optim.label_smoothing == 0.1


def test_defaults_are_the_papers(tmp_path: Path) -> None:
    run = load_run(run_file(tmp_path, SMALLEST))
    assert (run.optim.encoder_lr, run.optim.decoder_lr, run.optim.warmup) == (1e-5, 5e-5, 500)
    assert (run.optim.weight_decay, run.optim.label_smoothing, run.start.dropout) == (0.01, 0.1, 0.1)


def test_everything_wrong_is_listed_at_once(tmp_path: Path) -> None:
    text = """
    seed = -1
    steps = "many"
    epochs = 3
    [start]
    efficientnet = 7
    [[streams]]
    data = "a.tar"
    media = 0
    flipp = true
    [[streams]]
    area = 1.5
    [optim]
    decoder_lr = -0.1
    label_smoothing = 1.0
    """
    with pytest.raises(ConfigError) as caught:
        load_run(run_file(tmp_path, text))
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("run.toml: 10 problems")
    for name in (
        "seed", "steps", "epochs", "start.efficientnet", "streams.0.media", "streams.0.flipp", "streams.1.data",
        "streams.1.area", "optim.decoder_lr", "optim.label_smoothing",
    ):  # fmt: skip
        (line,) = (line for line in lines if line.startswith(f"  - {name}: "))
        assert len(line) < 120, "a missing field does not show its whole section"
    assert "  - streams.0.media: input should be greater than or equal to 1, got 0" in lines
    assert "  - streams.1.data: field required" in lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "2 problems"),
        ("steps = 3\nstreams = []\n", "streams: .*at least 1 item"),
        (SMALLEST + '[start]\nmodel = "x"\nlayers = 2\nsize = 64\n', "start: .*layers, size do not go with `model`"),
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


def test_a_run_is_closed_and_frozen(tmp_path: Path) -> None:
    run = load_run(run_file(tmp_path, SMALLEST))
    with pytest.raises(ValueError, match="frozen"):
        run.steps = 4


def test_globs_are_relative_to_the_run_file_or_absolute(tmp_path: Path) -> None:
    folder = tmp_path / "odd [name]"
    (folder / "deep").mkdir(parents=True)
    for name in ("b-1.tar", "b-0.tar", "deep/c.tar", "a.txt"):
        (folder / name).touch()
    path = run_file(folder, "")
    assert tars("b-*.tar", path) == [folder / "b-0.tar", folder / "b-1.tar"]
    assert tars("deep/../b-0.tar", path) == [folder / "deep" / ".." / "b-0.tar"]
    assert tars("**/*.tar", path) == [folder / "b-0.tar", folder / "b-1.tar", folder / "deep" / "c.tar"]
    assert tars(str(tmp_path / "odd*" / "b-?.tar"), path) == [folder / "b-0.tar", folder / "b-1.tar"]
    for pattern in ("none-*.tar", str(tmp_path / "none.tar")):
        with pytest.raises(ConfigError, match="no file matches"):
            tars(pattern, path)
