"""Columns of CSV, TSV, JSONL and parquet: found by content, paths and bytes, damage told row by row."""

from __future__ import annotations

import base64
import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pixtell.batch import parquet
from pixtell.batch.found import Found, Link
from pixtell.batch.item import Item
from pixtell.batch.parquet import list_parquet
from pixtell.batch.row import Row
from pixtell.batch.tables import list_table
from pixtell.errors import InputError, MissingExtraError

JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 3
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def listed(path: Path, column: str | None = None) -> list[Found]:
    kind: Any = path.suffix[1:]
    if kind == "parquet":
        return list(list_parquet(str(path), "t", "r", column))
    return list(list_table(kind, str(path), "t", "r", column))


def seen(found: Sequence[Found]) -> list[str | bytes]:
    """Links as their texts, items as their bytes, problems as their codes."""
    return [
        one.text if isinstance(one, Link) else one.read() if isinstance(one, Item) else getattr(one, "code", "?")
        for one in found
    ]


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def refused(path: Path, column: str | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        listed(path, column)
    assert str(caught.value).startswith("t: ") and "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_paths_of_a_csv_in_any_column_under_any_name(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ("key", "what", "note"),
        ("1", "a b.jpg", "x"),
        ("2", "dir/ü.PNG", "y"),
        ("3", "", "z"),
        ("4", "c.gif", "z"),
    ]
    path = written(tmp_path / "t.csv", "\ufeff" + "".join(delimiter.join(row) + "\r\n" for row in rows))
    assert seen(listed(path)) == ["a b.jpg", "dir/ü.PNG", "empty", "c.gif"]
    assert seen(listed(path, "key")) == ["1", "2", "3", "4"]


def test_odd_names_in_a_csv(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'path,text\n"a\nb.jpg","say ""x"", y"\n"c,d.jpg",\n\udcff.jpg,-\n')
    assert seen(listed(path)) == ["a\nb.jpg", "c,d.jpg", "\udcff.jpg"]


def test_a_table_without_a_header(tmp_path: Path) -> None:
    assert seen(listed(written(tmp_path / "t.csv", "a.jpg,x\nb.jpg,y\n"))) == ["a.jpg", "b.jpg"]
    path = written(tmp_path / "t.tsv", f"k1\t{base64_of(JPEG)}\nk2\t{base64_of(PNG)}\n")  # as the authors' image TSV
    assert seen(listed(path)) == [JPEG, PNG] and seen(listed(path, "1")) == ["k1", "k2"]


def test_base64_lies_where_it_is_said_to(tmp_path: Path) -> None:
    big = JPEG * 400  # beyond the csv module's own limit of 128 KiB a cell
    last = f'3,,"data:image/png;base64,{base64_of(JPEG)}"\n'
    text = f'id,caption,image\n1,"a\nb",{base64_of(big)}\n2,ü,{base64_of(PNG)}\n{last}'
    found = listed(written(tmp_path / "t.csv", text))
    assert seen(found) == [big, PNG, JPEG]
    assert [(one.name, one.relative, one.folder) for one in found if isinstance(one, Item)] == [
        (f"t/{n}", f"r/{n}", None) for n in range(3)
    ]
    rows = [{"id": 1, "image": base64_of(big)}, {"id": "ü", "image": f"data:image/jpeg;base64,{base64_of(PNG)}"}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows] + [json.dumps(rows[0]).replace("/", "\\/")]
    found = listed(written(tmp_path / "t.jsonl", "\ufeff" + "\n\n".join(lines)))
    assert seen(pickle.loads(pickle.dumps(found))) == [big, PNG, big]


def test_lines_of_json_that_are_none(tmp_path: Path) -> None:
    lines = [
        '{"name": "a.jpg", "text": "b"}',
        "{",
        "[1]",
        '{"name": 3}',
        '{"name": null}',
        "",
        '{"name": "\\udcff.jpg"}',
    ]
    found = listed(written(tmp_path / "t.jsonl", "\n".join([*lines, lines[0]])))
    assert seen(found[:6]) == ["a.jpg", "broken", "broken", "unsupported", "empty", "\udcff.jpg"]
    assert [one.message for one in found if isinstance(one, Row)][:2] == [
        "t/1: line 2 is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
        "t/2: line 3 is not a JSON object with fields",
    ]


def test_the_column_must_be_told_where_it_can_not_be_found_out(tmp_path: Path) -> None:
    two = written(tmp_path / "t.csv", "id,big,small\n1,a.jpg,b.jpg\n")
    assert refused(two).code == "column" and "(big, small): say which, as in --column big" in str(refused(two))
    assert seen(listed(two, "small")) == ["b.jpg"]
    assert "no column smal; its columns are id, big, small" in str(refused(two, "smal"))
    assert "no column holds photos" in str(refused(written(tmp_path / "n.csv", "id,text\n1,hello\n")))
    assert refused(written(tmp_path / "e.csv", "")).code == "empty"
    assert refused(written(tmp_path / "h.csv", "id,image\n")).code == "empty"
    assert refused(written(tmp_path / "e.jsonl", "\n")).code == "empty"


