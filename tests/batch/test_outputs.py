"""Every form of output: what is written is read again, and however often a job is killed, it ends in the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixtell.batch.files import temporary
from pixtell.batch.item import File, FrameFolder, Held, Item
from pixtell.batch.outputs import (
    Finished,
    OnExisting,
    OutputOptions,
    check_collisions,
    noted,
    open_outputs,
    read_rows,
)
from pixtell.batch.row import Row
from pixtell.errors import ConfigError, InputError, MissingExtraError, PixtellError

from .output_job import FILES, FORMS, GROWING, NEVER, SETTINGS, SINGLE, WHOLE_ROWS, Job, item_of, rows_of_a_job, tree

ROWS = [Row("a.jpg", text="two boats"), Row("b.jpg", "error", code="broken", message="b.jpg: cut off")]


def prepare(folder: Path, rows: list[Row], there: list[int], forms: list[str]) -> None:
    """What stood there before the job: sidecars of some items, and rows of an earlier job with other settings."""
    earlier = [replace(row, status="ok", text="of before", code="", message="") for row in rows[::2]]
    earlier.append(Row("elsewhere.jpg", text="kept"))
    options = OutputOptions(out_dir=folder, on_existing="overwrite", settings='{"beams": 1}', sidecar_name="full")
    Job(folder, earlier, options, forms).run_killed(NEVER)
    for number in there:
        if number < len(rows):
            path = folder / f"{item_of(rows[number]).relative}.txt"
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(f"mine {number}")


@settings(max_examples=40)
@given(
    rows=rows_of_a_job(),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    kills=st.lists(st.tuples(st.integers(1, 150), st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=3),
    on_existing=st.sampled_from(["skip", "overwrite", "append", "prepend"]),
    there=st.lists(st.integers(0, 6), max_size=4),
    begun=st.booleans(),
)
def test_a_killed_job_ends_in_the_same_bytes(
    rows: list[Row],
    sizes: list[int],
    kills: list[tuple[int, int, int]],
    on_existing: OnExisting,
    there: list[int],
    begun: bool,
) -> None:
    with tempfile.TemporaryDirectory() as root:
        whole, killed = Path(root, "whole"), Path(root, "killed")
        jobs = []
        for folder in (whole, killed):
            if begun:  # tars of other settings are refused, but where they may be overwritten
                prepare(
                    folder, rows, there, [form for form in FORMS if form != "rows.tar" or on_existing == "overwrite"]
                )
            options = OutputOptions(folder, "full", on_existing, SETTINGS, shard_size=3)
            jobs.append(Job(folder, rows, options))
        jobs[0].run_killed(NEVER, sizes=sizes)
        for at, how, size in kills:
            jobs[1].run_killed(at, how, [size])
        jobs[1].run_killed(NEVER, sizes=sizes)
        assert tree(killed) == tree(whole)
        for job in jobs:  # and once more changes nothing
            job.run_killed(NEVER)
        assert tree(killed) == tree(whole)


@settings(max_examples=40)
@given(rows=rows_of_a_job(), form=st.sampled_from(WHOLE_ROWS))
def test_whole_rows_are_read_as_they_were_written(rows: list[Row], form: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        Job(Path(root), rows, OutputOptions(Path(root), settings=SETTINGS), [form]).run()
        assert read_rows(Path(root, form)) == rows


@pytest.mark.parametrize("form", FORMS)
def test_texts_are_read_as_they_were_written(tmp_path: Path, form: str) -> None:
    rows = [Row("x/1.jpg", text="two boats on a lake, at dusk"), Row("x/2.jpg", text='é "🙂" & <b>')]
    Job(tmp_path, rows, OutputOptions(tmp_path, shard_size=1), [form]).run()
    paths = [tmp_path / form] if "." in form else [tmp_path / "x" / f"{number}.{form}" for number in (1, 2)]
    assert [row.text for path in paths for row in read_rows(path)] == [row.text for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, form: str) -> None:
    for name in ("one", "two"):
        Job(tmp_path / name, ROWS, OutputOptions(tmp_path / name, settings=SETTINGS), [form]).run()
    assert tree(tmp_path / "one") == tree(tmp_path / "two") != {}


@pytest.mark.parametrize("form", WHOLE_ROWS)
def test_rows_of_an_earlier_job_stay_and_give_way_to_new_ones(tmp_path: Path, form: str) -> None:
    old = [Row("a.jpg", text="old"), Row("b.jpg", text="old"), Row("c.jpg", text="old")]
    new = [Row("b.jpg", text="new"), Row("a.jpg", "skipped", code="exists"), Row("d.jpg", text="new")]
    for on_existing, expected in (("skip", "old old new new"), ("overwrite", "new  new")):
        Job(tmp_path, old, OutputOptions(on_existing="overwrite"), [form]).run()
        (output,) = open_outputs([str(tmp_path / form)])
        assert [output.existing(item_of(row)) for row in new] == [True, True, False]
        Job(tmp_path, new, OutputOptions(on_existing=on_existing, settings=SETTINGS), [form]).run()
        found = read_rows(tmp_path / form)
        assert " ".join(row.text for row in found) == expected
    assert [row.name for row in found] == ["b.jpg", "a.jpg", "d.jpg"]


def test_an_item_that_failed_before_counts_as_not_there(tmp_path: Path) -> None:
    for form in SINGLE:
        Job(tmp_path, ROWS, OutputOptions(), [form]).run()
        (output,) = open_outputs([str(tmp_path / form)])
        assert [output.existing(item_of(row)) for row in ROWS] == [True, False]


def test_settings_are_stored_with_each_row(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="parquet is an extra")
    Job(tmp_path, ROWS, OutputOptions(tmp_path, settings=SETTINGS), FILES).run()
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["settings"] for line in lines] == [json.loads(SETTINGS)] * 2
    assert parquet.read_table(tmp_path / "rows.parquet")["settings"].to_pylist() == [SETTINGS] * 2
    assert (tmp_path / "rows.csv").read_text().count('"{""beams"": 4') == 2


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("on_existing", ["skip", "overwrite"])
def test_a_file_that_is_not_ours_is_never_touched(tmp_path: Path, form: str, on_existing: OnExisting) -> None:
    path = tmp_path / form.replace(".tar", "-000000.tar")
    for content in (b"my notes\n", b'{"a": 1}\n', b"a,b\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="was not written by pixtell caption"):
            Job(tmp_path, ROWS, OutputOptions(on_existing=on_existing), [form]).run()
        assert path.read_bytes() == content
        assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    options = OutputOptions(tmp_path)
    for at in range(1, 40):
        job = Job(tmp_path, ROWS, options)
        job.run_killed(at, 2, [1])
        job.run()
        assert not list(tmp_path.rglob("*.partial")), at
        for path in tmp_path.iterdir():
            path.unlink()


def test_what_a_killed_run_left_goes_at_the_start(tmp_path: Path) -> None:
    outputs = open_outputs([str(tmp_path / name) for name in FILES])
    for output in outputs:
        output.start([])
    for name in (*SINGLE, "rows-000000.tar", "rows-000003.tar", "x.txt"):
        temporary(tmp_path / name).write_bytes(b"half")
    (tmp_path / "rows-000003.tar").write_bytes(bytes(10_240))
    for output in outputs:
        output.start([])
    assert [path.name for path in tmp_path.glob(".*")] == [temporary(Path("x.txt")).name]


def test_names_that_tell_no_form() -> None:
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*a\.docx: not a form.*\.jsonl.*xmp.*b\.csv: is named twice"):
        open_outputs(["a.docx", "b.csv", "./b.csv"])


def test_parquet_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixtell.batch.whole_files.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pixtell\[parquet\]'"):
        open_outputs(["a.parquet"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", None, "no such file"),
        ("a.tar", None, "nor a-000000.tar"),
        ("a.jsonl", b'{"name": 5}\n', "line 1 is not a row: it is not an object with a name"),
        ("a.jsonl", b'{"name": "a", "status": "fine"}\n', "its status is 'fine'"),
        ("a.csv", b"a,b\r\n1,2\r\n", "no column `name`"),
        ("a.csv", b"name,text\r\na\r\n", "record 2 is not a row: it has 1 cells for 2 columns"),
        ("a.json", b"{}", "not a list"),
        ("a.parquet", b"PAR1", "not parquet"),
        ("a.xmp", b"<a/>", "not XMP"),
        ("a.doc", b"", "rows are read from .jsonl"),
    ],
)
def test_files_that_hold_no_rows(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_rows(tmp_path / name)


def test_edits_need_a_name_and_a_text_only(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"name": "a.jpg", "text": "mine", "by": "me"}\n\n{"name": "b.jpg", "text": ""}')
    (tmp_path / "e.csv").write_text("text,name,by\nmine,a.jpg,me\n,b.jpg,me")
    expected = [Row("a.jpg", text="mine"), Row("b.jpg")]
    assert read_rows(tmp_path / "e.jsonl") == read_rows(tmp_path / "e.csv") == expected


# ---- collisions


def item(name: str, folder: str | None = "/photos", relative: str = "") -> Item:
    return Item(name, File(f"{folder}/{relative or name}", name), relative or name, Path(folder) if folder else None)


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        (["a.jpg", "a.png"], {}, r"a\.jpg and a\.png would share .*/a\.txt: --sidecar-name full"),
        (["A.jpg", "a.png"], {}, r"A\.jpg and a\.png would share .*--sidecar-name full"),
        (["é.jpg", "e\u0301.png"], {}, "1 collision"),
        (["a.jpg", "A.jpg"], {"out_dir": Path("/OUT/é"), "sidecar_name": "full"}, "rename one"),
        ([f"{n}.{e}" for n in range(9) for e in ("jpg", "png")], {}, r"(?s)9 collisions.*4\.png.*and 4 more$"),
    ],
)
def test_collisions(
    monkeypatch: pytest.MonkeyPatch, items: list[str], options: dict[str, object], message: str
) -> None:
    monkeypatch.setattr(Path, "samefile", lambda self, other: True)  # a disk that doesn't tell cases apart
    monkeypatch.setattr(Path, "exists", lambda self: True)
    chosen = OutputOptions(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        check_collisions([item(name) for name in items], open_outputs(["txt"], chosen))


def test_no_collisions(tmp_path: Path) -> None:
    full = OutputOptions(sidecar_name="full")
    check_collisions([item("a.jpg"), item("a.png"), item("b/a.jpg", "/photos/b", "a.jpg")], open_outputs(["txt"], full))
    check_collisions([item("a.jpg"), item("b.png")], open_outputs(["txt", "xmp", "x.jsonl", "x.tar"]))
    if not (tmp_path / "x").mkdir() and not (tmp_path / "X").exists():  # a disk that tells cases apart may hold both
        check_collisions([item("a.jpg"), item("A.jpg")], open_outputs(["txt"], OutputOptions(tmp_path)))


def test_two_roots_that_meet_in_one_folder() -> None:
    items = [item("one/a.jpg", "/one", "a.jpg"), item("two/a.jpg", "/two", "a.jpg")]
    check_collisions(items, open_outputs(["txt"]))
    with pytest.raises(ConfigError, match=r"one/a\.jpg and two/a\.jpg would share out/a\.txt: name the folder above"):
        check_collisions(items, open_outputs(["txt"], OutputOptions(Path("out"))))


def test_inputs_are_not_overwritten(tmp_path: Path) -> None:
    table = Item("p.jsonl/1", File("p.jsonl", "p.jsonl"), "1")
    with pytest.raises(ConfigError, match=r"p\.jsonl would overwrite .*p\.jsonl, which is read"):
        check_collisions([table], open_outputs(["p.jsonl"]))
    with pytest.raises(ConfigError, match=r"would overwrite list\.csv"):
        check_collisions([item("a.jpg")], open_outputs(["list.csv"]), [Path("list.csv")])
    with pytest.raises(ConfigError, match=r"a\.jpg would overwrite /photos/a\.txt, which is read: --out-dir"):
        check_collisions([item("a.jpg")], open_outputs(["txt"]), [Path("/photos/a.txt")])
    (tmp_path / "real.csv").write_text("")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with pytest.raises(ConfigError, match=r"would overwrite .*link\.csv"):
        check_collisions([item("a.jpg")], open_outputs([str(tmp_path / "real.csv")]), [tmp_path / "link.csv"])
    shard = Item("s-000000.tar/1.jpg", File("s-000000.tar", "s"), "1.jpg")
    with pytest.raises(ConfigError, match=r"would overwrite .*s-000000\.tar"):
        check_collisions([shard], open_outputs(["s.tar"]))


@pytest.mark.parametrize("relative", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "", "a\0.jpg"])
def test_nothing_leaves_the_output_folder(relative: str, tmp_path: Path) -> None:
    strange = Item("a.zip/x", Held("a.zip/x", b""), relative)
    outputs = open_outputs(["txt"], OutputOptions(tmp_path / "out"))
    with pytest.raises(ConfigError, match="leads out of the output folder"):
        check_collisions([strange], outputs)
    with pytest.raises(ConfigError, match="leads out of the output folder"):
        outputs[0].add([Finished(strange, Row("a.zip/x", text="boats"))])
    assert tree(tmp_path) == {}


def test_items_that_an_output_cannot_hold() -> None:
    member = Item("a.zip/x.jpg", Held("x", b""), "x.jpg")
    with pytest.raises(ConfigError, match=r"a\.zip/x\.jpg: lies in no folder.*--out-dir"):
        check_collisions([member], open_outputs(["xmp"]))
    with pytest.raises(ConfigError, match="a folder of frames"):
        check_collisions([Item("clip", FrameFolder("clip", "clip"), "clip")], open_outputs(["s.tar"]))


def test_folders_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    items = [item(f"{number}.jpg", str(tmp_path)) for number in range(3)]
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match=r"1 collision.*\n.*can't be written to: --out-dir FOLDER"):
        check_collisions(items, open_outputs(["txt"]))
    check_collisions(items, open_outputs(["txt"], OutputOptions(tmp_path / "out")))


def test_coco_numbers_that_meet() -> None:
    items = [item("COCO_val2014_000000000012.jpg"), item("b/12.jpg")]
    with pytest.raises(ConfigError, match=r"are both picture 12 in r\.json"):
        check_collisions(items, open_outputs(["r.json"]))


# ---- disks that refuse


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    possible = shutil.which("mount") and os.geteuid() == 0
    if not possible or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]).returncode:
        pytest.skip("a small disk can't be mounted here: that needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk(small_disk: Path, form: str, tmp_path: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_990_000))
    rows = [Row(f"{number}.jpg", text=f"{number} " + os.urandom(4000).hex()) for number in range(40)]
    job = Job(small_disk, rows, OutputOptions(small_disk, shard_size=5), [form])
    with pytest.raises(PixtellError, match=r"No space left on device.*the same command goes on") as told:
        job.run([1])
    assert "\n" not in str(told.value) and not list(small_disk.rglob("*.partial"))
    if form in GROWING:  # what grows can be read at any time
        assert read_rows(small_disk / form) == rows[: len(job.journal) - 1]
    elif form == "txt":
        whole = {f"{number}.txt": rows[number].text.encode() for number in range(len(job.journal) - 1)}
        assert {name: content for name, content in tree(small_disk).items() if name != "ballast"} == whole
    ballast.unlink()
    job.run([1])
    Job(tmp_path / "large", rows, OutputOptions(tmp_path / "large", shard_size=5), [form]).run()
    assert tree(small_disk) == tree(tmp_path / "large")


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_vanishes(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "out"
    outputs = open_outputs(
        [form if form in ("txt", "xmp") else str(folder / form)], OutputOptions(folder, shard_size=1)
    )
    outputs[0].start([])
    shutil.rmtree(folder)
    row = noted(Finished(item_of(ROWS[0]), ROWS[0]), outputs)
    with pytest.raises(PixtellError, match="can't be written"):
        outputs[0].add([row])
        outputs[0].finish([row])
    assert not folder.exists()
