"""Questions from captions: few, balanced, always the same, and held out with their pictures."""

from __future__ import annotations

import math
import ntpath
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_data import noise, png, write_tar

from pixtell.data import questions
from pixtell.data.dataset import open_dataset
from pixtell.data.example import TextPair
from pixtell.data.questions import (
    MOST,
    Corpus,
    MadeQuestions,
    ask_rows,
    asked_of,
    blind_share,
    held_out_target,
    questions_of,
    told,
)
from pixtell.data.row import Question, Row
from pixtell.data.written import write_rows
from pixtell.errors import ConfigError, InputError

FLICKR = Path(__file__).resolve().parents[3] / "shared" / "data" / "flickr8k"
COLORS = ["brown"] * 6 + ["black"] * 2 + ["white", "gray"]  # of ten dogs


def captions(draw: random.Random) -> tuple[str, ...]:
    """A picture of a dog or a boy, most dogs brown, told three times."""
    if draw.random() < 0.5:
        color, place = draw.choice(COLORS), draw.choice(["snow", "grass", "water"])
        return (f"A {color} dog runs in the {place} .", f"a {color} dog", f"The {color} dog is running in {place}")
    thing, way = draw.choice(["ball", "stick", "sign", "camera"]), draw.choice(["sits", "jumps"])
    return (f"A boy holds a {thing} .", f"a boy {way} and holds a {thing}", f"The boy {way}")


def pictures(count: int, seed: int = 1) -> list[Row]:
    draw = random.Random(seed)
    return [Row(str(number), captions=captions(draw)) for number in range(count)]


def counts(made: MadeQuestions) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for row in made.learnt:
        for question in row.questions:
            found.setdefault(question.question_type, Counter())[question.answers[0]] += 1
    return found


def test_the_same_picture_is_asked_the_same() -> None:
    rows = pictures(300)
    corpus = Corpus.of([row.captions for row in rows], seed=3)
    asked = [questions_of(row.captions, row.id, corpus) for row in rows]
    backwards = [questions_of(row.captions, row.id, corpus) for row in reversed(rows)]
    assert asked == backwards[::-1] and all(isinstance(pair, TextPair) for pairs in asked for pair in pairs)
    other = Corpus.of([row.captions for row in rows], seed=4)
    assert asked != [questions_of(row.captions, row.id, other) for row in rows]
    assert len({questions_of(rows[0].captions, str(key), corpus) for key in range(20)}) > 1


def test_few_of_each_kind() -> None:
    rows = pictures(400)
    corpus = Corpus.of([row.captions for row in rows])
    for row in rows:
        kinds = Counter(asked.kind for asked in asked_of(row.captions, row.id, corpus))
        assert all(count <= MOST[kind] for kind, count in kinds.items())


def test_no_answer_has_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six dogs in ten are brown; of the questions for a dog's colour four in ten are answered so, and so on."""
    monkeypatch.setattr(questions, "COMMONEST", 1.0)
    monkeypatch.setitem(questions.MOST, "yes/no", 99)  # which of them are left out depends on what else is asked
    found = counts(ask_rows(pictures(1500)))
    color, there = found["color dog"], found["is there a dog?"]
    assert color["brown"] / color.total() == pytest.approx(0.4, abs=0.08), "of 0.6"
    assert set(color) == {"brown", "black", "white", "gray"}
    assert there["yes"] / there.total() == pytest.approx(0.5, abs=0.05)
    assert "number dog" not in found, "the answer is always one"


def test_frequent_questions_are_limited() -> None:
    found = counts(ask_rows(pictures(1500)))
    assert max(count for answers in found.values() for count in answers.values()) < 0.035 * 1500


def test_pictures_are_held_out_whole() -> None:
    rows = pictures(500)
    made = ask_rows(rows, hold_out=40)
    learnt, held_out = ([row.id for row in part] for part in (made.learnt, made.held_out))
    assert len(held_out) == 40 and not set(learnt) & set(held_out)
    assert all(row.questions and not row.captions for row in (*made.learnt, *made.held_out))
    assert learnt == sorted(learnt, key=int) and held_out == sorted(held_out, key=int)
    whole = ask_rows(rows)
    assert {row.id: row for row in whole.learnt} == {row.id: row for row in (*made.learnt, *made.held_out)}
    assert set(ask_rows(rows, hold_out=20).held_out) < set(made.held_out), "more held out are the same and others"


