"""Names become items: in order, once each, and whatever can't be used is told and counted while the rest goes on."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.batch.fetch import Address
from pixtell.batch.folders import natural
from pixtell.batch.inputs import InputOptions, Listing, list_items, read_list
from pixtell.errors import ConfigError, InputError
from tests.tiny_data import write_tar

JPEG = b"\xff\xd8\xff" + bytes(100)
TREE = (
    "img10.jpg",
    "img2.jpg",
    "IMG1.png",
    "notes.txt",
    "raw.cr2",
    "sub/b.mp4",
    "sub/deep/c.webp",
    ".hidden.jpg",
    ".x/d.jpg",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a tree of files in `photos`."""
    for name in TREE:
        put(tmp_path / "photos" / name, b"text" if name.endswith("txt") else JPEG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path: Path | str, content: bytes = JPEG) -> str:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def listed(*named: str, stdin: bytes | None = None, **options: Any) -> Listing:
    return list_items(named, InputOptions(**options), None if stdin is None else io.BytesIO(stdin))


def names(listing: Listing) -> list[str]:
    return [item.name for item in listing.items]


def codes(listing: Listing) -> list[tuple[str, str]]:
    assert all(row.status == "error" and row.message.isprintable() for row in listing.problems)
    return [(row.name, row.code) for row in listing.problems]


# ---- files and folders


def test_a_folder_in_natural_order_and_those_below_it(here: Path) -> None:
    flat = listed("photos")
    assert names(flat) == ["photos/IMG1.png", "photos/img2.jpg", "photos/img10.jpg"]
    assert flat.passed_over == ((".cr2", 1), (".txt", 1)) and not flat.problems
    deep = listed("photos", recursive=True)
    assert names(deep) == [*names(flat), "photos/sub/b.mp4", "photos/sub/deep/c.webp"]
    assert [(item.relative, item.folder) for item in deep.items[2:]] == [
        ("img10.jpg", Path("photos")),
        ("sub/b.mp4", Path("photos/sub")),
        ("sub/deep/c.webp", Path("photos/sub/deep")),
    ]
    assert all(item.read() == JPEG for item in deep.items)


def test_files_keep_the_order_and_the_names_given(here: Path) -> None:
    given = ["photos/img2.jpg", "./photos/IMG1.png", str(here / "photos/sub/b.mp4"), "photos/.hidden.jpg"]
    found = listed(*given)
    assert names(found) == given
    assert [item.relative for item in found.items] == ["img2.jpg", "IMG1.png", "b.mp4", ".hidden.jpg"]


def test_the_same_file_is_listed_once_whatever_leads_to_it(here: Path) -> None:
    os.symlink("photos", "link")
    put("list.txt", b"photos/img10.jpg\n./photos/img2.jpg\n")
    found = listed(
        "./photos/img2.jpg", "photos", "photos/img2.jpg", str(here / "photos"), "link", "@list.txt", "photos/*.png"
    )
    assert names(found) == ["./photos/img2.jpg", "photos/IMG1.png", "photos/img10.jpg"] and not found.problems


def test_links_in_circles_and_to_nowhere(here: Path) -> None:
    os.symlink("..", "photos/sub/0up")
    os.symlink("sub", "photos/0sub")
    os.symlink("self", "photos/self")
    os.symlink("nowhere", "photos/lost.jpg")
    os.symlink("img2.jpg", "photos/other.jpg")
    for found in (listed("photos", recursive=True), listed("photos/**/*.*")):
        assert sorted(names(found)) == sorted(
            f"photos/{name}"
            for name in ("IMG1.png", "img2.jpg", "img10.jpg", "lost.jpg", "other.jpg", "sub/b.mp4", "sub/deep/c.webp")
        )
        assert not found.problems


def test_content_tells_where_the_name_does_not(here: Path) -> None:
    put("odd/photo.dat")
    put("odd/photo")
    put("odd/blob.bin", b"nothing")
    put("odd/wrong.jpg", b"a text, but it has a row that says so")
    put("odd/clip.ts2", b"\0\0\0\x18ftypmp42" + bytes(60))
    os.mkfifo("odd/pipe")
    found = listed("odd")
    assert names(found) == ["odd/clip.ts2", "odd/photo", "odd/photo.dat", "odd/wrong.jpg"]
    assert found.passed_over == (("", 1), (".bin", 1))


