"""What a run file names, put together: streams, of which some ask about their captions. (The rest: test_main.py.)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_data import VOCAB, noise, png

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.cli.main import main
from pixtell.data.dataset import open_dataset
from pixtell.data.sources import RowSource
from pixtell.errors import ConfigError, InputError
from pixtell.training.config import RunConfig
from pixtell.training.run import Judges, objective_of, open_streams, put_together
from pixtell.training.scst import Reward

from .tiny_runs import CONFIG, fresh_model, quiet


def captions_lines(folder: Path) -> Path:
    """120 pictures of animals, most brown; and some with captions that answer nothing, or with none."""
    kinds = [(c, a) for c in ("brown", "brown", "black", "white", "red") for a in ("dog", "horse", "cat", "bird")]
    captions = [f"a {colour} {animal} runs on the grass ." for colour, animal in kinds for _ in range(6)]
    captions[::20] = ["wow"] * len(captions[::20])
    lines = []
    for number, caption in enumerate(captions):
        (folder / f"{number}.png").write_bytes(png(noise((20, 20), number)))
        twice = [caption, caption.replace("runs", "is running")]
        lines.append(json.dumps({"image": f"{number}.png", "captions": twice}) + "\n")
    path = folder / "captions.jsonl"
    path.write_text("".join(lines))
    return path


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
