"""Batches among processes and workers: whoever makes them, from whatever step on, the same rows, texts and pixels.

(Of `loader.py` too; what a batch is made of has its own file.)
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_data import captions_tar, noise, png, questions_tar, texts_tar, tokenizer, write_tar

from pixtell.config import PixelConfig
from pixtell.data.dataset import open_dataset
from pixtell.data.loader import Batch, Loader, Stream, prefetched
from pixtell.data.sources import RowSource, TarSource
from pixtell.errors import ConfigError, InputError

from .deadly import DEADLY, see_or_die

PIXELS = PixelConfig(size=16, fit="squash")
TOKENIZER = tokenizer()
Medium = tuple[str, tuple[str, ...], bytes, list[list[tuple[int, bool]]]]


def streams_in(folder: Path) -> list[Stream]:
    captions = TarSource([captions_tar(folder / "c.tar")])
    questions = TarSource([questions_tar(folder / "q.tar")])
    return [
        Stream(captions, weight=2, media=5, texts=2, flip=True, sizes=(16, 24)),
        Stream(captions, weight=1, media=3, texts=1, frames=3),
        Stream(questions, weight=1, media=4, texts=2, switch_marks=0.5),
    ]


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(streams_in(tmp_path), TOKENIZER, PIXELS, seed=5)


def media(batch: Batch) -> list[Medium]:
    """Each medium of a batch with all that a step would see of it, without padding."""
    return [
        (
            batch.keys[number],
            batch.references[number],
            batch.pixels_BFCHW[number].numpy().tobytes(),
            [
                [(int(i), bool(n)) for i, n in zip(ids, need, strict=True) if int(i) != TOKENIZER.pad_id]
                for ids, need in zip(batch.ids_BKT[number], batch.need_predict_BKT[number], strict=True)
                if ids.any()
            ],
        )
        for number in range(batch.media)
    ]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_shares_of_all_processes_are_the_batch(loader: Loader, world: int) -> None:
    for step in range(8):
        whole = media(loader.batch(step))
        shares = [media(loader.batch(step, rank, world)) for rank in range(world)]
        assert [medium for share in shares for medium in share] == whole
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), step=st.integers(0, 10**6), world=st.integers(1, 3))
def test_any_batch_of_any_run(seed: int, step: int, world: int) -> None:
    """A fresh loader at a step far into a run, with any number of processes, sees what a single one sees."""
    with TemporaryDirectory() as folder:
        streams = streams_in(Path(folder))
        one, other = Loader(streams, TOKENIZER, PIXELS, seed), Loader(streams, TOKENIZER, PIXELS, seed)
        shares = [medium for rank in range(world) for medium in media(other.batch(step, rank, world))]
        assert shares == media(one.batch(step))


def test_more_processes_than_media(loader: Loader) -> None:
    with pytest.raises(ConfigError, match="process 3 of 6 gets none of the 5 media a step: raise `media`"):
        next(loader.batch(step, 3, 6) for step in range(9) if loader.turn(step)[0] == 0)


def test_no_row_twice_in_an_epoch_of_a_run(tmp_path: Path) -> None:
    """Through whole batches of several processes, with an epoch that ends within a batch."""
    source = TarSource([texts_tar(tmp_path / "a.tar", [(f"{n}", {"captions": ["a"]}) for n in range(7)])])
    loader = Loader([Stream(source, 1, 3, 1)], TOKENIZER, PIXELS, 0)
    keys = [key for step in range(14) for rank in range(2) for key in loader.batch(step, rank, 2).keys]
    epochs = [keys[start : start + 7] for start in range(0, 42, 7)]
    assert all(Counter(epoch) == {str(n): 1 for n in range(7)} for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


@pytest.mark.parametrize(("start", "end"), [(0, 5), (3, 4), (2, 9), (4, 4)])
def test_batches_made_ahead_are_the_direct_ones(loader: Loader, start: int, end: int) -> None:
    made = list(prefetched(loader, start, end))
    assert [media(batch) for batch in made] == [media(loader.batch(step)) for step in range(start, end)]
    assert all(batch.waited >= 0 for batch in made) and (not made or made[0].waited > 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(loader: Loader, workers: int) -> None:
    made = list(prefetched(loader, 2, 9, rank=1, world=2, workers=workers))
    for step, batch in enumerate(made, start=2):
        direct = loader.batch(step, 1, 2)
        assert torch.equal(batch.pixels_BFCHW, direct.pixels_BFCHW) and torch.equal(batch.ids_BKT, direct.ids_BKT)
        assert torch.equal(batch.need_predict_BKT, direct.need_predict_BKT) and media(batch) == media(direct)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_ahead_can_be_left_early(loader: Loader, workers: int) -> None:
    made = prefetched(loader, 0, 1000, workers=workers)
    next(made)
    made.close()  # type: ignore[attr-defined]


# ---- what is broken


def broken_source(folder: Path, broken: list[str], rows: int = 6) -> RowSource:
    texts = [(str(n), {"captions": [f"word{n}"]}) for n in range(rows)]
    return RowSource(open_dataset([texts_tar(folder / "b.tar", texts, broken)]))


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_next_row_stands_in_for_a_broken_one(tmp_path: Path, world: int, workers: int) -> None:
    """Whoever meets it: the place of a broken row is the row's after it, with its own texts and another crop."""
    loader = Loader([Stream(broken_source(tmp_path, ["2", "4"]), 1, 6, 1)], TOKENIZER, PIXELS, 3)
    for step in range(2 if workers else 6):
        rows = [loader.row_at(0, place) for place in range(step * 6, step * 6 + 18)]
        whole = [next(row for row in rows[place:] if row not in (2, 4)) for place in range(6)]
        found = [
            medium
            for rank in range(world)
            for batch in prefetched(loader, step, step + 1, rank=rank, world=world, workers=workers)
            for medium in media(batch)
        ]
        assert [key for key, *_ in found] == [str(row) for row in whole]
        assert [references for _, references, *_ in found] == [(f"word{row}",) for row in whole]
        assert len({pixels for _, _, pixels, _ in found}) == 6
    assert sorted(loader.broken.found) == ["2", "4"]
    assert loader.broken.found["2"].message.startswith("2: the picture is cut off before its end")


