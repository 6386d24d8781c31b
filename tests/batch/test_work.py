"""What the model is asked about media of a job: the library's answers, whatever fails, and clips window by window."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

import pixtell
from pixtell.batch import decode
from pixtell.batch.clips import Windows
from pixtell.batch.controls import Controls
from pixtell.batch.decode import Seen, Wish, later_ahead, see
from pixtell.batch.devices import Devices, Here, automatic_batch_size
from pixtell.batch.inputs import list_items
from pixtell.batch.item import File, Item
from pixtell.batch.row import Row
from pixtell.batch.work import Work, failed_row, out_of_memory
from pixtell.captioner import Captioner
from pixtell.config import PRESETS, DecodeOptions, PixelConfig
from pixtell.data.opened import Looks
from pixtell.errors import ConfigError, InputError, PixtellError
from pixtell.media import Media

SHORT = DecodeOptions(beams=2, max_new_tokens=6)


@pytest.fixture
def captioner(tiny_model: Path) -> Captioner:
    return pixtell.load(str(tiny_model), batch_size=4)


@pytest.fixture
def seen(captioner: Captioner, photos: list[Path], clip: Path) -> list[Seen]:
    wish = Wish(Looks(frames=6), captioner.config.pixels)
    return [see(item, wish) for item in list_items([*map(str, photos), str(clip)]).items]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 seconds, another noise every second."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    generator = np.random.default_rng(4)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height = 64, 48
        for _ in range(30):
            noise = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            for _ in range(4):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_texts_are_the_librarys(captioner: Captioner, seen: list[Seen], photos: list[Path], clip: Path) -> None:
    work = Work(SHORT, questions=("who?", "where?"), labels=("dog", "cat"))
    rows = work.rows(captioner, seen)
    for row, source in zip(rows, [*map(str, photos), str(clip)], strict=True):
        alone = captioner.caption(source, SHORT)
        assert (row.name, row.text) == (source, alone.text)
        assert row.mean_logprob == pytest.approx(alone.mean_logprob, rel=1e-3)
        assert row.answers == tuple((a.question, a.text) for a in captioner.ask(source, ["who?", "where?"], SHORT))
        chosen = captioner.classify(source, ["dog", "cat"])
        assert [label for label, _ in row.labels] == [label.label for label in chosen.labels]


def test_what_captions_must_say_is_not_asked_of_answers(captioner: Captioner, seen: list[Seen]) -> None:
    own = {"min_new_tokens": 5, "no_repeat_ngram": 1, "results": 2, "start_with": "the red", "no_text": True}
    (plain,) = Work(SHORT, questions=("who?",)).rows(captioner, seen[:1])
    (row,) = Work(replace(SHORT, **own), questions=("who?",)).rows(captioner, seen[:1])
    assert row.answers == plain.answers and row.text.startswith("the red ")
    assert Work(replace(SHORT, banned=("no",), choices=("yes",))).answering == replace(SHORT, banned=("no",))


def test_a_caption_without_text_has_a_code(captioner: Captioner, seen: list[Seen], long_clip: Path) -> None:
    said_nothing = Work(replace(SHORT, choices=("yes",)), controls=Controls(replace=(("yes", ""),)))
    clip = see(list_items([str(long_clip)]).items[0], Wish(Looks(frames=2), captioner.config.pixels, every=15.0))
    rows = said_nothing.rows(captioner, [seen[0], clip])
    assert [(row.status, row.text, row.code) for row in rows] == [("ok", "", "no_text")] * 2
    (row,) = Work(SHORT, captions=False, questions=("who?",)).rows(captioner, seen[:1])
    assert (row.text, row.code) == ("", ""), "none was asked for"


def test_one_that_fails_costs_only_itself(
    captioner: Captioner, seen: list[Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Work(SHORT).rows(captioner, seen)
    encode = captioner.encode

    def refusing(media: list[Media], **more: bool) -> object:
        if any(one.source == seen[1].item.name for one in media):
            raise InputError("frames", f"{seen[1].item.name}: too many frames")
        return encode(media, **more)

    monkeypatch.setattr(captioner, "encode", refusing)
    rows = Work(SHORT).rows(captioner, seen)
    assert [row.status for row in rows] == ["ok", "error", "ok", "ok"]
    assert (rows[1].code, rows[1].message) == ("frames", f"{seen[1].item.name}: too many frames")
    assert [row.text for row in rows if row.status == "ok"] == [e.text for e in (expected[0], *expected[2:])]


def test_when_memory_runs_out_passes_shrink(
    captioner: Captioner, seen: list[Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Work(SHORT).rows(captioner, seen)
    encode = captioner.encode

    def hungry(media: list[Media], **more: bool) -> object:
        if captioner.batch_size > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return encode(media, **more)

    monkeypatch.setattr(captioner, "encode", hungry)
    assert [row.text for row in Work(SHORT).rows(captioner, seen)] == [row.text for row in expected]
    assert captioner.batch_size == 1, "and stay small"


def test_an_input_that_needs_too_much_memory_is_told(
    captioner: Captioner, seen: list[Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = captioner.encode

    def hungry(media: list[Media], **more: bool) -> object:
        if any(one.source == seen[2].item.name for one in media):
            raise MemoryError
        return encode(media, **more)

    monkeypatch.setattr(captioner, "encode", hungry)
    rows = Work(SHORT).rows(captioner, seen)
    assert [row.code for row in rows] == ["", "", "memory", ""]


def test_other_errors_are_not_swallowed(
    captioner: Captioner, seen: list[Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(media: list[Media], **more: bool) -> object:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(captioner, "encode", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        Work(SHORT).rows(captioner, seen)
    assert not out_of_memory(RuntimeError("a fault of ours"))


def test_nothing_asked_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing is asked"):
        Work(captions=False)


def test_a_clip_in_windows_is_captioned_window_by_window(captioner: Captioner, long_clip: Path) -> None:
    wish = Wish(Looks(frames=2), captioner.config.pixels, every=2.0)
    (item,) = list_items([str(long_clip)]).items
    seen = see(item, wish)
    assert isinstance(seen.outcome, Windows) and seen.outcome.later
    work = Work(SHORT, controls=Controls(prefix="clip:", replace=(("no", "yes"),)))
    (row,) = work.rows(captioner, [seen])
    spans = [(window.start, window.end) for window in row.windows]
    assert spans == [(float(start), float(start + 2)) for start in range(0, 30, 2)]
    groups = [seen.outcome.seen, *later_ahead(item, seen.outcome)]
    alone = [captioner.caption(stretch.media, SHORT).text for group in groups for stretch in group]
    assert [window.text for window in row.windows] == [Controls(replace=(("no", "yes"),)).apply(text) for text in alone]
    assert row.text.startswith("clip: ") and row.text.count("clip:") == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is not there")
def test_a_process_that_dies_at_a_clip_costs_that_clip(
    captioner: Captioner, long_clip: Path, seen: list[Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = Wish(Looks(frames=2), captioner.config.pixels, every=2.0)
    clip = see(list_items([str(long_clip)]).items[0], wish)
    monkeypatch.setattr(decode, "_send_later", _die)
    rows = Work(SHORT).rows(captioner, [seen[0], clip, seen[1]])
    assert [row.code for row in rows] == ["", "crashed", ""]


def _die(*arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def load_tiny(folder: str, device: str) -> Captioner:
    return pixtell.load(folder, device, batch_size=4)


class Load:
    """Loads the model at `folder`; sent to processes."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, device: str) -> Captioner:
        return load_tiny(self.folder, device)