def test_odd_names_survive(here: Path) -> None:
    odd = ["a\nb.jpg", os.fsdecode(b"\xff.jpg"), "日本.jpg", "x" * 250 + ".jpg", "[1].jpg", "@at.jpg", "-", " .jpg"]
    paths = [put(f"odd/{name}") for name in odd]
    assert set(names(listed("odd"))) == set(paths)
    assert names(listed(*paths)) == paths
    put("list", b"\0".join(os.fsencode(path) for path in paths) + b"\0")
    found = listed("@list")
    assert names(found) == paths and all(item.read() == JPEG for item in found.items)
    write_csv("t.csv", ["path"], [[path] for path in paths])
    assert names(listed("t.csv", column="path")) == paths


def test_a_folder_may_be_a_clip(here: Path) -> None:
    found = listed("photos", folder_is_clip=True)
    (item,) = found.items
    assert (item.name, item.relative, item.folder) == ("photos", "photos", here)
    assert item.frames is not None and item.frames.path == "photos"
    put("clips/two/1.jpg")
    put("clips/one/1.jpg")
    put("clips/none/1.txt")
    found = listed("clips", folder_is_clip=True, recursive=True)
    assert names(found) == ["clips/one", "clips/two"] and [item.relative for item in found.items] == ["one", "two"]
    assert codes(listed("clips", folder_is_clip=True)) == [("clips", "no_pictures")]


def test_sidecars_that_a_shell_names_with_the_photos_are_passed_over(here: Path) -> None:
    put("photos/really.txt")
    given = [str(path) for path in sorted(Path("photos").glob("*.*")) if path.is_file()]
    found = listed(*given)
    assert "photos/really.txt" in names(found) and "photos/notes.txt" not in names(found)
    assert dict(found.passed_over) == {".txt": 1} and "photos/raw.cr2" in names(found)
    assert names(listed("photos/notes.txt")) == ["photos/notes.txt"], "alone, it is asked about"


def test_what_the_job_writes_is_not_its_input(here: Path) -> None:
    put("photos/out.jpg")
    write_csv("out.csv", ["path"], [["photos/img2.jpg"]])
    found = listed("photos", "out.csv", outputs=("photos/out.jpg", "./out.csv"))
    assert names(found) == ["photos/IMG1.png", "photos/img2.jpg", "photos/img10.jpg"] and not found.problems


# ---- what can't be used


def test_what_is_only_written_is_no_input(here: Path) -> None:
    """It would be `0 of 0 inputs`, and the table replaced by an empty one."""
    put("table.csv", b"image\nphotos/img2.jpg\n")
    for named in (["table.csv"], ["./table.csv", "photos/notes.txt"], ["*.csv"]):
        with pytest.raises(ConfigError, match=r"table\.csv: is read and would be written: name another output"):
            listed(*named, outputs=("table.csv",))
    assert len(listed("table.csv", "photos/img10.jpg", outputs=("table.csv",)).items) == 1
    assert len(listed("photos", outputs=("photos/notes.txt",)).items) == 3


def test_files_that_name_or_hold_inputs_are_told(here: Path) -> None:
    put("table.csv", b"image\nphotos/img2.jpg\n")
    put("list.txt", b"photos/img10.jpg\n")
    tar = write_tar(here / "a.tar", [("x.jpg", JPEG)])
    found = listed("photos/IMG1.png", "table.csv", "@list.txt", str(tar), "none.csv")
    assert [str(path) for path in found.sources] == ["table.csv", "list.txt", str(tar)]


def test_problems_are_counted_and_the_rest_goes_on(here: Path) -> None:
    os.mkdir("empty")
    put("texts/a.txt", b"text")
    put("bad.tar", b"no tar" * 300)
    put("bad.zip", b"no zip" * 300)
    put("packed.tar.gz", b"\x1f\x8b")
    write_csv("t.csv", ["id"], [["1"]])
    given = ["gone.jpg", "gone", "empty", "texts", "bad.tar", "bad.zip", "packed.tar.gz", "t.csv", "*.gif", "*.zip2"]
    given += ["ftp://a/b.jpg", "http://a/b.jpg", "@gone.txt", "photos/img2.jpg/x", "/dev/null", "gone.jpg"]
    found = listed(*given, "photos/img2.jpg")
    assert names(found) == ["photos/img2.jpg"]
    kinds = ["missing", "missing", "no_pictures", "no_pictures", "broken", "broken", "unsupported", "column", "missing"]
    kinds += ["missing", "unsupported", "unsupported", "missing", "missing", "unsupported"]
    assert codes(found) == list(zip(given, kinds, strict=False))
    messages = {row.name: row.message for row in found.problems}
    assert messages["texts"] == "texts: no photos or clips in this folder (1 other files)"
    assert "--allow-urls" in messages["http://a/b.jpg"] and "plain .tar" in messages["packed.tar.gz"]
    put("up/down/a.jpg")
    assert "--recursive looks into the folders below it, 1 of them" in listed("up").problems[0].message


