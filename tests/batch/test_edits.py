"""Edits of the contact page: they end in every file of the job and stay there, and nothing of a person's is lost."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pixtell.batch.edits import Edit, edited, last_settings, read_edits
from pixtell.batch.journal import Journal
from pixtell.batch.output import Finished, OnExisting
from pixtell.batch.outputs import read_rows
from pixtell.batch.row import Row
from pixtell.errors import ConfigError, InputError, PixtellError

from .edit_job import FORMS, Case, Model
from .test_run import CONTENTS, SETTINGS, Killed, files, photos

__all__ = ["photos"]  # a fixture: a folder of CONTENTS


@pytest.fixture
def case(photos: Path, tmp_path: Path) -> Case:
    made = Case(photos, tmp_path / "out")
    made.run()
    return made


def test_an_edit_is_in_every_file(case: Case) -> None:
    applied = case.apply(case.edit(2, "a dog"), case.edit(4, 'say "é"'))
    assert (applied.made, applied.before, applied.problems) == (2, 0, [])
    assert applied.summary and applied.summary.complete and applied.summary.inputs == len(CONTENTS)
    for number, text in ((2, "a dog"), (4, 'say "é"')):
        assert case.sidecar(number).read_text("utf-8") == text
        assert [row.text for row in read_rows(case.sidecar(number, "xmp"))] == [text]
        for form in ("rows.jsonl", "rows.csv", "rows.parquet", "rows.json", "rows.tar"):
            [row] = [
                row
                for row in read_rows(case.out / form)
                if row.name.rstrip(".jpg").endswith(f"{number:02}"[-1]) and row.text == text
            ]
            if form != "rows.json":
                assert row.edited and row.mean_logprob is None
                assert row.alternatives == (f"a picture called {number:02}.jpg", "another")
    page = (case.out / "page.html").read_text("utf-8")
    assert '"text":"a dog"' in page and '"text":"say \\"\\u00e9\\""' in page


def test_nothing_else_changes(case: Case) -> None:
    before = files(case.out)
    case.apply(case.edit(2, "a dog"))
    rows = {row.name: row for row in read_rows(case.out / "rows.jsonl")}
    after = files(case.out)
    touched = {name for name in after if after[name] != before[name]}
    assert touched == {*FORMS, "texts/02.jpg.txt", "texts/02.jpg.xmp"} - {"rows.tar"} | {"rows-000000.tar"}
    assert before.keys() == after.keys() and len(rows) == len(CONTENTS)


def test_applied_twice_changes_nothing(case: Case) -> None:
    edits = [case.edit(2, "a dog"), case.edit(4, ""), case.edit(7, "a picture called 07.jpg")]
    case.apply(*edits)
    before, journal = files(case.out), (case.out / "journal").read_bytes()
    applied = case.apply(*edits)
    assert (applied.made, applied.before, applied.problems) == (0, 3, [])
    assert files(case.out) == before and (case.out / "journal").read_bytes() == journal


@pytest.mark.parametrize("on_existing", ["skip", "append"])
@pytest.mark.parametrize("call", ["open", "replace", "unlink"])
def test_killed_at_every_step_and_applied_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, on_existing: OnExisting
) -> None:
    """The process ends before the n-th such call, for every n, and then the edits are applied again."""
    forms = ("rows.jsonl", "rows.json", "rows.tar")
    done = Case(photos, tmp_path / "done", on_existing, forms=forms)
    for place in (2, 4, 6):  # what was there before the job, and ends as a caption does
        done.sidecar(place).parent.mkdir(exist_ok=True)
        done.sidecar(place).write_text(f"mine {place}, a picture called\n")
    done.run()
    texts = {2: "a dog", 4: "", 6: "b, a picture called 06.jpg", 7: "a picture called 07.jpg", 8: "a cat", 10: ""}
    edits = [done.edit(place, text) for place, text in texts.items()]
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # it takes long, and proves nothing here
    real = getattr(os, call)
    expected: dict[str, bytes] = {}
    for number in (10**6, *range(100)):
        case = Case(photos, tmp_path / f"out{number}", on_existing, forms=forms)
        shutil.copytree(done.out, case.out, dirs_exist_ok=True)
        left = number

        def dying(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, dying)
            try:
                case.apply(*edits)
                survived = True
            except Killed:
                survived = False
        case.apply(*edits)
        found = {name: content for name, content in files(case.out).items() if name != "page.html"}
        expected = expected or found
        assert found == expected, f"killed before {call} number {number}"
        if survived and number < 100:
            assert number > 2
            return
    raise AssertionError("never came to its end")


@pytest.mark.parametrize(
    ("on_existing", "expected"),
    [
        ("skip", "mine\n"),
        ("overwrite", "a dog"),
        ("append", "mine, a dog"),
        ("prepend", "a dog, mine"),
    ],
)
def test_what_stood_there_before_the_job_stays(
    photos: Path, tmp_path: Path, on_existing: OnExisting, expected: str
) -> None:
    case = Case(photos, tmp_path / "out", on_existing, kinds=["txt"])
    case.sidecar(2).parent.mkdir()
    case.sidecar(2).write_text("mine\n")
    case.run()
    applied = case.apply(case.edit(2, "a dog"))
    assert case.sidecar(2).read_text() == expected
    assert len(applied.problems) == (on_existing == "skip")
    case.apply(case.edit(2, ""))
    left = {"append": "mine", "prepend": "mine", "skip": "mine\n"}.get(on_existing)
    assert (case.sidecar(2).read_text() if case.sidecar(2).exists() else None) == left


def test_a_sidecar_that_was_changed_by_hand_is_left_and_told(case: Case) -> None:
    case.sidecar(2).write_text("mine")
    case.sidecar(4).write_text("a picture called 04.jpg, mine")
    xmp = case.sidecar(6, "xmp")
    xmp.write_text(xmp.read_text().replace("called", "mine"))
    before = xmp.read_bytes()
    applied = case.apply(case.edit(2, "a dog"), case.edit(4, ""), case.edit(6, "a cat"))
    assert applied.made == 3
    lines = [problem.split(": ", 1) for problem in applied.problems]
    assert [line for line, _ in lines] == ["line 2", "line 4", "line 6"]
    assert all("is not what this job wrote: it is left as it is" in text for _, text in lines)
    assert [case.sidecar(2).read_text(), case.sidecar(4).read_text()] == ["mine", "a picture called 04.jpg, mine"]
    assert xmp.read_bytes() == before and case.sidecar(6).read_text() == "a cat"


def test_what_a_person_put_where_nothing_was_is_left(case: Case) -> None:
    case.apply(case.edit(2, ""))
    case.sidecar(2).write_text("mine")
    xmp = case.sidecar(2, "xmp")
    xmp.write_bytes(case.sidecar(4, "xmp").read_bytes())
    applied = case.apply(case.edit(2, "a dog"))
    assert applied.made == 1 and len(applied.problems) == 2
    assert case.sidecar(2).read_text() == "mine" and xmp.read_bytes() == case.sidecar(4, "xmp").read_bytes()


def test_an_alternative_text_of_a_person_is_left(photos: Path, tmp_path: Path) -> None:
    path = Case(photos, tmp_path / "out").sidecar(2, "xmp")
    case = Case(photos, tmp_path / "out", "append", kinds=["xmp"])
    path.parent.mkdir()
    first = Case(photos, tmp_path / "first", kinds=["xmp"])
    first.run()
    path.write_bytes(first.sidecar(2, "xmp").read_bytes())
    case.run()
    content = path.read_text()
    text = "a picture called 02.jpg, a picture called 02.jpg"
    assert content.count(text) == 2, "the description and the alternative text, joined to what was there"
    place = content.rindex(text)
    path.write_text(content[:place] + "mine" + content[place + len(text) :])
    before = path.read_bytes()
    applied = case.apply(case.edit(2, "a dog"))
    assert len(applied.problems) == 1 and path.read_bytes() == before


def test_an_xmp_file_of_another_program_keeps_the_rest(photos: Path, tmp_path: Path) -> None:
    case = Case(photos, tmp_path / "out", "overwrite", kinds=["xmp"])
    path = case.sidecar(2, "xmp")
    path.parent.mkdir()
    path.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
    )
    case.run()
    applied = case.apply(case.edit(2, "a dog"))
    assert applied.problems == []
    assert 'Rating="4"' in path.read_text() and [row.text for row in read_rows(path)] == ["a dog"]


def test_an_emptied_caption_sets_its_picture_aside(case: Case) -> None:
    applied = case.apply(case.edit(2, ""))
    assert applied.problems == [] and applied.summary and applied.summary.review == 2
    assert not case.sidecar(2).exists() and not case.sidecar(2, "xmp").exists()
    [row] = [row for row in read_rows(case.out / "rows.jsonl") if row.name.endswith("02.jpg")]
    assert (row.status, row.text, row.review, row.edited) == ("ok", "", True, True)
    assert row.alternatives == ("a picture called 02.jpg", "another")
    assert not [row for row in read_rows(case.out / "rows.tar") if row.name.endswith("02.jpg")]
    case.apply(case.edit(2, "a picture called 02.jpg"))
    assert case.sidecar(2).read_text() == "a picture called 02.jpg"


def test_a_caption_that_was_set_aside_is_accepted_or_mended(case: Case) -> None:
    assert not case.sidecar(7).exists()
    applied = case.apply(case.edit(7, "a picture called 07.jpg"))
    assert (applied.made, applied.problems) == (1, [])
    assert case.sidecar(7).read_text() == "a picture called 07.jpg"
    [row] = [row for row in read_rows(case.out / "rows.csv") if row.name.endswith("07.jpg")]
    assert (row.edited, row.review, row.mean_logprob) == (True, False, -3.0)


def test_the_model_is_not_asked_again_about_what_was_edited(case: Case) -> None:
    case.apply(case.edit(2, "a dog"))
    before = files(case.out)
    os.utime(case.photos / "02.jpg", ns=(1, 1))
    model = Model()
    case.run(model)
    assert model.asked == [] and files(case.out) == before
    (case.photos / "02.jpg").write_text("another picture")
    case.run(model)
    assert model.asked == ["02.jpg"]
    assert [r.text for r in read_rows(case.out / "rows.csv") if r.edited] == []


@pytest.mark.parametrize("on_existing", ["skip", "overwrite"])
def test_nor_with_other_settings_unless_everything_is_to_be_overwritten(
    photos: Path, tmp_path: Path, on_existing: OnExisting
) -> None:
    case = Case(photos, tmp_path / "out", kinds=[])
    case.run()
    case.apply(case.edit(2, "a dog"))
    for path in case.out.glob("rows*"):
        path.unlink()
    case.settings, case.on_existing = {"beams": 1}, on_existing
    model = Model("with one beam")
    case.run(model)
    texts = {row.name[-6:]: row.text for row in read_rows(case.out / "rows.jsonl")}
    assert texts["04.jpg"] == "with one beam 04.jpg"
    assert texts["02.jpg"] == ("a dog" if on_existing == "skip" else "with one beam 02.jpg")
    assert ("02.jpg" in model.asked) is (on_existing == "overwrite")


def test_edits_that_cannot_be_made_are_told_and_cost_no_other(case: Case) -> None:
    good = case.edit(2, "a dog")
    edits = [
        replace(good, name="nowhere.jpg", line=1),
        case.edit(4, "a cat", was="something else"),
        case.edit(5, "what is it?", was=""),
        replace(case.edit(6, "a cat"), sha256="0" * 64),
        good,
    ]
    applied = case.apply(*edits)
    assert applied.made == 1 and case.sidecar(2).read_text() == "a dog"
    expected = (
        "line 1: nowhere.jpg: is not among the inputs",
        "04.jpg: is stale: it was 'something else', and is 'a picture called 04.jpg' now",
        "05.jpg: has no caption (broken)",
        "06.jpg: has other content since it was edited",
    )
    assert len(applied.problems) == len(expected)
    for problem, told in zip(applied.problems, expected, strict=True):
        assert told in problem and "\n" not in problem


def test_inputs_that_wait_for_the_model_are_no_obstacle(case: Case) -> None:
    (case.photos / "99.jpg").write_text("new")
    before = (case.out / "rows.parquet").read_bytes()
    applied = case.apply(case.edit(2, "a dog"))
    assert (applied.made, applied.summary, applied.problems) == (1, None, [])
    assert case.sidecar(2).read_text() == "a dog" and b'"a dog"' in (case.out / "rows.jsonl").read_bytes()
    assert (case.out / "rows.parquet").read_bytes() == before, "what needs all rows waits for them"
    model = Model()
    assert case.run(model).complete and model.asked == ["99.jpg"]
    assert [row.text for row in read_rows(case.out / "rows.parquet")][2] == "a dog"


def test_a_row_that_failed_and_is_tried_again_by_runs_is_no_obstacle(case: Case) -> None:
    with Journal(case.out / "journal", SETTINGS) as journal:
        [name] = [name for name in journal.entries if name.endswith("05.jpg")]
        item = next(item for item in case.job(Model()).items if item.name == name)
        crashed = Row(name, "error", code="crashed", message=f"{name}: died")
        journal.append([(Finished(item, crashed), item.stamp())])
    applied = case.apply(case.edit(8, "a dog"))
    assert applied.summary and applied.summary.complete and applied.summary.codes["crashed"] == 1
    assert [row.text for row in read_rows(case.out / "rows.parquet")][8] == "a dog"


def test_what_the_model_said_is_kept_once() -> None:
    row = Row("a", text="one", alternatives=("two", "three"), mean_logprob=-1.0, same_as="b")
    picked = edited(row, Edit("a", "two", "one", ""))
    assert picked == Row("a", text="two", alternatives=("one", "three"), edited=True)
    own = edited(picked, Edit("a", "mine", "two", ""))
    assert own.alternatives == ("one", "three"), "a person's text is none of the model's"
    assert edited(own, Edit("a", "one", "mine", "")).alternatives == ("three",)
    answered = replace(row, answers=(("what?", "that"),))
    assert not edited(answered, Edit("a", "", "one", "")).review, "it still says something"


# ---- the file of edits


def line(**more: object) -> str:
    return json.dumps({"name": "a.jpg", "text": "a dog", "was": "a cat", "sha256": "ab" * 32} | more)


def test_edits_are_read_as_the_page_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    odd = "ä\udcff\n.jpg"
    path.write_bytes(b"\xef\xbb\xbf" + (line() + "\r\n\n" + line(name=odd, sha256="", text="")).encode())
    first, second = read_edits(path)
    assert first == Edit("a.jpg", "a dog", "a cat", "ab" * 32) and (first.line, second.line) == (1, 3)
    assert second == Edit(odd, "", "a cat", "")
    path.write_bytes(b"")
    assert read_edits(path) == []


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "line 2: Expecting"),
        ("[]", "line 2: not an object of name, sha256, text, was and nothing else"),
        (line(more=1), "line 2: not an object of"),
        (json.dumps({"name": "a", "text": "b", "was": "c"}), "line 2: not an object of"),
        (line(text=None), "line 2: text is not a text"),
        (line(name=""), "line 2: the name is empty"),
        (line(sha256="xyz"), "line 2: sha256 is not 64 hexadecimal digits"),
        (line(text="other"), "line 2: a.jpg is edited in line 1 already"),
    ],
)
def test_a_line_that_is_no_edit_is_named(tmp_path: Path, bad: str, told: str) -> None:
    path = tmp_path / "edits.jsonl"
    path.write_text(f"{line()}\n{bad}\n")
    with pytest.raises(ConfigError, match="nothing was applied") as error:
        read_edits(path)
    assert told in str(error.value) and "1 problem" in str(error.value)


def test_every_problem_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "edits.jsonl"
    path.write_bytes(b"{\n" + line(name="b").encode() + b"\n\xff\n" + b"[]\n" * 30)
    with pytest.raises(ConfigError) as error:
        read_edits(path)
    text = str(error.value)
    assert "32 problems" in text and "line 2:" not in text
    assert all(f"  - line {number}: " in text for number in (1, 3, 4))
    assert text.endswith("  - and 12 more")
    with pytest.raises(InputError, match="No such file"):
        read_edits(tmp_path / "nowhere.jsonl")


def test_the_journal_tells_the_settings_of_its_last_job(case: Case, tmp_path: Path) -> None:
    path = case.out / "journal"
    assert last_settings(path) == SETTINGS
    with Journal(path, {"beams": 1}):
        assert last_settings(path) == {"beams": 1}
    with path.open("ab") as file:
        file.write(b'{"settings": {"cut')  # by a kill
    assert last_settings(path) == {"beams": 1}
    with pytest.raises(InputError, match="no such journal"):
        last_settings(tmp_path / "nowhere")
    (tmp_path / "empty").write_text("")
    with pytest.raises(InputError, match="no job is in this journal"):
        last_settings(tmp_path / "empty")


def test_a_full_disk_keeps_what_is_there(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = case.edit(2, "a dog")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(PixtellError, match="No space left on device"):
            case.apply(edit)
    assert case.sidecar(2).read_text() == "a picture called 02.jpg"
    assert case.apply(edit).problems == [] and case.sidecar(2).read_text() == "a dog"
