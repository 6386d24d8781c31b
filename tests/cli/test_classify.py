"""`pixtell classify`: labels from options and files, the best first, as the library scores them."""

from __future__ import annotations

from pathlib import Path

import pytest

import pixtell

from .conftest import Run

LABELS = ["dog", "cat", "a red ball", "boy runs", "the man sits", "girl"]


@pytest.fixture
def options(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), *(word for label in LABELS for word in ("--label", label))]


def test_lines_are_label_and_probability(run: Run, options: list[str], tiny_model: Path, photos: list[Path]) -> None:
    expected = pixtell.load(str(tiny_model)).classify(str(photos[0]), LABELS)
    outcome = run("classify", photos[0], *options)
    assert outcome.code == 0
    assert outcome.lines == [f"{score.label}\t{score.probability:.4f}" for score in expected.labels[:5]]
    assert len(run("classify", photos[0], *options, "--top", "2").lines) == 2
    assert len(run("classify", photos[0], *options, "--top", "99").lines) == len(LABELS)


def test_several_inputs_are_named(run: Run, options: list[str], photos: list[Path]) -> None:
    outcome = run("classify", *photos, *options, "--top", "1")
    assert [line.split("\t")[0] for line in outcome.lines] == list(map(str, photos))


def test_json(run: Run, options: list[str], photos: list[Path]) -> None:
    (row,) = run("classify", photos[0], *options, "--top", "3", "--json").objects
    assert list(row) == ["source", "label", "probability", "labels"]
    assert [list(score) for score in row["labels"]] == [["label", "probability", "logprob"]] * 3
    assert (row["label"], row["probability"]) == (row["labels"][0]["label"], row["labels"][0]["probability"])


def test_a_question_changes_the_scores(run: Run, options: list[str], photos: list[Path]) -> None:
    asked = run("classify", photos[0], *options, "--question", "who plays?", "--json")
    assert asked.objects != run("classify", photos[0], *options, "--json").objects


def test_labels_from_a_file_and_from_standard_input(
    run: Run, options: list[str], tiny_model: Path, photos: list[Path], tmp_path: Path
) -> None:
    text = "\ufeff" + "\n\n".join(f"  {label} " for label in LABELS) + "\r\n"
    names = tmp_path / "names.txt"
    names.write_bytes(text.encode())
    expected = run("classify", photos[0], *options).out
    model = ["--model", tiny_model]
    assert run("classify", photos[0], "--labels", names, *model).out == expected
    assert run("classify", photos[0], "--labels", "-", *model, stdin=text.encode()).out == expected
    both = run("classify", photos[0], "--label", "snow", "--labels", names, *model, "--top", "9")
    assert len(both.lines) == len(LABELS) + 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\n \n", "it holds no labels"), (b"dog\n\xff\n", "not UTF-8 text (byte 4)")],
)
def test_a_file_without_labels(
    run: Run, photos: list[Path], tmp_path: Path, content: bytes | None, message: str
) -> None:
    names = tmp_path / "names.txt"
    if content is not None:
        names.write_bytes(content)
    outcome = run("classify", photos[0], "--labels", names)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"pixtell: {names}: ")
    assert message in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photo.jpg"], "labels are missing"),
        (["-", "--labels", "-"], "standard input can't hold both"),
    ],
)
def test_labels_must_be_given(run: Run, words: list[str], message: str) -> None:
    outcome = run("classify", *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_labels_that_are_the_same_to_the_model(run: Run, tiny_model: Path, photos: list[Path]) -> None:
    outcome = run("classify", photos[0], "--label", "dog", "--label", "DOG", "--model", tiny_model)
    assert (outcome.code, outcome.out) == (2, "")
    assert "'dog' and 'DOG' are the same to the model" in outcome.err
