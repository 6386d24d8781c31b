"""`pixtell ask`: how words become inputs and questions, and that an input is encoded once for all its questions."""

from __future__ import annotations

from pathlib import Path

import pytest

import pixtell
from pixtell.cli.ask import split_words
from pixtell.errors import ConfigError
from pixtell.model import GitModel

from .conftest import Run

WHAT, WHO = "what is the dog?", "who plays on the red grass?"


def test_one_question_about_one_photo_is_the_answer_alone(
    run: Run, tiny: list[str], tiny_model: Path, photos: list[Path]
) -> None:
    expected = pixtell.load(str(tiny_model)).ask(str(photos[0]), WHAT, max_new_tokens=6).text
    outcome = run("ask", photos[0], WHAT, *tiny)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{expected}\n", "")
    assert run("ask", photos[0], "-q", WHAT, *tiny).out == outcome.out


def test_columns_tell_lines_apart(run: Run, tiny: list[str], photos: list[Path]) -> None:
    inputs, questions = photos[:2], [WHAT, WHO]
    answer = {(one, question): run("ask", one, question, *tiny).out.strip() for one in inputs for question in questions}
    several_inputs = run("ask", *inputs, WHAT, *tiny)
    assert several_inputs.lines == [f"{one}\t{answer[one, WHAT]}" for one in inputs]
    several_questions = run("ask", inputs[0], "-q", WHAT, "-q", WHO, *tiny)
    assert several_questions.lines == [f"{question}\t{answer[inputs[0], question]}" for question in questions]
    both = run("ask", *inputs, "-q", WHAT, "-q", WHO, *tiny)
    assert both.lines == [f"{one}\t{question}\t{answer[one, question]}" for one in inputs for question in questions]


def test_json_tells_input_and_question_first(run: Run, tiny: list[str], photos: list[Path]) -> None:
    rows = run("ask", *photos, "-q", WHAT, "-q", WHO, *tiny, "--json").objects
    assert [(row["source"], row["question"]) for row in rows] == [(str(p), q) for p in photos for q in (WHAT, WHO)]
    assert list(rows[0])[:3] == ["source", "question", "text"]


def test_an_input_is_encoded_once(
    run: Run, tiny: list[str], photos: list[Path], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = GitModel.see
    monkeypatch.setattr(
        GitModel, "see", lambda self, pixels, **more: (seen.append(len(pixels)), real(self, pixels, **more))[1]
    )
    questions = [word for number in range(10) for word in ("-q", f"what is {'the ' * number}dog?")]
    assert run("ask", *photos, clip, *questions, *tiny).code == 0
    assert sum(seen) == 4


def test_a_bad_input_fails_once_whatever_the_questions(run: Run, tiny: list[str], photos: list[Path]) -> None:
    outcome = run("ask", "missing.jpg", photos[0], "-q", WHAT, "-q", WHO, *tiny, "--json")
    assert outcome.code == 1
    assert [row.get("code") for row in outcome.objects] == ["missing", None, None]


def test_a_streamed_answer(run: Run, tiny: list[str], photos: list[Path]) -> None:
    streamed = run("ask", photos[0], WHAT, *tiny, "--stream")
    assert (streamed.code, streamed.out) == (0, run("ask", photos[0], WHAT, *tiny, "--beams", "1").out)
    assert run("ask", photos[0], "-q", WHAT, "-q", WHO, *tiny, "--stream").code == 2


@pytest.mark.parametrize(
    ("words", "questions", "expected"),
    [
        (["a.jpg", "why?"], [], (["a.jpg"], ["why?"])),
        (["a.jpg", "b.jpg", "why?"], [], (["a.jpg", "b.jpg"], ["why?"])),
        (["a.jpg", "b.jpg"], ["why?"], (["a.jpg", "b.jpg"], ["why?"])),
        (["a.jpg"], ["why?", "who?"], (["a.jpg"], ["why?", "who?"])),
    ],
)
def test_the_last_word_is_the_question_unless_q_gives_it(
    words: list[str], questions: list[str], expected: tuple[list[str], list[str]]
) -> None:
    assert split_words(words, questions) == expected


@pytest.mark.parametrize(
    ("words", "questions", "message"),
    [
        (["a.jpg"], [], "a question is missing: pixtell ask a.jpg"),
        (["a.jpg", " "], [], "a question is empty"),
        (["a.jpg"], ["why?", ""], "a question is empty"),
    ],
)
def test_a_question_must_be_there(words: list[str], questions: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_words(words, questions)


def test_a_file_is_not_a_question(run: Run, photos: list[Path]) -> None:
    outcome = run("ask", photos[0], photos[1])
    assert (outcome.code, outcome.out) == (2, "")
    assert "the last word is the question" in outcome.err