def test_addresses_count_where_nothing_else_does(tmp_path: Path) -> None:
    both = written(tmp_path / "t.csv", "url,file\nhttp://a/1.jpg,1.jpg\nhttp://a/2.jpg,2.jpg\n")
    assert seen(listed(both)) == ["1.jpg", "2.jpg"] and seen(listed(both, "url"))[0] == "http://a/1.jpg"
    assert seen(listed(written(tmp_path / "u.csv", "url,text\nhttp://a/1,x\n"))) == ["http://a/1"]


def test_what_few_rows_hold_is_not_the_column(tmp_path: Path) -> None:
    """The JSONL that a batch writes: `same_as` names photos too."""
    rows = [{"name": f"{n}.jpg", "status": "ok", **({"same_as": "1.jpg"} if n % 3 == 2 else {})} for n in range(9)]
    path = written(tmp_path / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert seen(listed(path)) == [f"{n}.jpg" for n in range(9)]


# ---- parquet


def write_parquet(path: Path, columns: dict[str, Any], rows_in_group: int = 3) -> Path:
    arrow, files = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    files.write_table(arrow.table(columns), path, row_group_size=rows_in_group)
    return path


@pytest.mark.parametrize("rows_in_group", [7, 20])
def test_bytes_in_parquet_in_and_out_of_order(tmp_path: Path, rows_in_group: int) -> None:
    photos = [JPEG + bytes([n]) for n in range(20)]
    path = write_parquet(
        tmp_path / "t.parquet", {"id": list(range(20)), "jpg": photos, "text": ["x"] * 20}, rows_in_group
    )
    found = listed(path)
    assert seen(found) == photos and seen(found[::-1]) == photos[::-1]
    assert [(one.name, one.relative) for one in found if isinstance(one, Item)][7] == ("t/7", "r/7")
    assert seen(pickle.loads(pickle.dumps([found[19], found[0], found[8], found[3]]))) == [
        photos[19],
        photos[0],
        photos[8],
        photos[3],
    ]
    assert len(parquet._cursors) <= 4


def test_cells_read_in_order_pass_over_the_column_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"jpg": [JPEG + bytes([n]) for n in range(20)]}, 10)
    opened: list[int] = []
    begin = parquet._Cursor.__init__
    monkeypatch.setattr(
        parquet._Cursor, "__init__", lambda self, place: (opened.append(place.group), begin(self, place))[1]
    )
    seen(listed(path))
    assert opened == [0, 1]


def test_pairs_of_bytes_and_path(tmp_path: Path) -> None:
    pairs = [{"bytes": JPEG, "path": "1.jpg"}, {"bytes": None, "path": "2.jpg"}, {"bytes": PNG, "path": None}]
    found = listed(write_parquet(tmp_path / "b.parquet", {"image": pairs, "n": [1, 2, 3]}))
    assert isinstance(found[0], Item) and isinstance(found[2], Item) and isinstance(found[1], Item)
    assert (found[0].read(), found[2].read()) == (JPEG, PNG)
    with pytest.raises(InputError, match=r"^t/1: nothing in its column image") as caught:
        found[1].read()
    assert caught.value.code == "empty"
    paths = [{"bytes": None, "path": "1.jpg"}, None, {"bytes": None, "path": "3.jpg"}]
    assert seen(listed(write_parquet(tmp_path / "p.parquet", {"image": paths}))) == ["1.jpg", "empty", "3.jpg"]


def test_paths_in_parquet(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"n": [1, 2, 3, 4], "file": ["a.jpg", "", None, "b/c.png"]})
    assert "no column holds photos" in str(refused(path)), "half of the cells are no paths"
    assert seen(listed(path, "file")) == ["a.jpg", "empty", "empty", "b/c.png"]


def test_parquet_that_is_none_or_changes(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "t.parquet", {"jpg": [JPEG, PNG]})
    found = listed(path)
    write_parquet(path, {"jpg": [PNG + b"!", JPEG]})
    assert seen(found) == [PNG + b"!", JPEG], "a file that was replaced is not read from the open one"
    path.write_bytes(b"PAR1 nothing of the kind")
    assert isinstance(found[0], Item)
    with pytest.raises(InputError, match=r"^t/0: it can't be read") as caught:
        found[0].read()
    assert caught.value.code == "broken" and refused(path).code == "broken"
    assert refused(write_parquet(tmp_path / "e.parquet", {"jpg": []})).code == "empty"
    assert refused(write_parquet(tmp_path / "n.parquet", {"n": [1]})).code == "column"


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = written(tmp_path / "t.parquet", "PAR1")
    with pytest.raises(MissingExtraError, match=r"pip install 'pixtell\[parquet\]'"):
        listed(path)
