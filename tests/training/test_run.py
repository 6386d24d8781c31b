"""What a run file names, put together: streams, of which some ask about their captions. (The rest: test_main.py.)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_data import VOCAB, captions_lines, captions_tar, noise, png, questions_tar, texts_tar

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.cli.main import main
from pixtell.data.dataset import open_dataset
from pixtell.data.sources import RowSource
from pixtell.errors import ConfigError, InputError
from pixtell.training.config import RunConfig
from pixtell.training.run import (
    Judges,
    Rows,
    objective_of,
    open_data,
    open_streams,
    put_together,
    rows_to_look_at,
    run_training,
)
from pixtell.training.run_file import load_stages
from pixtell.training.scst import Reward

from .tiny_runs import CONFIG, fresh_model, quiet, workplace


def streams_of(folder: Path, *streams: dict[str, object], held_out: int = 0) -> list[RowSource]:
    run = RunConfig.model_validate({"steps": 1, "streams": streams, "validation": {"held_out": held_out}})
    return [stream.source for stream in open_streams(run, folder / "run.toml", quiet)[0]]


def test_an_asked_stream_is_what_pixtell_data_ask_writes(tmp_path: Path) -> None:
    captions = captions_lines(tmp_path)
    assert main(["data", "ask", str(captions), "-o", str(tmp_path / "questions.jsonl")]) == 0
    written = RowSource(open_dataset([tmp_path / "questions.jsonl"]))
    plain, asked = streams_of(tmp_path, {"data": "captions.jsonl"}, {"data": "captions.jsonl", "ask": True})
    assert asked.name == "captions asked" and len(asked) == len(written) < len(plain) == 120
    for row in range(len(asked)):
        assert (asked.key(row), asked.row_texts(row)) == (written.key(row), written.row_texts(row))
        assert asked[row].image == written[row].image
    assert all(pair.prompt for pair in asked.texts()) and len({pair.target for pair in asked.texts()}) > 5
    assert plain.texts() == RowSource(open_dataset([captions])).texts(), "and the other stream is as it was"


def test_what_is_held_out_of_the_first_stream_is_asked_about_by_none(tmp_path: Path) -> None:
    captions_lines(tmp_path)
    both = ({"data": "captions.jsonl"}, {"data": "captions.jsonl", "ask": True})
    plain, asked = streams_of(tmp_path, *both, held_out=30)
    names = {plain.key(row) for row in range(len(plain))}
    assert len(names) == 90 and {asked.key(row) for row in range(len(asked))} < names


def looked_at(folder: Path, **validation: object) -> Rows:
    run = RunConfig.model_validate({"steps": 1, "streams": [{"data": "unused"}], "validation": validation})
    return rows_to_look_at(run, folder / "run.toml", None, quiet)


def karpathy(folder: Path) -> None:
    """Three pictures in a folder of their own, of which one is of the validation part."""
    (folder / "pictures").mkdir()
    images = []
    for number, split in enumerate(["train", "val", "test"]):
        (folder / "pictures" / f"{number}.png").write_bytes(png(noise((20, 20), number)))
        raw = {"raw": f"a {split} dog"}
        images.append({"cocoid": number, "filename": f"{number}.png", "split": split, "sentences": [raw]})
    (folder / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))


def test_a_part_of_a_file_with_pictures_elsewhere_is_looked_at(tmp_path: Path) -> None:
    karpathy(tmp_path)
    table = {"data": "dataset_coco.json", "pictures": "pictures", "split": "val"}
    (source,) = looked_at(tmp_path, captions=table).captions
    assert [pair.target for pair in source.texts()] == ["a val dog"] and source[0].key == "1"


def test_questions_made_from_captions_are_looked_at(tmp_path: Path) -> None:
    captions = captions_lines(tmp_path)
    assert main(["data", "ask", str(captions), "-o", str(tmp_path / "questions.jsonl")]) == 0
    written = RowSource(open_dataset([tmp_path / "questions.jsonl"]))
    (asked,) = looked_at(tmp_path, questions={"data": "captions.jsonl", "ask": True}).questions
    assert asked.texts() == written.texts() and all(pair.prompt for pair in asked.texts())


def test_answers_are_no_captions_nor_captions_answers(tmp_path: Path) -> None:
    both = {"caption": "a disc", "qa": [{"question": "is it red ?", "answer": "yes"}]}
    texts_tar(tmp_path / "both.tar", [("p0", both), ("p1", both)])
    rows = looked_at(tmp_path, captions="both.tar", questions="both.tar")
    assert [(pair.prompt, pair.target) for pair in rows.captions[0].texts()] == [("", "a disc")] * 2
    assert [(pair.prompt, pair.target) for pair in rows.questions[0].texts()] == [("is it red ?", "yes")] * 2
    captions_tar(tmp_path / "c.tar")
    questions_tar(tmp_path / "q.tar")
    with pytest.raises(InputError, match=r"^q: none of its 4 rows has captions or labels to look at"):
        looked_at(tmp_path, captions="q.tar")
    with pytest.raises(InputError, match=r"^c: none of its 8 rows has questions to look at"):
        looked_at(tmp_path, questions="c.tar")


def test_rows_none_of_which_can_be_seen_are_told_before_the_run(tmp_path: Path) -> None:
    texts = [(f"p{number}", {"caption": "a disc"}) for number in range(3)]
    texts_tar(tmp_path / "some.tar", texts, broken=["p0", "p1"])
    assert len(looked_at(tmp_path, captions="some.tar").captions[0]) == 3
    with pytest.raises(InputError, match="some: none of the 2 rows to look at can be seen, the first: p0: "):
        looked_at(tmp_path, captions="some.tar", limit=2)


def test_pictures_that_wait_for_their_texts_are_no_faults(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(12):
        (tmp_path / "photos" / f"{number}.png").write_bytes(png(noise((20, 20), number)))
        if number < 3:
            (tmp_path / "photos" / f"{number}.txt").write_text("a dog")
    said: list[str] = []
    dataset = open_data("photos", tmp_path / "run.toml", said.append, limit=0)
    assert len(dataset.rows) == 3
    assert said == ["photos: 9 rows have no text and are left out; 3 have one"]


def test_a_warm_up_that_outlasts_the_epochs_is_told_at_the_start(tmp_path: Path) -> None:
    run_file, said = workplace(tmp_path, steps=1), []
    run_file.write_text(run_file.read_text().replace("steps = 1\n", "epochs = 0.5\n"))
    assert run_training(run_file, tmp_path / "run", said.append, overrides=["optim.warmup=9"])
    told = "warning: optim.warmup: learning rates rise for 9 steps, but the run has 2: a tenth of them is 1"
    assert told in said


def test_texts_are_read_for_a_vocabulary_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of millions of captions a list would be held through the whole training."""
    monkeypatch.setattr(RowSource, "texts", None)
    [run] = load_stages(workplace(tmp_path, steps=1))
    assert put_together(run, tmp_path / "run.toml", quiet).vocabulary == VOCAB


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            {"qa": [{"question": "what is it ?", "answer": "a dog"}]},
            "none of its 1 rows has captions to make questions",
        ),
        ({"captions": ["wow"]}, "rows: no questions can be made from the captions of these 1 rows"),
    ],
)
def test_data_that_can_not_be_asked_about(tmp_path: Path, line: dict[str, object], told: str) -> None:
    (tmp_path / "0.png").write_bytes(png(noise((20, 20), 0)))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "0.png", **line}))
    with pytest.raises(InputError, match=told) as caught:
        streams_of(tmp_path, {"data": "rows.jsonl", "ask": True})
    assert caught.value.code == "empty"


def test_the_reward_is_made_from_captions_alone(tmp_path: Path) -> None:
    """Answers beside them would make the words of captions look rare."""
    captions_lines(tmp_path)
    save_checkpoint(Checkpoint(CONFIG, fresh_model().state_dict(), VOCAB), tmp_path / "start")
    streams = ({"data": "captions.jsonl"}, {"data": "captions.jsonl", "ask": True})
    seen: list[tuple[str, ...]] = []

    def reward(pictures: Sequence[tuple[str, ...]]) -> Reward:
        seen.extend(pictures)
        return lambda references, said: [0.0] * len(said)

    def objective(*chosen: dict[str, object]) -> None:
        fields = {"steps": 1, "start": {"model": "start"}, "streams": chosen, "scst": {}}
        run = RunConfig.model_validate(fields)
        loader = put_together(run, tmp_path / "run.toml", quiet).loader
        objective_of(run, loader, Judges(reward=reward))

    objective(*streams)
    assert all(len(texts) == 2 for texts in seen) and ("wow", "wow") in seen
    with pytest.raises(ConfigError, match="scst: only captions are rewarded, and no stream has any"):
        objective(streams[1])
