"""Batches by step number: the same whenever asked, every row once an epoch, streams by their weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_data import captions_tar, drawing, png, questions_tar, texts_tar, tokenizer, write_tar

from pixtell.config import PixelConfig
from pixtell.data.example import TextPair, sequence
from pixtell.data.loader import Batch, Loader, Stream, pad_sequences
from pixtell.data.sources import TarSource
from pixtell.errors import ConfigError
from pixtell.media import open_media
from pixtell.pixels import to_pixels

PIXELS = PixelConfig(size=16, fit="squash", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
TOKENIZER = tokenizer()


@pytest.fixture
def streams(tmp_path: Path) -> list[Stream]:
    captions, questions = TarSource([captions_tar(tmp_path / "c.tar")]), TarSource([questions_tar(tmp_path / "q.tar")])
    return [
        Stream(captions, weight=3, media=3, texts=2),
        Stream(captions, weight=1, media=2, texts=1, frames=4),
        Stream(questions, weight=2, media=4, texts=5, flip=False),
    ]


def loader_of(streams: list[Stream], seed: int = 1) -> Loader:
    return Loader(streams, TOKENIZER, PIXELS, seed)


def same(one: Batch, other: Batch) -> bool:
    return one.media == other.media and all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("pixels_BFCHW", "ids_BKT", "need_predict_BKT")
    )


def test_a_batch_follows_from_its_step_alone(streams: list[Stream]) -> None:
    forwards = [loader_of(streams).batch(step) for step in range(9)]
    again = loader_of(streams)
    for step in (8, 0, 5, 5, 3, 1):
        assert same(again.batch(step), forwards[step])
    different = [not same(loader_of(streams, seed=2).batch(step), forwards[step]) for step in range(9)]
    assert all(different), "another seed, another training"
    assert not same(forwards[0], forwards[3])


def test_shapes(streams: list[Stream]) -> None:
    loader = loader_of(streams)
    for step in range(6):
        number, _ = loader.turn(step)
        stream, batch = streams[number], loader.batch(step)
        media, texts, length = batch.ids_BKT.shape
        assert batch.pixels_BFCHW.shape == (stream.media, stream.frames, 3, 16, 16)
        assert batch.pixels_BFCHW.dtype == torch.float32
        assert media == batch.media == stream.media and texts == (1 if number else 2)
        assert batch.need_predict_BKT.shape == (media, texts, length)
        assert (batch.ids_BKT[..., 0] == TOKENIZER.cls_id).all() and not batch.need_predict_BKT[..., 0].any()
        assert not batch.need_predict_BKT[batch.ids_BKT == TOKENIZER.pad_id].any()


def test_the_cycle_has_exactly_the_weights(streams: list[Stream]) -> None:
    loader = loader_of(streams)
    orders = []
    for cycle in range(30):
        turns = [loader.turn(step) for step in range(6 * cycle, 6 * cycle + 6)]
        assert Counter(number for number, _ in turns) == {0: 3, 1: 1, 2: 2}
        orders.append(tuple(number for number, _ in turns))
    assert len(set(orders)) > 10, "shuffled anew each time"
    served: Counter[int] = Counter()
    for step in range(60):
        number, turn = loader.turn(step)
        assert turn == served[number], "turns are counted without gaps"
        served[number] += 1


def test_every_row_comes_once_an_epoch(streams: list[Stream]) -> None:
    loader = loader_of(streams)
    rows = [row for turn in range(8) for row in loader.rows(0, turn)]
    assert len(rows) == 24
    epochs = [rows[start : start + 8] for start in (0, 8, 16)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(8))
    assert epochs[0] != epochs[1] != epochs[2], "in an order of its own"
    other_stream = [row for turn in range(4) for row in loader.rows(1, turn)]
    assert sorted(other_stream) == list(range(8)) and other_stream != epochs[0]


def test_a_batch_larger_than_the_source_goes_round(tmp_path: Path) -> None:
    source = TarSource([questions_tar(tmp_path / "q.tar")])
    loader = loader_of([Stream(source, weight=1, media=10, texts=1)])
    counts = Counter(row for turn in range(2) for row in loader.rows(0, turn))
    assert counts == {0: 5, 1: 5, 2: 5, 3: 5}
    assert len(loader.batch(0).pixels_BFCHW) == 10


def test_pictures_and_texts_belong_together(streams: list[Stream]) -> None:
    """With the whole picture and no mirror, a batch's pixels are those of the row that its texts come from."""
    loader = loader_of([replace(streams[0], flip=False, area=1.0)])
    source = streams[0].source
    for step in range(4):
        batch = loader.batch(step)
        for place, row in enumerate(loader.rows(0, loader.turn(step)[1])):
            example = source[row]
            picture = open_media(example.image).frames[0].resize((16, 16), 3)
            assert torch.equal(batch.pixels_BFCHW[place], to_pixels([picture], PIXELS))
            texts = {TOKENIZER.decode(ids.tolist()) for ids in batch.ids_BKT[place]}
            assert texts == {pair.target for pair in example.texts}


