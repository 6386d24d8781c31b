"""What an object says: captions, questions, labels, in every spelling, as they are written."""

from __future__ import annotations

from typing import Any

import pytest

from pixtell.data.formats.description import add_texts, answers_of
from pixtell.data.formats.entry import Entry, Misshapen
from pixtell.data.formats.table import Draft, RowTable


def described(*values: dict[str, Any]) -> Draft:
    table = RowTable()
    draft = table.row("p", "here")
    for value in values:
        add_texts(table, draft, "here", Entry(value))
    return draft


def test_captions_and_labels() -> None:
    draft = described({"captions": ["A dog .", "b_c"], "caption": "d"}, {"caption": ["e"]}, {"word": "STOP"})
    assert (draft.captions, draft.label) == (["A dog .", "b_c", "d", "e"], "STOP")
    assert described({"label": 0}).label == "0"
    assert described({"captions": None, "caption": None, "width": 3}).is_bare
    with pytest.raises(Misshapen, match="gives p the label 'cat', which has 'dog'"):
        described({"label": "dog"}, {"label": "cat"})


def test_questions() -> None:
    draft = described(
        {"qa": [{"question": "a?", "answer": "x_y"}, {"question": "b?", "question_id": 3, "question_type": "what"}]},
        {"question": "c?", "answers": [], "answer_type": "number"},
    )
    assert [(one.id, one.text, one.answers) for one in draft.questions] == [
        ("p#0", "a?", ("x_y",)),
        ("3", "b?", ()),
        ("p#2", "c?", ()),
    ]
    assert (draft.questions[1].question_type, draft.questions[2].answer_type) == ("what", "number")
    with pytest.raises(Misshapen, match="has no `question`"):
        described({"qa": [{"answer": "x"}]})


@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ({"answer": "a"}, ["a"]),
        ({"answer": ["a", "b"]}, ["a", "b"]),
        ({"answer": ""}, []),
        ({}, []),
        ({"answers": ["a", "", 3]}, ["a", "", "3"]),
        ({"answers": [{"answer": "a"}, {"answer": ""}], "answer": "no"}, ["a", ""]),
        ({"answers": "a"}, ["a"]),
    ],
)
def test_answers(value: dict[str, Any], answers: list[str]) -> None:
    assert answers_of(Entry(value)) == answers
