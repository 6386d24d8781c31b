"""What happens to inputs that fail, and to those beside them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from pixtell.captioner import Captioner
from pixtell.cli.options import ModelOptions

from .conftest import Run


@pytest.fixture
def bad(tmp_path: Path, photos: list[Path]) -> dict[str, Path]:
    """Inputs that can't be used, by the code they are told with."""
    paths = {code: tmp_path / f"{code}.jpg" for code in ("missing", "empty", "unsupported", "truncated")}
    paths["empty"].write_bytes(b"")
    paths["unsupported"].write_text("dear diary\n")
    paths["truncated"].write_bytes(photos[0].read_bytes()[:-200])
    paths["no_pictures"] = tmp_path / "folder"
    paths["no_pictures"].mkdir()
    return paths


def test_the_good_are_answered_and_the_bad_are_named(
    run: Run, tiny: list[str], photos: list[Path], bad: dict[str, Path]
) -> None:
    inputs = [photos[0], *bad.values(), photos[1]]
    outcome = run("caption", *inputs, *tiny)
    assert outcome.code == 1
    assert [line.split("\t")[0] for line in outcome.lines] == [str(photos[0]), str(photos[1])]
    *errors, summary = outcome.err.splitlines()
    assert [line.split(": ")[:2] for line in errors] == [["pixtell", str(path)] for path in bad.values()]
    assert summary == f"pixtell: {len(bad)} of {len(inputs)} inputs failed"


def test_in_json_each_input_has_its_row_in_order(
    run: Run, tiny: list[str], photos: list[Path], bad: dict[str, Path]
) -> None:
    inputs = [photos[0], *bad.values(), photos[1]]
    rows = run("caption", *inputs, *tiny, "--json").objects
    assert [row["source"] for row in rows] == list(map(str, inputs))
    assert [row.get("code") for row in rows] == [None, *bad, None]
    assert all(set(row) == {"source", "error", "code"} for row in rows[1:-1])


@pytest.mark.parametrize("code", ["missing", "empty", "unsupported", "truncated", "no_pictures"])
def test_one_bad_input_is_one_line(run: Run, tiny: list[str], bad: dict[str, Path], code: str) -> None:
    outcome = run("caption", bad[code], *tiny)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"pixtell: {bad[code]}: ")
    assert outcome.err.count("\n") == 1


def test_no_model_is_loaded_for_inputs_that_are_not_there(
    run: Run, bad: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelOptions, "load", lambda _: pytest.fail("loaded"))
    assert run("caption", bad["missing"]).code == 1


def test_the_model_is_loaded_once(
    run: Run, tiny: list[str], photos: list[Path], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()
    real = ModelOptions.load
    monkeypatch.setattr(ModelOptions, "load", lambda self: (calls.update(["load"]), real(self))[1])
    assert run("caption", *photos, clip, *tiny, "--batch-size", "1").code == 0
    assert calls["load"] == 1


def test_a_batch_that_fails_is_done_one_by_one(
    run: Run, tiny: list[str], photos: list[Path], clip: Path, tmp_path: Path
) -> None:
    """Found only when pixels are made: frames of different shape, when the model crops nothing, and too many frames."""
    folder = tmp_path / "seven"
    folder.mkdir()
    for number in range(7):
        Image.new("RGB", (40, 40), (30 * number, 0, 0)).save(folder / f"{number}.png")
    outcome = run("caption", photos[0], clip, folder, photos[1], *tiny, "--frames", "7", "--json", "--as-clip")
    rows = outcome.objects
    assert [row.get("code") for row in rows] == [None, "frames", "frames", None]
    assert rows[0]["text"] == run("caption", photos[0], *tiny, "--json").objects[0]["text"]
    assert outcome.code == 1


def test_results_come_as_soon_as_their_batch_is_done(
    run: Run, tiny: list[str], photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_on_the_last(self: Captioner, media: list[object], *rest: object, **more: object) -> object:
        if any(getattr(medium, "source", "") == str(photos[2]) for medium in media):
            raise RuntimeError("lightning")
        return real(self, media, *rest, **more)

    real = Captioner.caption
    monkeypatch.setattr(Captioner, "caption", fail_on_the_last)
    outcome = run("caption", *photos, *tiny, "--batch-size", "1")
    assert outcome.code == 70
    assert [line.split("\t")[0] for line in outcome.lines] == [str(photos[0]), str(photos[1])]


def test_names_that_can_not_be_printed(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    odd = tmp_path / "two\nlines\tand\udcffbytes.png"
    try:
        odd.write_bytes(photos[0].read_bytes())
    except OSError:
        pytest.skip("this file system refuses such names")
    outcome = run("caption", odd, photos[1], *tiny)
    assert outcome.lines[0].split("\t")[0] == f"{tmp_path}/two?lines?and?bytes.png"
    assert run("caption", odd, *tiny, "--json").objects[0]["source"] == str(odd)
    gone = run("caption", f"{odd}x", *tiny)
    assert gone.err == f"pixtell: {tmp_path}/two?lines?and?bytes.pngx: no such file\n"