def mirrored(batch: Batch) -> list[bool]:
    """For each medium, whether its top left corner is brighter than its top right one."""
    top = batch.pixels_BFCHW[:, 0, :, 0].mean(1)
    return (top[:, 0] > top[:, -1]).tolist()


def test_flip_off_means_never_mirrored(streams: list[Stream]) -> None:
    seen = {flip: [] for flip in (False, True)}
    for flip in seen:
        loader = loader_of([replace(stream, flip=flip, area=0.95) for stream in streams])
        for step in range(18):
            seen[flip] += mirrored(loader.batch(step))
    assert not any(seen[False])
    assert 0.3 < sum(seen[True]) / len(seen[True]) < 0.7


def test_short_texts_are_preferred_where_there_are_any(tmp_path: Path) -> None:
    long, short = "a red disc of red on it", "a red disc"
    rows = [("1", [long, short]), ("2", [long]), ("3", [short, long, short])]
    files = [
        file
        for key, captions in rows
        for file in ((f"{key}.png", png(drawing("red", "disc"))), (f"{key}.json", {"captions": captions}))
    ]
    source = TarSource([write_tar(tmp_path / "a.tar", files)])
    lengths = {key: len(sequence(TOKENIZER, TextPair("", text))[0]) for key, text in (("long", long), ("short", short))}
    loader = loader_of([Stream(source, weight=1, media=3, texts=3, max_tokens=lengths["short"])])
    for step in range(5):
        batch = loader.batch(step)
        for place, row in enumerate(loader.rows(0, step)):
            found = sorted(int(n) for n in (batch.ids_BKT[place] != TOKENIZER.pad_id).sum(-1) if n)
            assert found == {0: [lengths["short"]], 1: [lengths["long"]], 2: [lengths["short"]] * 2}[row]


def test_texts_of_a_row_are_drawn_without_repeats(streams: list[Stream]) -> None:
    loader, seen = loader_of([replace(streams[0], texts=1)]), Counter()
    for step in range(16):
        for ids in loader.batch(step).ids_BKT[:, 0]:
            seen[
                TOKENIZER.decode(ids.tolist()).startswith("a disc of") or "square of" in TOKENIZER.decode(ids.tolist())
            ] += 1
    assert min(seen[True], seen[False]) > 10, "both captions get their turn"
    both = loader_of([replace(streams[0], texts=2)]).batch(0)
    assert all(len({tuple(ids) for ids in medium}) == 2 for medium in both.ids_BKT.tolist())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_marks_of_questions_are_switched_as_often_as_told(streams: list[Stream], share: float) -> None:
    loader = loader_of([replace(streams[2], switch_marks=share)])
    asked = [text for step in range(12) for row in loader.batch(step).ids_BKT.tolist() for text in row if any(text)]
    plain = [text for step in range(12) for row in loader_of([streams[2]]).batch(step).ids_BKT.tolist() for text in row]
    mark = TOKENIZER.encode("?")[0]
    had_one = sum(mark in text for text in plain if any(text)) / len(asked)
    assert had_one in (0.0, 1.0), "the made data always has a mark, or never"
    have_one = sum(mark in text for text in asked) / len(asked)
    assert abs(have_one - (share if had_one == 0 else 1 - share)) < (0.2 if share == 0.5 else 1e-9)


def test_sizes_follow_from_the_step(streams: list[Stream]) -> None:
    loader = loader_of([replace(stream, sizes=(16, 24, 32)) for stream in streams])
    sides = [loader.batch(step).pixels_BFCHW.shape[-2:] for step in range(24)]
    assert {tuple(side) for side in sides} == {(16, 16), (24, 24), (32, 32)}
    assert all(loader.batch(step, 1, 2).pixels_BFCHW.shape[-2:] == sides[step] for step in range(24))


