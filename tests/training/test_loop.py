"""The loop: a resumed run is the uninterrupted one bit for bit, it learns, and it stops when the numbers do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import EFFICIENTNET, TEXT, loud_model
from tiny_data import COLOURS, VOCAB, captions_tar, drawing, png, questions_tar, tokenizer, write_tar
from torch import Tensor

from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.data.loader import Loader, Stream
from pixtell.data.sources import TarSource
from pixtell.errors import ConfigError, PixtellError
from pixtell.model import GitModel
from pixtell.training.config import OptimConfig, RunConfig
from pixtell.training.loop import thaw, train
from pixtell.training.state import STATE_FILE
from pixtell.training.validation import answers

CONFIG = ModelConfig(
    ClipVitConfig(image_size=32, patch_size=8, width=32, layers=1, heads=2, mlp_width=64),
    TextConfig(
        vocab_size=len(VOCAB),
        width=48,
        layers=2,
        heads=3,
        mlp_width=96,
        max_positions=48,
        cls_id=VOCAB.index("[CLS]"),
        sep_id=VOCAB.index("[SEP]"),
    ),
    PixelConfig(size=32, fit="squash"),
    frames=2,
)
STREAM = {"data": "unused", "media": 2}


def run_of(**changes: object) -> RunConfig:
    optim = {"encoder_lr": 1e-3, "decoder_lr": 1e-3, "warmup": 2, "frozen_encoder_steps": 2}
    settings = {"steps": 6, "save_every": 3, "streams": [STREAM], "optim": optim, "validation": {"every": 5}, **changes}
    return RunConfig.model_validate(settings)


def fresh_model(config: ModelConfig = CONFIG) -> GitModel:
    torch.manual_seed(1)
    return GitModel(config)


def fresh_loader(folder: Path) -> Loader:
    """New objects over the same tars, as a new process would have them."""
    captions, questions = folder / "captions.tar", folder / "questions.tar"
    if not captions.exists():
        captions_tar(captions)
        questions_tar(questions)
    streams = [
        Stream(TarSource([captions]), weight=2, media=2, texts=2),
        Stream(TarSource([captions]), weight=1, media=1, texts=2, frames=2),
        Stream(TarSource([questions]), weight=1, media=2, texts=1, flip=False),
    ]
    return Loader(streams, tokenizer(), CONFIG.pixels, seed=4)


class Killed(Exception):
    """Stands for the end of the process."""


def killed(_: GitModel) -> dict[str, float]:
    raise Killed


def nothing(_: GitModel) -> dict[str, float]:
    return {"looked": 1.0}


def quiet(_: str) -> None:
    pass


def saved_state(folder: Path) -> dict[str, object]:
    state: dict[str, object] = torch.load(folder / STATE_FILE, weights_only=True)
    return state


def differences(one: object, other: object, name: str = "") -> list[str]:
    """Names of what is not equal bit for bit in two nests of dicts, lists and tensors."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), name
        return [found for key in one for found in differences(one[key], other[key], f"{name}/{key}")]
    if isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), name
        return [d for n, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{name}/{n}")]
    same = torch.equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else one == other
    return [] if same else [name]


@pytest.mark.parametrize("bf16", [False, True])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tmp_path: Path, bf16: bool) -> None:
    run = run_of(bf16=bf16)
    assert CONFIG.text.dropout > 0, "without dropout, a lost random state would not show"
    straight = train(run, tmp_path / "straight", fresh_model(), fresh_loader(tmp_path), [nothing], quiet)
    with pytest.raises(Killed):
        train(run, tmp_path / "resumed", fresh_model(), fresh_loader(tmp_path), [killed], quiet)
    assert saved_state(tmp_path / "resumed")["step"] == 3
    torch.manual_seed(99)
    torch.rand(7)  # a new process has another random state
    resumed = train(run, tmp_path / "resumed", fresh_model(), fresh_loader(tmp_path), [nothing], quiet)
    assert differences(straight.state_dict(), resumed.state_dict()) == []
    assert differences(saved_state(tmp_path / "straight"), saved_state(tmp_path / "resumed")) == []
    assert not straight.training and not resumed.training
    moved = differences(dict(fresh_model().state_dict()), dict(straight.state_dict()))
    assert len(moved) == len(straight.state_dict()), "and every weight has learnt something"


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    run, said = run_of(), []
    first = train(run, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    again = train(run, tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], said.append)
    assert differences(first.state_dict(), again.state_dict()) == []
    assert said[0].endswith("steps 6 to 6")


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    train(run_of(steps=1), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    with pytest.raises(ConfigError, match="of another run"):
        train(run_of(steps=2), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be made a folder"):
        train(run_of(), tmp_path / "file", fresh_model(), fresh_loader(tmp_path), [], quiet)


def test_the_log_is_readable_by_people_and_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixtell.training.loop.LOG_EVERY", 2)
    said: list[str] = []
    train(run_of(steps=8), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [nothing], said.append)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [(line["step"], sorted(line.keys() - {"step"})) for line in lines]
    learning, looking = ["gradient_norm", "loss", "media_per_second"], ["looked"]
    assert steps == [(2, learning), (4, learning), (5, looking), (6, learning), (8, learning), (8, looking)]
    assert all(0 < line["loss"] < 10 and line["gradient_norm"] > 0 for line in lines if "loss" in line)
    assert said[0].endswith("M parameters, steps 0 to 8") and said[1].startswith("step 2/8  loss ")
    assert "step 5  looked 1.0000" in said


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_numbers_that_are_none_stop_the_run_before_they_are_learnt(tmp_path: Path, broken: str) -> None:
    model = fresh_model()

    def spoil(model: GitModel) -> dict[str, float]:
        bias = model.decoder.head.bias
        if broken == "loss":
            with torch.no_grad():
                bias[5] = float("nan")
        else:
            bias.register_hook(lambda gradient: gradient * float("inf"))
        return {}

    run = run_of(steps=9, save_every=1, validation={"every": 5})
    with pytest.raises(PixtellError, match=r"(loss|gradients' norm) is (nan|inf) at step 5: lower the learning rate"):
        train(run, tmp_path / "run", model, fresh_loader(tmp_path), [spoil], quiet)
    if broken == "gradient":
        weights = saved_state(tmp_path / "run")["model"]
        assert isinstance(weights, dict) and all(bool(tensor.isfinite().all()) for tensor in weights.values())
        assert differences(weights, dict(model.state_dict())) == [], "the step was not taken"


def learning_names(model: GitModel) -> set[str]:
    return {name for name, parameter in model.vision.named_parameters() if parameter.requires_grad}


def test_thaw_frees_what_it_says() -> None:
    clip = loud_model()
    everything = {name for name, _ in clip.vision.named_parameters()}
    for blocks, steps, step, learns in (
        (None, 0, 0, everything),
        (None, 3, 2, set()),
        (None, 3, 3, everything),
        (1, 3, 2, set()),
        (1, 3, 3, {name for name in everything if name.startswith(("blocks.1.", "ln_post."))}),
        (2, 0, 0, {name for name in everything if name.startswith(("blocks.", "ln_post."))}),
        (99, 0, 0, {name for name in everything if name.startswith(("blocks.", "ln_post."))}),
    ):
        thaw(clip, OptimConfig(frozen_encoder_steps=steps, encoder_blocks=blocks), step)
        assert learning_names(clip) == learns, (blocks, steps, step)
        assert all(p.requires_grad for name, p in clip.named_parameters() if not name.startswith("vision."))
    mobile = GitModel(ModelConfig(EFFICIENTNET, TEXT, PixelConfig(size=64, fit="squash")))
    thaw(mobile, OptimConfig(encoder_blocks=2), 0)
    last = len(mobile.vision.blocks) - 1
    begins = (f"blocks.{last}.", f"blocks.{last - 1}.", "head.")
    assert learning_names(mobile) == {n for n, _ in mobile.vision.named_parameters() if n.startswith(begins)}


def test_frozen_weights_stay_bit_for_bit(tmp_path: Path) -> None:
    optim = {"encoder_lr": 1e-3, "decoder_lr": 1e-3, "warmup": 1, "frozen_encoder_steps": 99}
    trained = train(run_of(optim=optim), tmp_path / "run", fresh_model(), fresh_loader(tmp_path), [], quiet)
    moved = differences(dict(fresh_model().state_dict()), dict(trained.state_dict()))
    assert moved and not [name for name in moved if name.startswith("/vision.")]


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
    stream = Stream(source, weight=1, media=4, texts=1, flip=False, area=1.0)
    loader = Loader([stream], tokenizer(), CONFIG.pixels, seed=1)
    optim = {"encoder_lr": 2e-3, "decoder_lr": 2e-3, "warmup": 10}
    run = run_of(steps=120, save_every=1000, bf16=False, optim=optim, validation={"every": 1000})
    model = train(run, tmp_path / "run", fresh_model(), loader, [], quiet)
    said = {
        source[row].key: answers(model, tokenizer(), source[row], [""], CONFIG.pixels)[0] for row in range(len(source))
    }
    assert said == {colour: text.replace(" ?", "?") for colour, text in texts.items()}
    assert set(COLOURS) == set(said)
