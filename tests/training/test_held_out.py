"""Rows that are looked at and not learnt: always the same ones, in no stream, none of them broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_data import captions_tar, drawing, png, texts_tar, write_tar

from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.sources import RowSource, texts_of
from pixtell.errors import ConfigError
from pixtell.training.held_out import hold_out, with_captions, with_questions


def keys(dataset: Dataset) -> set[str]:
    return {row.id for row in dataset.rows}


def test_what_is_held_out_is_learnt_by_no_stream(tmp_path: Path) -> None:
    whole = open_dataset([captions_tar(tmp_path / "a.tar")])
    learnt, held = hold_out([whole, whole], 3)
    assert len(held.rows) == 3 and [len(one.rows) for one in learnt] == [5, 5]
    assert keys(held) | keys(learnt[0]) == keys(whole) and not keys(held) & keys(learnt[1])


def test_the_names_decide_not_the_order_and_growth_moves_few(tmp_path: Path) -> None:
    few = open_dataset([texts_tar(tmp_path / "a.tar", [(f"p{n}", {"caption": "a disc"}) for n in range(20)])])
    turned = Dataset("turned", few.rows[::-1])
    assert keys(hold_out([few], 4)[1]) == keys(hold_out([turned], 4)[1])
    grown = open_dataset([texts_tar(tmp_path / "b.tar", [(f"p{n}", {"caption": "a disc"}) for n in range(25)])])
    assert len(keys(hold_out([grown], 5)[1]) & keys(hold_out([few], 4)[1])) >= 3
    assert keys(hold_out([few], 4)[1]) != {f"p{n}" for n in range(4)}


def test_broken_pictures_and_rows_without_texts_are_not_held_out(tmp_path: Path) -> None:
    texts = [(f"p{n}", {"caption": "a disc"} if n % 2 else {"caption": ""}) for n in range(12)]
    dataset = open_dataset([texts_tar(tmp_path / "a.tar", texts, broken=[f"p{n}" for n in (1, 3, 5)])])
    _, held = hold_out([dataset], 5)
    assert keys(held) == {"p7", "p9", "p11"}


def test_something_is_left_to_learn(tmp_path: Path) -> None:
    dataset = open_dataset([captions_tar(tmp_path / "a.tar")])
    with pytest.raises(ConfigError, match="8 rows of a would leave none of its 8 to learn"):
        hold_out([dataset], 8)
    assert len(hold_out([dataset], 7)[0][0].rows) == 1


def test_captions_and_questions_are_looked_at_apart(tmp_path: Path) -> None:
    both = {"caption": "a disc", "qa": [{"question": "is it red ?", "answer": "red"}]}
    unanswered = {"qa": [{"question": "what is it ?"}], "caption": "a square"}
    picture = png(drawing("red", "disc"))
    files = [("1.png", picture), ("1.json", both), ("2.png", picture), ("2.json", unanswered)]
    dataset = open_dataset([write_tar(tmp_path / "a.tar", files)])  # type: ignore[arg-type]
    described, asked = with_captions(dataset), with_questions(dataset)
    assert [[pair.target for pair in texts_of(row)] for row in described.rows] == [["a disc"], ["a square"]]
    assert [(pair.prompt, pair.target) for pair in RowSource(asked).texts()] == [("is it red ?", "red")]
