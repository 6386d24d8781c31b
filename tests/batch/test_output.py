"""What outputs share: options that hold together, and the notes that the journal keeps for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from pixtell.batch.inputs import list_items
from pixtell.batch.item import Held, Item
from pixtell.batch.journal import Journal
from pixtell.batch.output import Finished, Note, OneFile, OutputOptions, noted, shows
from pixtell.batch.outputs import open_outputs
from pixtell.batch.row import Row
from pixtell.batch.run import Job, run_job
from pixtell.errors import ConfigError

from .test_run import SETTINGS, Model, see_ahead

ITEM = Item("photos/a.jpg", Held("photos/a.jpg", b""), "a.jpg")
ROW = Row("photos/a.jpg", text="two boats")


def test_notes_are_taken_once_and_belong_to_a_place(tmp_path: Path) -> None:
    here, there = (open_outputs(["txt"], OutputOptions(tmp_path / name))[0] for name in ("here", "there"))
    first = noted(Finished(ITEM, ROW), [here])
    here.start([first])
    assert noted(first, [here]) is first
    both = noted(first, [here, there])
    assert [both.seen(output.name) for output in (here, there)] == ["", ""]
    assert both.seen(open_outputs(["xmp"])[0].name) is None


def test_only_sidecars_need_notes(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("a.jsonl", "a.csv", "a.json", "a.parquet", "a.tar")]
    first = Finished(ITEM, ROW)
    assert noted(first, open_outputs(names)) is first
    (tmp_path / "a.txt").write_text("mine")
    (note,) = noted(first, open_outputs([*names, "txt"], OutputOptions(tmp_path))).notes
    assert note == Note(str(tmp_path / "*.txt"), sha256(b"mine").hexdigest()[:32])


def test_options_are_checked_together() -> None:
    with pytest.raises(ConfigError, match=r"(?s)4 problems.*sidecar_name.*on_existing.*at least 1.*JSON object"):
        OutputOptions(sidecar_name="x", on_existing="y", settings="[1]", shard_size=0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="settings are not a JSON object"):
        OutputOptions(settings="{")


def test_which_rows_show() -> None:
    assert shows(ROW)
    assert not any(map(shows, (Row("a", "error"), Row("a", "skipped"), Row("a", text="x", review=True))))


class Listening(OneFile):
    """An output of no kind that the job knows: it notes what it is told, and leaves something out."""

    name, _path = "nothing", Path("nothing")
    left_out = ("2.jpg: a line",)

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def existing(self, item: Item) -> bool:
        return False

    def spare(self, rows: Mapping[str, Row | None]) -> None:
        self.told.append(("spare", {Path(name).name: row and row.status for name, row in rows.items()}))

    def expect(self, rows: Mapping[str, Row | None]) -> None:
        self.told.append(("expect", {Path(name).name: row and row.status for name, row in rows.items()}))

    def start(self, rows: Sequence[Finished]) -> None:
        self.told.append(("start", len(rows)))

    def add(self, rows: Sequence[Finished]) -> None:
        self.told.append(("add", len(rows)))

    def finish(self, rows: Iterable[Finished]) -> None:
        self.told.append(("finish", len(list(rows))))


def test_what_an_output_is_told_and_in_which_order(tmp_path: Path) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(4)]
    for photo in photos:
        photo.write_text(photo.name)
    job = Job(list_items([str(photo) for photo in photos]).found, [], see_ahead, Model().tell, 3)
    with Journal(tmp_path / "journal", SETTINGS) as journal:
        assert run_job(job, journal).left_out == ()
    photos[1].write_text("changed, and of another size")
    listening = Listening()
    with Journal(tmp_path / "journal", SETTINGS) as journal:
        assert run_job(replace(job, also=[listening]), journal).left_out == listening.left_out
    told = {"1.jpg": None, "2.jpg": "ok", "3.jpg": "ok"}
    assert listening.told[:3] == [("spare", {"0.jpg": "ok", **told}), ("expect", told), ("start", 1)]
    assert listening.told[3:] == [("add", 3), ("finish", 4)]
