"""The file of failures: there when something failed, made anew by every run, and gone when all is well."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pixtell.batch.failures import Failures
from pixtell.batch.item import File, Item
from pixtell.batch.output import Finished
from pixtell.batch.row import Row


def finished(name: str, status: str = "error") -> Finished:
    code = "broken" if status == "error" else ""
    return Finished(
        Item(name, File(name, name), name), Row(name, status, code=code, message=code and f"{name}: is bad")
    )  # type: ignore[arg-type]


def names(path: Path) -> list[str]:
    return [json.loads(line)["name"] for line in path.read_text().splitlines()]


def test_only_failures_are_in_it(tmp_path: Path) -> None:
    path = tmp_path / "errors.jsonl"
    output = Failures(path)
    output.start([finished("a"), finished("b", "ok")])
    output.add([finished("c", "skipped"), finished("d")])
    output.add([finished("e", "ok")])
    output.finish([])
    assert names(path) == ["a", "d"]
    assert json.loads(path.read_text().splitlines()[0])["message"] == "a: is bad"


def test_what_works_now_is_gone_from_it(tmp_path: Path) -> None:
    path = tmp_path / "errors.jsonl"
    first = Failures(path)
    first.start([])
    first.add([finished("a"), finished("b")])
    again = Failures(path)
    again.start([finished("a", "ok"), finished("b")])
    assert names(path) == ["b"]
    Failures(path).start([finished("a", "ok"), finished("b", "ok")])
    assert not path.exists()


def test_it_is_no_reason_to_pass_an_input_over(tmp_path: Path) -> None:
    output = Failures(tmp_path / "errors.jsonl")
    item = finished("a").item
    assert (output.existing(item), output.before(item), output.places(item)) == (False, None, ())
    assert output.files(1) == (tmp_path / "errors.jsonl",)


def test_later_failures_are_added_and_earlier_ones_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "errors.jsonl"
    written: list[int] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: (written.append(len(content)), write(handle, content))[1])
    output = Failures(path)
    output.start([])
    for number in range(50):
        output.add([finished(f"{number:02}")])
    assert names(path) == [f"{number:02}" for number in range(50)]
    assert sum(written) == path.stat().st_size
