"""What outputs share: options that hold together, and the notes that the journal keeps for them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from pixtell.batch.item import Held, Item
from pixtell.batch.output import Finished, Note, OutputOptions, noted, shows
from pixtell.batch.outputs import open_outputs
from pixtell.batch.row import Row
from pixtell.errors import ConfigError

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
