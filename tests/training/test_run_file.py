"""Run files: what is wrong is listed at once, with the names of the fields; single settings are overruled."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.errors import ConfigError
from pixtell.training.run_file import load_stages, parse_stages

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALLEST = 'steps = 900\n[[streams]]\ndata = "*.tar"\n'


def run_file(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_bundled_models_run_file() -> None:
    first, second = load_stages(EXAMPLES / "pixtell-mini.toml")
    assert [(stream.weight, stream.frames, stream.flip, stream.ask) for stream in first.streams] == [
        (10, 1, True, False),
        (1, 6, True, False),
        (2, 1, False, False),
        (2, 1, True, True),
    ]
    assert first.start.model is None and first.optim.label_smoothing == 0.1 and first.scst is None
    assert second.scst is not None and second.optim.frozen_encoder_steps == 0
    assert {stream.data for stream in second.streams} == {stream.data for stream in first.streams}


def test_the_run_files_in_the_docs() -> None:
    page = (EXAMPLES.parent / "docs" / "training.md").read_text(encoding="utf-8")
    texts = [block.partition("```")[0] for block in page.split("```toml\n")[1:]]
    assert [len(parse_stages(text, "docs/training.md")) for text in texts] == [1, 1, 2]


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
        load_stages(run_file(tmp_path, text), ["optim.betas=[0.9, 2]", "nonsense"])
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
        load_stages(run_file(tmp_path, text))


STAGES = """
epochs = 2
start.model = "git-base"
start.dropout = 0.2
[[streams]]
data = "a.tar"
[[streams]]
data = "b.tar"
[optim]
lr = 1e-3
betas = [0.8, 0.9]
label_smoothing = 0.2
[[then]]
steps = 7
optim.lr = 1e-4
start.attention_dropout = 0.0
[[then]]
scst.samples = 3
[[then.streams]]
data = "c.tar"
ask = true
"""


def test_stages_have_what_their_tables_do_not_give_from_the_run(tmp_path: Path) -> None:
    overrides = ["then.0.optim.warmup=6", "optim.clip_norm=0.5", "seed=4", "then.1.scst.captions=0.25"]
    first, second, third = load_stages(run_file(tmp_path, STAGES), overrides)
    assert [(run.steps, run.epochs) for run in (first, second, third)] == [(None, 2), (7, None), (None, 2)]
    assert [(run.optim.lr, run.optim.warmup) for run in (first, second, third)] == [(1e-3, 500), (1e-4, 6), (1e-3, 500)]
    for run in (first, second, third):
        assert (run.seed, run.optim.betas, run.optim.clip_norm) == (4, (0.8, 0.9), 0.5)
    assert first.start.model == "git-base" and first.start.dropout == 0.2
    assert second.start.model_dump(exclude_none=True) == {"attention_dropout": 0.0}
    assert third.start.model_dump(exclude_none=True) == {}
    assert first.streams == second.streams and [(s.data, s.ask) for s in third.streams] == [("c.tar", True)]
    assert first.scst is second.scst is None and third.scst is not None and third.scst.captions == 0.25


def test_everything_wrong_with_stages_is_listed_with_the_rest(tmp_path: Path) -> None:
    text = """
    steps = 3
    sede = 3
    [[streams]]
    data = "a.tar"
    media = 0
    [optim]
    encoder_blocks = 3
    warmup = 1
    [[then]]
    steps = 4
    epochs = 5
    frozen = ["vision"]
    start.model = "git-base"
    start.layers = 3
    optim.lr = -1
    [[then]]
    lora.rank = 0
    optim.encoder_blocks = 2
    streams = [{data = "a.tar", texts = 0}]
    [[then.then]]
    steps = 3
    """
    with pytest.raises(ConfigError) as caught:
        load_stages(run_file(tmp_path, text), ["then.2.steps=3", "then.1.log.every=0"])
    lines = str(caught.value).splitlines()
    assert [line.removeprefix("  - ").partition(": ")[0] for line in lines[1:]] == [
        "--set then.2.steps=3", "streams.0.media", "sede",
        "then.0.start.model", "then.0.start.layers", "then.0.optim.lr", "then.0.steps, epochs",
        "then.1.streams.0.texts", "then.1.lora.rank", "then.1.log.every", "then.1.then",
        "then.1.lora",
    ]  # fmt: skip
    told = "a stage begins from the model of the one before it; its start may give size, fit, max_size, frames, dropout"
    assert any(told in line for line in lines)


@pytest.mark.parametrize("then", ["then = 3", "then = [3]", "[then]\nsteps = 4"])
def test_stages_are_tables(tmp_path: Path, then: str) -> None:
    with pytest.raises(ConfigError, match=r"then: further stages are tables under the heading \[\[then\]\], got"):
        load_stages(run_file(tmp_path, f'steps = 3\nstreams = [{{data = "*.tar"}}]\n{then}\n'))


def test_files_that_are_no_run_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such run file"):
        load_stages(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="can't be read"):
        load_stages(tmp_path)
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_stages(tmp_path / "run.toml")


def test_settings_are_overruled(tmp_path: Path) -> None:
    settings = [
        "optim.lr=2e-5",
        "streams.0.data=other.tar",
        "start.model = 'git-base'",
        "lora.rank=4",
        "optim.betas=[0.8, 0.9]",
        "gradient_checkpointing=true",
    ]
    [run] = load_stages(run_file(tmp_path, SMALLEST), settings)
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
        load_stages(run_file(tmp_path, SMALLEST), [setting])