def test_a_folder_that_is_locked_is_a_problem(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def locked(path: str) -> Any:
        if path.endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    found = listed("photos", recursive=True)
    assert len(found.items) == 4 and codes(found) == [("photos/sub/deep", "unreadable")]


def test_a_tar_that_breaks_off_is_both(here: Path) -> None:
    path = write_tar(Path("s.tar"), [("1.jpg", JPEG), ("2.jpg", JPEG)])
    path.write_bytes(path.read_bytes()[:1300])
    found = listed("s.tar", "photos/img2.jpg")
    assert names(found) == ["s.tar/1.jpg", "photos/img2.jpg"] and codes(found) == [("s.tar", "broken")]


# ---- archives, tables, patterns, lists


def test_archives_and_tables_as_named(here: Path) -> None:
    Path("shards").mkdir()
    for number in (10, 2):
        write_tar(Path(f"shards/{number}.tar"), [("a.jpg", JPEG), ("a.json", b"{}")])
    put("nosuffix", Path("shards/2.tar").read_bytes())
    with zipfile.ZipFile("album.ZIP", "w") as album:
        album.writestr("x/y.jpg", JPEG)
        album.writestr("x/read.me", "hello")
    found = listed("album.ZIP", "shards/*.tar", "nosuffix", "./shards/2.tar")
    assert names(found) == ["album.ZIP/x/y.jpg", "shards/2.tar/a.jpg", "shards/10.tar/a.jpg", "nosuffix/a.jpg"]
    assert [item.relative for item in found.items][:2] == ["album.ZIP/x/y.jpg", "2.tar/a.jpg"]
    assert found.passed_over == ((".json", 3), (".me", 1)) and all(item.read() == JPEG for item in found.items)
    assert codes(listed("shards")) == [("shards", "no_pictures")], "a folder's own archives are not looked into"
    write_tar(Path("none.tar"), [("a.txt", b"")])
    assert codes(listed("none.tar")) == [("none.tar", "no_pictures")]


def test_paths_of_a_table_begin_here_or_beside_it(here: Path) -> None:
    os.mkdir("tables")
    write_csv("tables/here.csv", ["file"], [["photos/gone.jpg"], ["photos/img2.jpg"]])
    write_csv("tables/beside.csv", ["file"], [["near.jpg"], ["gone.jpg"]])
    put("tables/near.jpg")
    found = listed("tables/here.csv", "tables/beside.csv")
    assert names(found) == ["photos/gone.jpg", "photos/img2.jpg", "tables/near.jpg", "tables/gone.jpg"]
    assert [item.relative for item in found.items][2:] == ["near.jpg", "gone.jpg"] and not found.problems
    with Path("t.jsonl").open("w") as file:
        file.writelines(json.dumps({"name": str(path)}) + "\n" for path in sorted(Path("photos").glob("i*.jpg")))
    assert names(listed("t.jsonl")) == ["photos/img10.jpg", "photos/img2.jpg"]


def test_what_no_file_can_be_called_is_told(here: Path) -> None:
    put(
        "t.jsonl", b"".join(b'{"name": "%s"}\n' % name for name in (rb"a\u0000/b.jpg", rb"\ud800.jpg", rb"c\u0000.jpg"))
    )
    found = listed("t.jsonl", "a\0b")
    assert len(found.items) == 3 and codes(found) == [("a\0b", "unreadable")]
    for item in found.items:
        with pytest.raises(InputError) as caught:
            item.read()
        assert caught.value.code == "unreadable" and str(caught.value).isprintable()
        os.fsencode(item.relative)


def test_patterns_that_the_shell_left(here: Path) -> None:
    assert names(listed("photos/img?.jpg")) == ["photos/img2.jpg"]
    found = listed("photos/**/*.[mw]*")
    assert names(found) == ["photos/sub/b.mp4", "photos/sub/deep/c.webp"]
    assert [item.relative for item in found.items] == ["sub/b.mp4", "sub/deep/c.webp"]
    everything = listed("**")
    assert sorted(names(everything)) == sorted(names(listed("photos", recursive=True)))
    assert {item.relative for item in everything.items} == {item.name for item in everything.items}
    assert names(listed("photos/*")) == [*names(listed("photos")), "photos/sub/b.mp4"], "as if the shell had done it"
    assert codes(listed("photos/*.txt")) == [("photos/*.txt", "no_pictures")]


def test_lists_from_files_and_pipes(here: Path) -> None:
    put("list", b"\xef\xbb\xbfphotos/img2.jpg\r\n\nphotos/gone.jpg\nphotos/sub\nhttp://a/b\ngone.xyz\n")
    found = listed("@list")
    assert names(found) == ["photos/img2.jpg", "photos/gone.jpg", "photos/sub/b.mp4"]
    assert codes(found) == [("http://a/b", "unsupported"), ("gone.xyz", "missing")]
    assert names(listed("@-", stdin=b"photos/img2.jpg\n")) == ["photos/img2.jpg"]
    (item,) = listed("-", stdin=JPEG).items
    assert item.stamp() != listed("-", stdin=JPEG[::-1]).items[0].stamp(), "of equal length, and not the same"
    assert (item.name, item.read(), item.folder) == ("-", JPEG, None)
    assert codes(listed("@-", stdin=b"\n")) == [("@-", "empty")]
    both = listed("photos/gone.jpg", "@list")
    assert "photos/gone.jpg" in names(both) and "photos/gone.jpg" not in dict(codes(both)), "one row for each name"
    with pytest.raises(ConfigError, match="both a photo"):
        listed("-", "@-", stdin=b"")
    put("@list")
    assert names(listed("@list", lists=False)) == ["@list"] and listed("./@list").items[0].read() == JPEG


@given(st.lists(st.binary(min_size=1).filter(lambda name: not {0, 10, 13} & set(name)), min_size=1))
def test_lists_hold_any_name(entries: Sequence[bytes]) -> None:
    if b"".join(entries[:1]).startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        entries = [b"x", *entries]
    expected = [os.fsdecode(entry) for entry in entries]
    assert read_list(b"\n".join(entries)) == expected == read_list(b"\0".join([*entries, b""]))
    assert read_list("\r\n".join(["ü.jpg", "b"]).encode("utf-16")) == ["ü.jpg", "b"]


def test_a_pipe_with_a_name_is_read_at_once(here: Path) -> None:
    os.mkfifo("pipe")
    writer = subprocess.Popen(["cp", "photos/img2.jpg", "pipe"])
    (item,) = listed("pipe").items
    assert writer.wait() == 0 and item.read() == JPEG == item.read()


def test_addresses_wait_until_they_are_read(here: Path) -> None:
    found = listed("https://a.example/x/../y.jpg?z=1", "http://a/b", "http://a/b", allow_urls=True)
    assert names(found) == ["https://a.example/x/../y.jpg?z=1", "http://a/b"]
    item = found.items[0]
    assert isinstance(item.place, Address) and item.relative == "a.example/x/y.jpg?z=1" and item.folder is None


def write_csv(path: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([header, *rows])


# ---- order and size


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/")), unique=True))
def test_natural_order_is_one_order(entries: list[str]) -> None:
    ordered = sorted(entries, key=natural)
    assert ordered == sorted(reversed(entries), key=natural)


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_numbers_are_ordered_as_numbers(one: int, other: int) -> None:
    assert (natural(f"a{one}.jpg") < natural(f"a{other}.jpg")) == (one < other)
    assert natural(f"a{one}b{other}") < natural(f"a{one}b{other + 1}") < natural(f"a{one + 1}b0")


@pytest.mark.slow
def test_a_hundred_thousand_small_files(tmp_path: Path) -> None:
    """Listed within 20 s and 500 MB (issue 5), in a process of its own; half of them without a suffix that tells."""
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        for number in range(1000):
            (tmp_path / str(folder) / f"IMG_{number}{'.jpg' if number % 2 else '.dat'}").write_bytes(JPEG)
    code = (
        "import resource, sys; from pixtell.batch.inputs import *; "
        "found = list_items(sys.argv[1:], InputOptions(recursive=True)); "
        "print(len(found.items), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    start = time.monotonic()
    # By way of a shell: the peak that a process inherits from the one that began it would be that of all these tests.
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", code, str(tmp_path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, (items, kibibytes) = time.monotonic() - start, map(int, output.split())
    assert items == 100_000 and seconds < 20 and kibibytes < 500 * 1024
    print(f"{seconds:.1f} s, {kibibytes // 1024} MiB")
