"""The door: layouts are told apart by content, pixels are chosen as documented, and every refusal is one line."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pixtell.checkpoint import convert, hub
from pixtell.checkpoint.convert import BUNDLED, Layout, build_model, load_checkpoint, save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import CLIP_MEAN, HALF, PixelConfig, Preset
from pixtell.errors import CheckpointError, ConfigError

LAYOUTS: tuple[Layout, ...] = ("pixtell", "hub", "authors")
HUB_PIXELS = PixelConfig(size=80, mean=HALF)


@pytest.fixture
def released(make: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """A tiny released model, `tiny-vqa`, whose authors' pixels keep the aspect and whose hub pixels don't."""
    checkpoint = make("question")
    presets = {
        "tiny-vqa": Preset("tiny-vqa", checkpoint.config, HUB_PIXELS),
        "tiny-msrvtt": Preset("tiny-msrvtt", checkpoint.config, HUB_PIXELS, on_hub=False),
    }
    monkeypatch.setattr(convert, "PRESETS", presets)
    return checkpoint


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(LAYOUTS, 2)))
@pytest.mark.parametrize("shape", ["picture", "clip", "question"])
def test_from_any_layout_to_any_other_and_back(
    tmp_path: Path, make: Callable[..., Checkpoint], shape: str, first: Layout, second: Layout
) -> None:
    checkpoint = make(shape)
    save_checkpoint(checkpoint, tmp_path / "a", first)
    save_checkpoint(load_checkpoint(tmp_path / "a"), tmp_path / "b", second)
    save_checkpoint(load_checkpoint(str(tmp_path / "b")), tmp_path / "c", first)
    back = load_checkpoint(tmp_path / "c")
    assert back.config.vision == checkpoint.config.vision
    assert (back.config.pixels, back.config.frames) == (checkpoint.config.pixels, checkpoint.config.frames)
    # Only the embedding's epsilon is lost: the hub's config has one for both, the authors' code fixes it.
    eps = {"embedding_eps": checkpoint.config.text.embedding_eps}
    assert replace(back.config.text, **eps) == checkpoint.config.text
    assert (back.vocab, back.card) == (checkpoint.vocab, checkpoint.card)
    assert back.state.keys() == checkpoint.state.keys()
    assert all(torch.equal(back.state[name], tensor) for name, tensor in checkpoint.state.items())


def test_an_efficientnet_model_stays_in_our_layout(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    checkpoint = make("efficientnet")
    save_checkpoint(checkpoint, tmp_path / "ours")
    assert load_checkpoint(tmp_path / "ours").config == checkpoint.config
    for layout in ("hub", "authors"):
        with pytest.raises(CheckpointError, match="only models with CLIP's image encoder"):
            save_checkpoint(checkpoint, tmp_path / layout, layout)  # type: ignore[arg-type]
        assert not (tmp_path / layout).exists()


def test_layouts_are_told_apart_by_content(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    """Files and folders may be called anything; a file that is part of a folder stands for the folder."""
    for layout in LAYOUTS:
        save_checkpoint(make(), tmp_path / layout, layout)
    authors = (tmp_path / "authors" / "model.pt").rename(tmp_path / "authors" / "weights.safetensors")
    assert load_checkpoint(authors).vocab == make().vocab
    for layout in ("pixtell", "hub"):
        assert load_checkpoint(tmp_path / layout / "model.safetensors").config.vision == make().config.vision
    (tmp_path / "output").mkdir()
    shutil.copytree(tmp_path / "authors", tmp_path / "output" / "snapshot")
    (tmp_path / "output" / "snapshot" / "weights.safetensors").rename(tmp_path / "output" / "snapshot" / "model.pt")
    assert load_checkpoint(tmp_path / "output").config.frames == 0


def test_the_bundled_model(tmp_path: Path, make: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "BUNDLED_FOLDER", tmp_path / BUNDLED)
    with pytest.raises(CheckpointError, match="bundled model pixtell-mini is missing from this installation"):
        load_checkpoint()
    save_checkpoint(make(), tmp_path / BUNDLED)
    for source in (None, BUNDLED):
        assert load_checkpoint(source).source == BUNDLED


def test_things_that_are_no_models(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    save_checkpoint(make(), tmp_path / "ours")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 500)
    stray = (tmp_path / "ours" / "model.safetensors").rename(tmp_path / "stray.safetensors")
    torch.save({"git.x": torch.ones(1)}, tmp_path / "stray.bin")
    for path, problem in (
        (tmp_path / "empty", "no model in this folder"),
        (tmp_path / "other", "neither Pixtell's config"),
        (tmp_path / "photo.jpg", "not a safetensors file"),
        (stray, "weights without a config"),
        (tmp_path / "stray.bin", "weights without a config"),
        (tmp_path / "ours", "no such file"),
        (tmp_path / "missing", "no such file or folder"),
    ):
        with pytest.raises(CheckpointError, match=problem) as caught:
            load_checkpoint(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    for strange in ("x" * 5000, "a\0b", "~nobody-here/model"):
        with pytest.raises(CheckpointError, match="no such file or folder"):
            load_checkpoint(strange)
    with pytest.raises(CheckpointError, match=r"git-base-koko: no such file .* git-base-coco,"):
        load_checkpoint("git-base-koko")


def test_a_folder_that_may_not_be_read(
    tmp_path: Path, make: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    folder = save_checkpoint(make(), tmp_path / "ours")
    monkeypatch.setattr(Path, "is_file", forbidden)
    with pytest.raises(CheckpointError, match=r"can't be read \(Permission denied\)"):
        load_checkpoint(folder)


def test_names_lead_to_the_hub(tmp_path: Path, released: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(replace(released, config=replace(released.config, pixels=HUB_PIXELS)), tmp_path / "hub", "hub")
    asked: list[tuple[str, dict[str, object]]] = []

    def download(name: str, **options: object) -> Path:
        asked.append((name, options))
        return tmp_path / "hub"

    monkeypatch.setattr(hub, "download", download)
    monkeypatch.chdir(tmp_path)
    for source in ("tiny-vqa", "microsoft/tiny-vqa"):
        checkpoint = load_checkpoint(source, revision="v1", cache_dir="cache", offline=True)
        assert asked.pop() == ("microsoft/tiny-vqa", {"revision": "v1", "cache_dir": "cache", "offline": True})
        assert (checkpoint.source, checkpoint.preset) == ("microsoft/tiny-vqa", "tiny-vqa")
        assert checkpoint.config.pixels == released.config.pixels, "a released model has the authors' pixels"
    assert load_checkpoint("tiny-vqa", pixels="hub").config.pixels == HUB_PIXELS
    asked.clear()
    other = load_checkpoint("someone/tiny-vqa")
    assert asked == [("someone/tiny-vqa", {"revision": None, "cache_dir": None, "offline": False})]
    assert (other.preset, other.config.pixels) == (None, HUB_PIXELS)
    with pytest.raises(CheckpointError, match=r"never put on the hub: .*preset=tiny-msrvtt"):
        load_checkpoint("tiny-msrvtt")
    (tmp_path / "hub").rename(tmp_path / "tiny-vqa")
    assert load_checkpoint("tiny-vqa").preset is None, "a folder of that name goes first"


def test_pixels_of_a_path(tmp_path: Path, released: Checkpoint) -> None:
    own = PixelConfig(size=64)
    stored = replace(released, config=replace(released.config, pixels=own))
    for layout in LAYOUTS:
        folder = save_checkpoint(stored, tmp_path / layout, layout)
        assert load_checkpoint(folder).config.pixels == own
        for choice in ("auto", "authors"):
            found = load_checkpoint(folder, pixels=choice, preset="tiny-vqa")  # type: ignore[arg-type]
            assert (found.config.pixels, found.preset) == (released.config.pixels, "tiny-vqa")
        hub_choice = load_checkpoint(folder, pixels="hub", preset="tiny-vqa").config.pixels
        assert hub_choice == (own if layout == "hub" else HUB_PIXELS)
    assert load_checkpoint(tmp_path / "hub", pixels="hub").config.pixels == own
    assert load_checkpoint(tmp_path / "authors", pixels="authors").config.pixels == own
    for layout, choice in (("hub", "authors"), ("authors", "hub"), ("pixtell", "hub"), ("pixtell", "authors")):
        with pytest.raises(ConfigError, match=f"its {choice} pixels are not known.*--preset"):
            load_checkpoint(tmp_path / layout, pixels=choice)  # type: ignore[arg-type]


def test_a_hub_folder_without_a_preprocessor_needs_a_preset(tmp_path: Path, released: Checkpoint) -> None:
    folder = save_checkpoint(released, tmp_path / "hub", "hub")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="pixels are unknown"):
        load_checkpoint(folder)
    assert load_checkpoint(folder, preset="tiny-vqa").config.pixels == released.config.pixels
    assert load_checkpoint(folder, preset="tiny-vqa", pixels="hub").config.pixels == HUB_PIXELS


def test_a_preset_must_fit(tmp_path: Path, make: Callable[..., Checkpoint], released: Checkpoint) -> None:
    folder = save_checkpoint(make("clip"), tmp_path / "ours")
    with pytest.raises(CheckpointError, match=r"is not tiny-vqa: its image encoder .* it has 6 temporal embeddings"):
        load_checkpoint(folder, preset="tiny-vqa")


def test_options_that_do_not_exist_or_apply(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    folder = save_checkpoint(make(), tmp_path / "ours")
    with pytest.raises(ConfigError, match="preset 'x' is not a released model; they are git-base,"):
        load_checkpoint(folder, preset="x")
    with pytest.raises(ConfigError, match="pixels must be auto, authors, hub"):
        load_checkpoint(folder, pixels="square")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="revision 'v1' is for models on the hub"):
        load_checkpoint(folder, revision="v1")
    with pytest.raises(ConfigError, match="layout must be pixtell, hub, authors"):
        save_checkpoint(make(), tmp_path / "x", "onnx")  # type: ignore[arg-type]


def test_another_vocabulary(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    folder = save_checkpoint(make(), tmp_path / "authors", "authors")
    words = (folder / "vocab.txt").rename(tmp_path / "words.txt")
    assert load_checkpoint(folder, vocab=words).vocab == make().vocab
    with pytest.raises(CheckpointError, match="--vocab"):
        load_checkpoint(folder)


def test_what_does_not_fit_is_not_saved(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    checkpoint = make()
    for broken, problem in (
        (replace(checkpoint, state={"a": torch.ones(1)}), "1 unknown, 64 missing"),
        (replace(checkpoint, vocab=checkpoint.vocab[:-1]), "41 pieces"),
        (replace(checkpoint, config=make("clip").config), "missing: prefix.temporal_embedding"),
    ):
        with pytest.raises(CheckpointError, match=problem):
            save_checkpoint(broken, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_overwriting(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    save_checkpoint(make(), tmp_path / "x")
    with pytest.raises(CheckpointError, match="exists already"):
        save_checkpoint(make("clip"), tmp_path / "x")
    save_checkpoint(make("clip"), tmp_path / "x", overwrite=True)
    assert load_checkpoint(tmp_path / "x").config.frames == 6


def test_the_model_that_is_built(make: Callable[..., Checkpoint]) -> None:
    checkpoint = make("clip", torch.float16)
    model = build_model(checkpoint)
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, checkpoint.state[name].float())
    assert build_model(checkpoint, torch.bfloat16).decoder.head.bias.dtype == torch.bfloat16


def test_released_pixels_are_what_they_should_be() -> None:
    """The presets that the door chooses from, for one model of each kind."""
    vqa, clip = convert.PRESETS["git-large-vqav2"], convert.PRESETS["git-base-vatex"]
    assert (vqa.authors_pixels.fit, vqa.authors_pixels.max_size, vqa.hub_pixels.fit) == ("aspect", 560, "crop")
    assert (clip.authors_pixels.mean, clip.hub_pixels.mean) == (CLIP_MEAN, HALF)
