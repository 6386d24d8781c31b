"""The text beside a picture: how it is joined to what was there, and read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.batch.caption_text import caption_text, joined, row_of_txt, txt, txt_holds, txt_onto
from pixtell.batch.output import OnExisting
from pixtell.batch.row import Row


@pytest.mark.parametrize(
    ("before", "text", "on_existing", "expected"),
    [
        ("1girl, solo", "a dog", "append", "1girl, solo, a dog"),
        ("1girl, solo\n", "a dog", "prepend", "a dog, 1girl, solo"),
        (" \n", "a dog", "append", "a dog"),
        ("mine", "", "prepend", "mine"),
        ("mine", "a dog", "overwrite", "a dog"),
        ("mine", "who?\ta dog", "append", "mine\nwho?\ta dog"),
        ("one\ntwo", "a dog", "prepend", "a dog\none\ntwo"),
    ],
)
def test_joining(before: str, text: str, on_existing: OnExisting, expected: str) -> None:
    assert joined(before, text, on_existing) == expected


@given(st.text(st.sampled_from("ab é\udce9,🙂"), min_size=1), st.lists(st.tuples(st.text("ab"), st.text("ab"))))
def test_texts_and_answers_come_back(text: str, answers: list[tuple[str, str]]) -> None:
    row = Row("a", text=text, answers=tuple(answers))
    content = txt(row)
    assert content is not None and not content.endswith((b"\n", b"\r"))
    assert row_of_txt(content, "a") == row
    assert txt_onto(b"mine", row, "overwrite") == content


def test_rows_that_say_nothing() -> None:
    assert txt(Row("a")) is None
    assert not txt_holds(b"") and not txt_holds(b" \r\n") and not txt_holds(b"\xef\xbb\xbf\n") and txt_holds(b"a")
    assert caption_text(Row("a", labels=(("a\tdog", 1 / 3),))) == "a dog\t0.33333"
