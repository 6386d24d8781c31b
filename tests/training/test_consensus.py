"""What captions weigh by consensus: as computed by hand, 1 on average, and 1 for whatever has no company."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_data import captions_tar, drawing, png, write_tar

from pixtell.data.dataset import open_dataset
from pixtell.data.loader import Stream
from pixtell.data.sources import RowSource
from pixtell.errors import ConfigError
from pixtell.training.config import RunConfig
from pixtell.training.consensus import by_consensus
from pixtell.training.run import Judges, put_together, run_training

from .tiny_runs import quiet, workplace


def by_length(pictures: Sequence[Sequence[str]]) -> list[list[float]]:
    """An agreement that is easy to follow: a caption's number of letters."""
    return [[float(len(caption)) for caption in own] for own in pictures]


def stream_of(path: Path, rows: Sequence[dict[str, object]]) -> Stream:
    files = [
        file
        for number, row in enumerate(rows)
        for file in ((f"{number}.png", png(drawing("red", "disc"))), (f"{number}.json", row))
    ]
    return Stream(RowSource(open_dataset([write_tar(path, files)])), 1, 2, 5)


def test_weights_are_as_computed_by_hand(tmp_path: Path) -> None:
    qa = [{"question": "what colour is it ?", "answer": "red"}]
    rows: list[dict[str, object]] = [
        {"captions": ["aa", "aaaa"]},
        {"captions": ["a"]},
        {"captions": ["aaa", "a", "aa"]},
    ]
    stream = stream_of(tmp_path / "x.tar", [*rows, {"qa": qa}, {"captions": ["aaaa"], "qa": qa}])
    # The captions with company are of 2, 4, 3, 1 and 2 letters, 2.4 on average.
    for share in (0.25, 1.0):
        two, four, three, one = (1 - share + share * letters / 2.4 for letters in (2, 4, 3, 1))
        found = by_consensus(stream, share, by_length).text_weights
        assert [list(own) for own in found] == [
            pytest.approx(own) for own in ([two, four], [1.0], [three, one, two], [1.0], [1.0, 1.0])
        ]
        company = [weight for row in (0, 2) for weight in found[row]]
        assert sum(company) / len(company) == pytest.approx(1.0)


def test_where_nobody_agrees_there_is_no_consensus(tmp_path: Path) -> None:
    alone = stream_of(tmp_path / "alone.tar", [{"captions": ["a"]}, {"captions": ["b"]}])
    with pytest.raises(ConfigError, match="alone has no picture with two captions that agree in anything"):
        by_consensus(alone, 0.5, by_length)
    apart = Stream(RowSource(open_dataset([captions_tar(tmp_path / "apart.tar")])), 1, 2, 5)
    with pytest.raises(ConfigError, match="apart has no picture"):
        by_consensus(apart, 0.5, lambda pictures: [[0.0] * len(own) for own in pictures])


def test_a_run_file_weighs_the_streams_it_names(tmp_path: Path) -> None:
    path = workplace(tmp_path, steps=1)
    streams = [{"data": "data/captions-*.tar", "consensus": 0.5}, {"data": "data/captions-*.tar"}]
    run = RunConfig.model_validate({"steps": 1, "start": {"model": "start"}, "streams": streams})
    parts = put_together(run, path, quiet, judges=Judges(agreement=by_length))
    weighed, plain = parts.loader.streams
    assert weighed.text_weights == by_consensus(plain, 0.5, by_length).text_weights and not plain.text_weights
    with pytest.raises(ConfigError, match="consensus: CIDEr is wired by the command"):
        put_together(run, path, quiet)


@pytest.mark.parametrize(
    ("judges", "told"),
    [
        (Judges(), "consensus: CIDEr is wired by the command"),
        (Judges(agreement=lambda pictures: [[0.0] * len(own) for own in pictures]), "no picture with two captions"),
    ],
)
def test_what_a_later_stage_lacks_is_told_before_the_first(tmp_path: Path, judges: Judges, told: str) -> None:
    path = workplace(tmp_path, steps=1)
    later = '[[then]]\nsteps = 2\n[[then.streams]]\ndata = "data/captions-*.tar"\nconsensus = 0.5\n'
    path.write_text(f"{path.read_text()}\n{later}")
    with pytest.raises(ConfigError, match=told):
        run_training(path, tmp_path / "run", quiet, judges=judges)
    assert not list((tmp_path / "run").rglob("step-*"))
