"""Scoring: what is missing is counted, named and never scored; two systems are compared item by item."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pixtell.data.dataset import Dataset, Problem
from pixtell.data.row import Question, Row
from pixtell.errors import ConfigError, InputError
from pixtell.evaluation.predictions import Prediction, Predictions
from pixtell.evaluation.score import compare, referenced, references_digest, score

ROWS = tuple(
    Row(f"{n}", captions=(f"a dog number {n} runs .", f"the dog of {n} , running", "a running dog")) for n in range(6)
)
CAPTIONS = Dataset("made", ROWS, ())
ASKED = Dataset(
    "asked",
    tuple(
        Row(
            f"p{n}",
            questions=(
                Question(f"p{n}#0", "how many ?", (str(n),), "number", "how many"),
                Question(f"p{n}#1", "is it red ?", ("yes",), "yes/no", "is it"),
            ),
        )
        for n in range(4)
    ),
    (),
)


def said(texts: dict[str, str], *more: Prediction) -> Predictions:
    return Predictions(Path("p.jsonl"), None, (*(Prediction(name, text) for name, text in texts.items()), *more))


def captions(change: str = "") -> dict[str, str]:
    return {row.id: f"a dog number {row.id} runs{change}" for row in ROWS}


def test_perfect_captions() -> None:
    found = score(said(captions()), CAPTIONS)
    values = {measure.name: measure.value for measure in found.measures}
    assert list(values) == ["CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"]
    assert values["BLEU-4"] == pytest.approx(1) and values["ROUGE-L"] == pytest.approx(1)
    assert found.complete and not found.problems and found.expected == 6
    assert all(i.low <= m.value <= i.high for m, i in zip(found.measures, found.intervals, strict=True))


def test_what_is_missing_is_named_and_not_scored() -> None:
    texts = captions()
    del texts["2"]
    found = score(
        said(texts, Prediction("2", error="2.jpg: broken", code="broken"), Prediction("99", "a cat")), CAPTIONS
    )
    assert [(problem.code, problem.where) for problem in found.problems] == [("failed", "2"), ("unreferenced", "99")]
    assert (found.complete, len(found.items), found.expected) == (False, 5, 6)
    assert found.measures[1].value == pytest.approx(1), "an item without a text is not scored as wrong"
    without = score(said(texts), CAPTIONS)
    assert [(problem.code, problem.where) for problem in without.problems] == [("unpredicted", "2")]
    assert not without.complete


def test_an_id_without_references_does_not_make_it_partial() -> None:
    found = score(said({**captions(), "99": "a cat"}), CAPTIONS)
    assert found.complete and [problem.code for problem in found.problems] == ["unreferenced"]


def test_a_data_set_that_was_not_read_whole_is_partial() -> None:
    broken = replace(CAPTIONS, problems=(Problem("broken", "x.jsonl:3", "x.jsonl: line 3 is not JSON"),))
    assert not score(said(captions()), broken).complete


def test_questions_are_grouped() -> None:
    texts = {f"p{n}#0": "1" for n in range(4)} | {f"p{n}#1": "Yes" for n in range(4)}
    found = score(said(texts), ASKED)
    assert [measure.name for measure in found.measures] == ["exact match", "ANLS"]
    assert found.measures[0].value == pytest.approx(5 / 8)
    groups = {(group.kind, group.name): group.measure.value for group in found.groups}
    assert groups == {
        ("answer type", "number"): 0.25,
        ("answer type", "yes/no"): 1.0,
        ("question type", "how many"): 0.25,
        ("question type", "is it"): 1.0,
    }
    assert found.clusters == [f"p{n // 2}" for n in range(8)]


def test_ten_answers_are_voted_on() -> None:
    question = Question("q", "what ?", ("cat",) * 3 + ("dog",) * 7)
    found = score(said({"q": "a cat"}), Dataset("vqa", (Row("r", questions=(question,)),), ()))
    assert found.measures[0].name == "VQA accuracy"
    assert found.measures[0].value == pytest.approx((7 * 1 + 3 * 2 / 3) / 10)


def test_labels_and_words() -> None:
    rows = tuple(Row(name, label=name) for name in ("tabby_cat", "stop"))
    texts = said({"tabby_cat": "Tabby cat", "stop": "a stop sign"})
    found = score(texts, Dataset("labels", rows, ()))
    assert [round(measure.value, 2) for measure in found.measures] == [0.5, 1.0]
    words = score(said({"tabby_cat": "TABBY-CAT!", "stop": "shop"}), Dataset("words", rows, ()), "scene-text")
    assert [measure.value for measure in words.measures] == [0.5]


def test_nothing_to_score_says_why() -> None:
    with pytest.raises(InputError, match=r"none of its 1 ids is among the 6 of made \(there '0', here 'x'\)"):
        score(said({"x": "a"}), CAPTIONS)
    with pytest.raises(InputError, match="all 1 predictions failed"):
        score(said({}, Prediction("1", error="no", code="missing")), CAPTIONS)
    with pytest.raises(InputError, match="none of its 1 rows has captions"):
        score(said({"x": "a"}), Dataset("bare", (Row("x"),), ()), "caption")
    with pytest.raises(ConfigError, match="are for captions"):
        score(said({"p0#0": "1"}), ASKED, also=["METEOR"])


def test_the_digest_of_references_does_not_depend_on_their_file() -> None:
    items = referenced(CAPTIONS, "caption")
    assert references_digest(items) == references_digest(items[::-1])
    other = Dataset("made", (*ROWS[:5], replace(ROWS[5], captions=("a cat",))), ())
    assert references_digest(items) != references_digest(referenced(other, "caption"))


def test_two_systems_are_compared_on_what_both_said() -> None:
    good, worse = captions(), captions(" in a tree")
    del good["0"], worse["5"]
    found = compare(score(said(good), CAPTIONS), score(said(worse), CAPTIONS))
    rouge = next(one for one in found if one.name == "ROUGE-L")
    assert rouge.difference < 0 and rouge.high < 0
    alone = [score(said({name: texts[name] for name in "1234"}), CAPTIONS) for texts in (good, worse)]
    assert [m.value for m in alone[0].measures if m.name == "ROUGE-L"] == [pytest.approx(rouge.a)]
    with pytest.raises(ConfigError, match="other references"):
        compare(score(said(good), CAPTIONS), score(said({"p0#0": "1"}), ASKED))
    assert json.dumps(found[0].difference)
