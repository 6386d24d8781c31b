"""Settings for who has none: they fit the data and the model, and say why in the file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_data import drawing, png, texts_tar

from pixtell.config import EfficientNetLiteConfig
from pixtell.data.example import TextPair
from pixtell.errors import ConfigError, InputError, PixtellError
from pixtell.training import recipe as module
from pixtell.training.recipe import Found, compare, epochs_for, keep, quick_at_bf16, recipe
from pixtell.training.run_file import load_stages, parse_stages

from .tiny_runs import CONFIG, workplace

CPU = torch.device("cpu")


def made(folder: Path, rows: int, name: str = "data set") -> tuple[str, str]:
    """A data set and a tiny model by their names."""
    workplace(folder, steps=1)
    texts = [(f"p{n}", {"captions": ["a red disc", "a disc"]}) for n in range(rows)]
    return str(texts_tar(folder / f"{name}.tar", texts)), str(folder / "start")


def test_few_rows_are_learnt_often_and_some_not_at_all(tmp_path: Path) -> None:
    data, model = made(tmp_path, 40)
    [run] = parse_stages(recipe([data], model, tmp_path / "out" / "run.toml", CPU), "run.toml")
    assert run.validation.held_out == 8 and run.validation.before and run.validation.limit == 8
    assert run.streams[0].data == (data,) and run.start.model == model
    assert run.epochs == 8 and run.streams[0].media == 3 and run.optim.accumulation == 1
    assert run.frozen == ("vision",) and run.optim.lr == 1e-5
    assert run.scst is not None and run.scst.captions == 0.2
    assert run.optim.warmup == 8, "a tenth of 8 epochs of 32 rows by 3"
    assert not (tmp_path / "out").exists()


def test_the_fewest_rows(tmp_path: Path) -> None:
    data, model = made(tmp_path, 2)
    [run] = parse_stages(recipe([data], model, tmp_path / "out" / "run.toml", CPU), "run.toml")
    assert run.validation.held_out == 0 and run.streams[0].media == 1 and run.optim.warmup == 1


def test_more_rows_are_learnt_less_often() -> None:
    assert [epochs_for(rows) for rows in (160, 400, 401, 5_000, 100_000, 10**6)] == [8, 8, 6, 4, 2, 1]


def test_a_small_model_learns_faster_and_an_encoder_only_from_many(tmp_path: Path) -> None:
    class Many(list[int]):
        def __len__(self) -> int:
            return 30_000

        def texts(self) -> list[TextPair]:
            return []

    small = replace(CONFIG, vision=EfficientNetLiteConfig(), frames=0)
    found = Found(Many(), small, "m", ("a",), 6)  # type: ignore[arg-type]
    [run] = parse_stages(module._text(found, tmp_path / "run.toml", CPU, 32, 2), "run.toml")
    assert run.frozen == () and run.optim.lr == 1e-4 and run.start.attention_dropout == 0.0
    assert run.start.frames == 6 and run.streams[0].frames == 6 and run.optim.accumulation == 2
    assert run.validation.held_out == 100 and run.epochs == 2 and run.scst is None


def test_questions_are_not_rewarded(tmp_path: Path) -> None:
    workplace(tmp_path, steps=1)
    data = str(tmp_path / "data" / "questions.tar")
    [run] = parse_stages(recipe([data], str(tmp_path / "start"), tmp_path / "out" / "run.toml", CPU), "run.toml")
    assert run.scst is None and run.optim.lr == 2e-5


def test_names_of_classes_are_not_rewarded(tmp_path: Path) -> None:
    """CIDEr has nothing to say of them; nor of a data set in which some rows have no more."""
    workplace(tmp_path, steps=1)
    for place, said in enumerate(({"label": "red disc"}, {"caption": "a red disc"})):
        texts = [(f"p{number}", {"label": "disc"} if number else said) for number in range(10)]
        data = str(texts_tar(tmp_path / f"{place}.tar", texts))
        [run] = parse_stages(recipe([data], str(tmp_path / "start"), tmp_path / "out" / "run.toml", CPU), "run.toml")
        assert run.scst is None and run.optim.lr == 2e-5


def test_a_batch_takes_half_of_the_memory_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = made(tmp_path, 200)
    monkeypatch.setattr(module, "free_memory", lambda device: 1)
    [run] = parse_stages(recipe([data], model, tmp_path / "out" / "run.toml", CPU), "run.toml")
    assert (run.streams[0].media, run.optim.accumulation) == (1, 16)
    monkeypatch.setattr(module, "free_memory", lambda device: None)
    [run] = parse_stages(recipe([data], model, tmp_path / "out" / "run.toml", CPU), "run.toml")
    assert (run.streams[0].media, run.optim.accumulation) == (16, 1)


def test_clips_are_seen_by_several_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model gets the temporal embeddings that it lacks, before its memory is counted, too."""
    data, model = made(tmp_path, 10)
    monkeypatch.setattr(module, "open_frames", lambda example, frames: (drawing("red", "disc"),) * frames)
    [run] = parse_stages(recipe([data], model, tmp_path / "out" / "run.toml", CPU), "run.toml")
    assert run.streams[0].frames == 6 and run.start.frames == 6


def test_names_with_anything_in_them(tmp_path: Path) -> None:
    """Quotation marks, backslashes and a line's end: they stay in their strings, and out of the comments."""
    odd = 'a "b" \\ c\né \x7f'
    data, model = made(tmp_path, 10, odd)
    [run] = parse_stages(recipe([data], model, tmp_path / odd / "run.toml", CPU), "run.toml")
    assert run.streams[0].data == (data,)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    data, model = made(tmp_path, 10)
    odd = tmp_path / os.fsdecode(b"caf\xe9.tar")
    try:
        os.rename(data, odd)
    except OSError:
        pytest.skip("names of files are Unicode here")
    with pytest.raises(ConfigError, match=r"caf\?\.tar: its name is not UTF-8, and a run file can't hold it"):
        recipe([str(odd)], model, tmp_path / "out" / "run.toml", CPU)


def test_a_folder_of_photos_with_texts(tmp_path: Path) -> None:
    _, model = made(tmp_path, 1)
    (tmp_path / "photos").mkdir()
    for number in range(10):
        (tmp_path / "photos" / f"{number}.png").write_bytes(png(drawing("red", "disc")))
        (tmp_path / "photos" / f"{number}.txt").write_text("a red disc")
    (tmp_path / "photos" / "0.png").write_bytes(b"broken")
    text = recipe([str(tmp_path / "photos")], model, tmp_path / "out" / "run.toml", CPU)
    assert parse_stages(text, "run.toml")[0].validation.held_out == 2
    with pytest.raises(InputError):
        recipe([str(tmp_path / "none")], model, tmp_path / "out" / "run.toml", CPU)


def test_a_run_file_that_is_there_must_be_of_these_data(tmp_path: Path) -> None:
    data, model = made(tmp_path, 10)
    path = tmp_path / "out" / "run.toml"
    keep(recipe([data], model, path, CPU), path)
    [run] = load_stages(path)
    compare(run, [data], model, path)
    for other in ((["other.tar"], model), ([data], "git-base")):
        with pytest.raises(ConfigError, match=r"run\.toml: is there already, for .*data set\.tar and .*start"):
            compare(run, *other, path)
    with pytest.raises(PixtellError, match=r"run\.toml: can't be written \(File exists\)"):
        keep("", Path(data) / "run.toml")


def test_bfloat16_is_asked_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert not quick_at_bf16(CPU)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert quick_at_bf16(CPU)