def test_several_devices_tell_the_same_rows(captioner: Captioner, seen: list[Seen], tiny_model: Path) -> None:
    work = Work(SHORT)
    expected: list[Row] = Here(captioner, work).tell(seen).result()
    devices = Devices(Load(str(tiny_model)), work, ["cpu", "cpu"])
    try:
        parts = [devices.tell([one]) for one in seen]
        found = [row for part in parts for row in part.result()]
    finally:
        devices.close()
    assert [(row.name, row.text) for row in found] == [(row.name, row.text) for row in expected]


class Dying(Load):
    def __call__(self, device: str) -> Captioner:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is not there")
def test_a_device_whose_process_dies_is_told(seen: list[Seen]) -> None:
    devices = Devices(Dying(""), Work(SHORT), ["cpu"])
    try:
        with pytest.raises(PixtellError, match=r"cpu: the process with the model died.*the same command goes on"):
            devices.tell(seen[:1]).result()
    finally:
        devices.close()


def test_the_row_of_a_failure_is_one_line(captioner: Captioner) -> None:
    item = Item("a\nb.jpg", File("a\nb.jpg", "a\nb.jpg"), "b.jpg")
    row = failed_row(Seen(item, InputError("missing", "x"), stamp=(1, 2)), InputError("missing", "no such\nfile"))
    assert (row.name, row.message) == ("a\nb.jpg", "a?b.jpg: no such?file")


@pytest.mark.parametrize(
    ("preset", "beams", "expected"),
    [
        *(("git-base", 1, 32), ("git-base", 4, 32), ("git-base", 8, 16), ("git-base", 32, 8), ("git-base", 64, 5)),
        *(("git-base-vqav2", 1, 8), ("git-large-textvqa", 1, 7)),
    ],
)
def test_the_size_of_a_pass_follows_from_what_a_medium_needs(preset: str, beams: int, expected: int) -> None:
    stand_in = SimpleNamespace(config=PRESETS[preset].model, model=torch.nn.Linear(1, 1))
    assert automatic_batch_size(stand_in, beams) == expected  # type: ignore[arg-type]


def test_an_input_that_waits_for_its_twin_holds_no_pictures(seen: list[Seen], long_clip: Path) -> None:
    wish = Wish(Looks(frames=2), PixelConfig(size=32), every=2.0)
    clip = see(list_items([str(long_clip)]).items[0], wish)
    failed = Seen(seen[0].item, InputError("missing", "x"))
    photo, windows, error = (one.without_frames() for one in (seen[0], clip, failed))
    assert isinstance(photo.outcome, Media) and photo.outcome.frames == () and photo.sha256 == seen[0].sha256
    assert isinstance(windows.outcome, Windows) and windows.outcome.seen == () and error is failed