def test_pictures_are_cut_square_for_models_that_crop(tmp_path: Path) -> None:
    """A picture that is wide shows the square in its middle, as published, and the squashing model all of its width."""
    wide = Image.new("RGB", (90, 30), (255, 0, 0))
    wide.paste((0, 0, 255), (30, 0, 60, 30))
    source = TarSource([write_tar(tmp_path / "a.tar", [("1.png", png(wide)), ("1.json", {"captions": ["a"]})])])
    reds = {}
    for fit in ("crop", "squash"):
        loader = Loader([Stream(source, 1, 1, 1)], TOKENIZER, replace(PIXELS, fit=fit), 0)
        reds[fit] = [float((loader.batch(step).pixels_BFCHW[0, 0, 0] > 0).float().mean()) for step in range(5)]
    assert max(reds["crop"]) == 0 and min(reds["squash"]) > 0.4


def test_answers_are_drawn_as_often_as_they_were_given(tmp_path: Path) -> None:
    qa = [{"question": "what colour is it ?", "answers": ["red"] * 7 + ["blue"] * 3}]
    source = TarSource([texts_tar(tmp_path / "a.tar", [(f"{n}", {"qa": qa}) for n in range(20)])])
    loader = loader_of([Stream(source, 1, 20, 1)])
    batches = [loader.batch(step) for step in range(10)]
    said = Counter(answer for batch in batches for answer in learnt(batch))
    assert said.keys() == {"red", "blue"} and 0.6 < said["red"] / 200 < 0.8
    assert learnt(batches[0]) != learnt(batches[1]), "another draw in another epoch"
    assert batches[0].references == (("red",),) * 20


def test_references_are_all_texts_of_a_row(streams: list[Stream]) -> None:
    loader = loader_of([replace(streams[0], texts=1)])
    batch = loader.batch(2)
    rows = loader.rows(0, loader.turn(2)[1])
    examples = [streams[0].source[row] for row in rows]
    assert batch.keys == tuple(example.key for example in examples)
    assert batch.references == tuple(tuple(pair.target for pair in example.texts) for example in examples)


def learnt(batch: Batch) -> list[str]:
    """What is to be said in each row's first text."""
    return [
        TOKENIZER.decode(ids[need].tolist())
        for ids, need in zip(batch.ids_BKT[:, 0], batch.need_predict_BKT[:, 0], strict=True)
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"media": 0, "weight": -1}, "2 problems"),
        ({"area": 0.0}, "area must be above 0 and at most 1, got 0.0"),
        ({"switch_marks": 2.0}, r"switch_marks must be in 0\.\.1"),
        ({"color_jitter": 1.0}, "color_jitter must be at least 0 and below 1, got 1.0"),
        ({"sizes": (16, 0)}, "sizes must be at least 1, got 16, 0"),
    ],
)
def test_settings_that_can_not_be(streams: list[Stream], settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(streams[0], **settings)


def test_padding() -> None:
    rows = [[([2, 5, 6, 3], [False, True, True, True])], [([2, 3], [False, True]), ([2, 7, 3], [False, False, True])]]
    ids_BKT, need_predict_BKT = pad_sequences(rows, pad_id=9)
    assert ids_BKT.tolist() == [[[2, 5, 6, 3], [9] * 4], [[2, 3, 9, 9], [2, 7, 3, 9]]]
    assert need_predict_BKT.tolist() == [
        [[False, True, True, True], [False] * 4],
        [[False, True, False, False], [False, False, True, False]],
    ]
    assert ids_BKT.dtype == torch.int64


def test_weights_go_with_their_texts(streams: list[Stream]) -> None:
    """Also where texts are drawn, and where long ones are passed over."""
    texts = [[pair.target for pair in streams[0].source.row_texts(row)] for row in range(len(streams[0].source))]
    weights = [[row + place / 10 + 0.5 for place in range(len(own))] for row, own in enumerate(texts)]
    lengths = sorted({len(sequence(TOKENIZER, TextPair("", text))[0]) for own in texts for text in own})
    assert len(lengths) > 1
    for changes in ({}, {"texts": 1}, {"max_tokens": lengths[0]}):
        loader = loader_of([replace(streams[0], text_weights=weights, **changes)])
        for step in range(4):
            batch = loader.batch(step)
            assert batch.text_weight_BK is not None and batch.text_weight_BK.shape == batch.ids_BKT.shape[:2]
            for place, row in enumerate(loader.rows(0, step)):
                for ids, weight in zip(
                    batch.ids_BKT[place].tolist(), batch.text_weight_BK[place].tolist(), strict=True
                ):
                    said = TOKENIZER.decode(ids)
                    assert weight == pytest.approx(weights[row][texts[row].index(said)] if said else 0.0)
    assert loader_of([streams[0]]).batch(0).text_weight_BK is None