def test_what_can_not_be() -> None:
    with pytest.raises(InputError, match="no questions can be made"):
        ask_rows([Row("1", captions=("hm",))])
    with pytest.raises(ConfigError, match=r"hold_out must be in 0\.\."):
        ask_rows(pictures(50), hold_out=50)


def row(key: str, *asked: tuple[str, str, str]) -> Row:
    return Row(key, questions=tuple(Question(key, text, (answer,), "kind", pattern) for text, pattern, answer in asked))


def test_blind_answers_by_hand() -> None:
    """Of a known question its own most frequent answer, of another its pattern's: 2 of 3 are right."""
    learnt = (row("1", ("q", "p", "a"), ("r", "p", "b")), row("2", ("q", "p", "a"), ("r", "p", "b"), ("r", "p", "b")))
    held_out = (row("3", ("q", "p", "a"), ("q", "p", "c"), ("new", "p", "b")),)
    assert blind_share(MadeQuestions(learnt, held_out)) == pytest.approx(2 / 3)
    assert blind_share(MadeQuestions(learnt, (row("3", ("new", "new", "b")),))) == 1.0
    assert math.isnan(blind_share(MadeQuestions(learnt, ())))


def test_the_report_for_people() -> None:
    lines = told(ask_rows(pictures(600), hold_out=50)).splitlines()
    assert lines[0].startswith("to learn from: ") and lines[1].startswith("held out: 50 pictures, ")
    assert "the most frequent answers, without a picture, are right for" in lines[2]
    assert len(told(ask_rows(pictures(600))).splitlines()) == 2


@pytest.mark.parametrize(
    ("target", "beside"),
    [("a.jsonl", "held-out-a.jsonl"), ("out/q-%06d.tar", "out/held-out-q-%06d.tar")],
)
def test_where_held_out_rows_go(target: str, beside: str) -> None:
    assert held_out_target(target) == beside


def test_where_held_out_rows_go_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "os", SimpleNamespace(path=ntpath))
    assert held_out_target(r"C:\out\q-%06d.tar") == r"C:\out\held-out-q-%06d.tar"
    assert held_out_target("q.jsonl") == "held-out-q.jsonl"


def test_rows_are_written_and_read(tmp_path: Path) -> None:
    said = {"captions": list(captions(random.Random(1)))}
    files = [file for key in range(30) for file in ((f"{key}.png", png(noise((9, 9), key))), (f"{key}.json", said))]
    dataset = open_dataset([write_tar(tmp_path / "in.tar", files)])
    made = ask_rows([*dataset.rows, *pictures(200)])
    own = [row for row in made.learnt if row.media is not None]
    write_rows(own, str(tmp_path / "out-%06d.tar"))
    back = open_dataset([tmp_path / "out-000000.tar"])
    assert not back.problems and [row.questions for row in back.rows] == [row.questions for row in own] and own


def test_real_captions() -> None:
    """A share of Flickr8k: balanced questions of every kind, which the most frequent answers don't answer."""
    if not FLICKR.is_dir():
        pytest.skip(f"no {FLICKR}: captions of Flickr8k are not part of the project")
    made = ask_rows(open_dataset([FLICKR / "val-000.tar", FLICKR / "train-000.tar"]).rows, hold_out=200)
    kinds = Counter(question.answer_type for row in made.learnt for question in row.questions)
    assert set(kinds) == set(MOST) and kinds["yes/no"] < 0.75 * kinds.total()
    assert kinds.total() > len(made.learnt) and blind_share(made) < 0.5
    answers = Counter(question.answers[0] for row in made.learnt for question in row.questions)
    assert answers["yes"] / (answers["yes"] + answers["no"]) == pytest.approx(0.5, abs=0.05)
