"""Predicting a data set: the texts are the library's, whatever the batch, the stops between, and the bad inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_data

import pixtell
from pixtell.captioner import Captioner
from pixtell.config import DecodeOptions
from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.opened import Looks
from pixtell.errors import ConfigError
from pixtell.evaluation.predict import describe_run, items_of, predict, task_of
from pixtell.evaluation.predictions import Prediction, Predictions, Task, read_predictions

OPTIONS = DecodeOptions(beams=2, max_new_tokens=6)


@pytest.fixture(scope="module")
def captioner(tiny_model: Path) -> Captioner:
    return pixtell.load(str(tiny_model), batch_size=3)


@pytest.fixture
def captions(tmp_path: Path) -> Dataset:
    return open_dataset([tiny_data.captions_tar(tmp_path / "captions.tar")])


def run_all(
    captioner: Captioner, dataset: Dataset, path: Path, task: Task | None = None, **changes: object
) -> Predictions:
    found = task_of(dataset, task)
    items = items_of(dataset, found)
    steps = changes.pop("max_steps", None)
    run = describe_run(captioner, items, found, OPTIONS, max_steps=steps)  # type: ignore[arg-type]
    predict(captioner, items, run, path, **changes)  # type: ignore[arg-type]
    return read_predictions(path)


def test_captions_are_those_of_the_library(captioner: Captioner, captions: Dataset, tmp_path: Path) -> None:
    found = run_all(captioner, captions, tmp_path / "p.jsonl")
    assert [one.id for one in found.items] == [row.id for row in captions.rows]
    for row, one in zip(captions.rows, found.items, strict=True):
        assert row.media is not None
        alone = captioner.caption(row.media.read(), OPTIONS)
        assert one.text == alone.text
        assert one.mean_logprob == pytest.approx(alone.mean_logprob, rel=1e-3)
    assert len({one.text for one in found.items}) > 1
    assert len({one.media for one in found.items}) == len(found.items)


def test_questions_are_asked_of_their_picture(captioner: Captioner, tmp_path: Path) -> None:
    dataset = open_dataset([tiny_data.questions_tar(tmp_path / "questions.tar")])
    found = run_all(captioner, dataset, tmp_path / "p.jsonl")
    for row, one in zip(dataset.rows, found.items, strict=True):
        assert row.media is not None
        assert (one.row, one.question) == (row.id, row.questions[0].text)
        assert one.text == captioner.ask(row.media.read(), one.question, OPTIONS).text


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_a_stopped_run_goes_on_and_repeats_nothing(
    captioner: Captioner, captions: Dataset, tmp_path: Path, stop_after: int
) -> None:
    whole = run_all(captioner, captions, tmp_path / "whole.jsonl")

    class Stop(Exception):
        pass

    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls > stop_after:
            raise Stop

    path = tmp_path / "stopped.jsonl"
    with pytest.raises(Stop):
        run_all(captioner, captions, path, on_progress=stop)
    told: list[int] = []
    resumed = run_all(captioner, captions, path, on_progress=lambda done, total: told.append(done))
    assert told[0] == min(3 * stop_after, 8)
    assert [replace(one, seconds=None) for one in resumed.items] == [replace(one, seconds=None) for one in whole.items]
    assert len(path.read_text().splitlines()) == 1 + len(captions.rows)
    before = path.read_bytes()
    assert run_all(captioner, captions, path) == resumed
    assert path.read_bytes() == before


def test_a_bad_picture_costs_only_itself(captioner: Captioner, tmp_path: Path) -> None:
    good = tiny_data.png(tiny_data.drawing("red", "disc"))
    files = [("a.png", good), ("b.png", good[:60]), ("c.png", good), ("d.png", b"no picture")]
    tar = tiny_data.write_tar(
        tmp_path / "some.tar",
        [file for name, content in files for file in ((name, content), (f"{name[0]}.json", {"captions": ["a"]}))],
    )
    path = tmp_path / "p.jsonl"
    found = run_all(captioner, open_dataset([tar]), path)
    assert [(one.id, one.code) for one in found.items] == [
        ("a", ""),
        ("b", "truncated"),
        ("c", ""),
        ("d", "unsupported"),
    ]
    assert found.items[1].error.startswith("b.png: ")
    lines = len(path.read_text().splitlines())
    run_all(captioner, open_dataset([tar]), path)
    assert len(path.read_text().splitlines()) == lines, "a failure is not tried again unasked"
    run_all(captioner, open_dataset([tar]), path, retry_failed=True)
    assert len(path.read_text().splitlines()) == lines + 2


def test_a_batch_that_fails_is_done_again_one_by_one(
    captioner: Captioner, captions: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run_all(captioner, captions, tmp_path / "whole.jsonl").items
    bad = captions.rows[4].media
    assert bad is not None
    encode = captioner.encode

    def touchy(media: list[pixtell.Media], **options: object) -> object:
        if any(one.source == bad.name for one in media):
            raise pixtell.InputError("too_narrow", f"{bad.name}: narrow")
        return encode(media, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(captioner, "encode", touchy)
    found = run_all(captioner, captions, tmp_path / "p.jsonl").items
    assert found[4].error == f"{bad.name}: narrow"
    assert [one.text for place, one in enumerate(found) if place != 4] == [
        one.text for place, one in enumerate(expected) if place != 4
    ]


def test_a_limit_of_steps_counts_the_prompt(captioner: Captioner, tmp_path: Path) -> None:
    """As the authors count: the text has what the prompt leaves of the steps, less the last."""
    questions = ["what", "what is it ?", "who is in the snow ?"]
    qa = [{"question": question, "answer": "dog"} for question in questions]
    files = [("a.png", tiny_data.png(tiny_data.drawing("red", "disc"))), ("a.json", {"qa": qa})]
    dataset = open_dataset([tiny_data.write_tar(tmp_path / "q.tar", files)])
    found = run_all(captioner, dataset, tmp_path / "p.jsonl", max_steps=12)
    media = dataset.rows[0].media
    assert media is not None
    for question, one in zip(questions, found.items, strict=True):
        room = 12 - 1 - len(captioner.tokenizer.prompt(question))
        assert one.text == captioner.ask(media.read(), question, OPTIONS, max_new_tokens=room).text


def test_the_task_is_that_of_the_data(captions: Dataset, tmp_path: Path) -> None:
    questions = open_dataset([tiny_data.questions_tar(tmp_path / "questions.tar")])
    both = replace(captions, rows=(*captions.rows, *questions.rows))
    assert (task_of(captions), task_of(questions), task_of(both, "question")) == ("caption", "question", "question")
    with pytest.raises(ConfigError, match="captions and questions: say which with --task"):
        task_of(both)
    with pytest.raises(ConfigError, match="has no questions"):
        task_of(captions, "question")


def test_a_row_without_a_picture_says_what_is_missing(captioner: Captioner, captions: Dataset, tmp_path: Path) -> None:
    dataset = replace(captions, rows=(replace(captions.rows[0], media=None),))
    (one,) = run_all(captioner, dataset, tmp_path / "p.jsonl").items
    assert one.code == "missing" and "--media" in one.error


def test_looks_are_part_of_the_run(captioner: Captioner, captions: Dataset) -> None:
    items = items_of(captions, "caption")
    run = describe_run(captioner, items, "caption", OPTIONS)
    assert run.differences(describe_run(captioner, items, "caption", OPTIONS, source=["other.tar"])) == []
    assert run.differences(describe_run(captioner, items, "caption", OPTIONS, Looks(frames=2))) == [
        "looks.frames: 0 in the file, 2 now"
    ]
    assert len(run.differences(describe_run(captioner, items[:-1], "caption", OPTIONS))) == 2
    assert isinstance(Prediction("1").line(), str)