def test_a_batch_tells_what_was_passed_over(tmp_path: Path) -> None:
    loader = Loader([Stream(broken_source(tmp_path, ["1"]), 1, 6, 1)], TOKENIZER, PIXELS, 3)
    [problem] = loader.batch(0).broken[:1]
    assert (problem.where, problem.code) == ("1", "truncated")


def test_too_much_broken_ends_the_run(tmp_path: Path) -> None:
    stream = Stream(broken_source(tmp_path, ["1", "3", "5"]), 1, 6, 1)
    loader = Loader([stream], TOKENIZER, PIXELS, 3, max_broken=2)
    with pytest.raises(
        InputError, match=r"^[135]: .*\(3 rows are broken, and 2 is the limit: mend or remove them"
    ) as one:
        list(prefetched(loader, 0, 9))
    assert one.value.code == "truncated"
    Loader([stream], TOKENIZER, PIXELS, 3, max_broken=3).batch(0)


def test_where_nothing_is_whole(tmp_path: Path) -> None:
    loader = Loader([Stream(broken_source(tmp_path, list("012"), 3), 1, 2, 1)], TOKENIZER, PIXELS, 3)
    with pytest.raises(InputError, match=r"nor can the 2 rows before it be used"):
        loader.batch(0)


def test_a_file_that_vanished_is_broken_too(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(png(noise((20, 20), ord(name))))
        (tmp_path / f"{name}.txt").write_text("a word1")
    source = RowSource(open_dataset([tmp_path]))
    (tmp_path / "b.png").unlink()
    loader = Loader([Stream(source, 1, 3, 1)], TOKENIZER, PIXELS, 3)
    assert set(loader.batch(0).keys) == {"a", "c"} and loader.broken.found["b"].code == "missing"


def test_a_clip_that_kills_its_worker_costs_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(f"{n}.png", DEADLY if n == 2 else png(noise((20, 20), n))) for n in range(4)]
    texts = [(f"{n}.json", {"captions": ["a"]}) for n in range(4)]
    source = RowSource(open_dataset([write_tar(tmp_path / "a.tar", [*files, *texts])]))
    loader = Loader([Stream(source, 1, 4, 1)], TOKENIZER, PIXELS, 1)
    monkeypatch.setattr("pixtell.data.loader.see", see_or_die)
    monkeypatch.setattr("pixtell.data.sample.see", see_or_die)
    [batch] = prefetched(loader, 0, 1, workers=2)
    assert [problem.code for problem in batch.broken] == ["crashed"]
    assert (
        batch.broken[0].message
        == "2: the process that opened it died: it is damaged, or needs more memory than there is"
    )
    rows = [loader.row_at(0, place) for place in range(8)]
    assert batch.keys == tuple(str(next(row for row in rows[place:] if row != 2)) for place in range(4))
