"""Rows -> batches, as a function of the step number alone.

In: sources with weights and a seed. Out: `Batch` number `step`. Nothing is remembered between steps, so a training
resumes at any step with the very batches it would have seen. Each source goes through all its rows in a fresh random
order an epoch; which source serves a step follows from the weights in a shuffled cycle. `prefetched` works one batch
ahead in a thread.

    B media, F frames, C channels, H W pixels, K texts a medium, T tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixtell.config import PixelConfig
from pixtell.data.example import Example, sequence, switch_mark
from pixtell.data.sources import TarSource
from pixtell.data.views import moving_views, random_view
from pixtell.errors import InputError
from pixtell.media import open_media
from pixtell.pixels import to_pixels
from pixtell.tokenizer import MAX_TEXT, Tokenizer


@dataclass(frozen=True)
class Batch:
    """What one training step sees. `need_predict_BKT` is True at tokens that are learnt; unused places are padding."""

    pixels_BFCHW: Tensor
    ids_BKT: Tensor
    need_predict_BKT: Tensor
    media: int


@dataclass(frozen=True)
class Stream:
    """One source and how its rows become a batch: `media` rows a step, up to `texts` texts a row, `frames` a clip.

    `weight` is how many steps of a cycle it serves; `flip` allows mirror images (not where left and right matter).
    Texts of more than `max_tokens` tokens are passed over where a row has shorter ones: the longest sets a step's cost.
    `switch_marks` is the share of questions whose mark is left out, or added where data never has one: people do both,
    and a model that knows only one way answers the other badly.
    """

    source: TarSource
    weight: int
    media: int
    texts: int
    frames: int = 1
    flip: bool = True
    area: float = 0.7
    max_tokens: int = MAX_TEXT + 2
    switch_marks: float = 0.0


class Loader:
    """Batches by step number from several streams."""

    def __init__(self, streams: Sequence[Stream], tokenizer: Tokenizer, pixels: PixelConfig, seed: int) -> None:
        self.streams = list(streams)
        self.tokenizer = tokenizer
        self.pixels = pixels
        self.seed = seed

    def batch(self, step: int) -> Batch:
        """The batch of step number `step`, from 0."""
        number, turn = self.turn(step)
        stream = self.streams[number]
        random = np.random.default_rng((self.seed, 1, step))
        frames, sequences = [], []
        for row in self.rows(number, turn):
            example = stream.source[row]
            picture = open_picture(example)
            if stream.frames == 1:
                views = [random_view(picture, self.pixels.size, random, flip=stream.flip, area=stream.area)]
            else:
                views = moving_views(picture, self.pixels.size, stream.frames, random, flip=stream.flip)
            frames.append(to_pixels(views, self.pixels))
            texts = example.texts
            if stream.switch_marks:  # no random numbers are drawn where none are needed
                switched = random.random(len(texts)) < stream.switch_marks
                texts = tuple(switch_mark(pair) if s else pair for pair, s in zip(texts, switched, strict=True))
            candidates = [sequence(self.tokenizer, pair) for pair in texts]
            short = [candidate for candidate in candidates if len(candidate[0]) <= stream.max_tokens] or candidates
            sequences.append([short[text] for text in random.permutation(len(short))[: stream.texts]])
        ids, need_predict = pad_sequences(sequences, self.tokenizer.pad_id)
        return Batch(torch.stack(frames), ids, need_predict, len(frames))

    def turn(self, step: int) -> tuple[int, int]:
        """Which stream serves `step`, and how many times it has served before."""
        cycle = [number for number, stream in enumerate(self.streams) for _ in range(stream.weight)]
        round_number, place = divmod(step, len(cycle))
        order = np.random.default_rng((self.seed, 2, round_number)).permutation(cycle)
        number = int(order[place])
        return number, round_number * self.streams[number].weight + int((order[:place] == number).sum())

    def rows(self, number: int, turn: int) -> list[int]:
        """The rows of a stream's batch number `turn`; an epoch's end and the next one's start may share a batch."""
        stream = self.streams[number]
        size = len(stream.source)
        places = [divmod(position, size) for position in range(turn * stream.media, (turn + 1) * stream.media)]
        orders = {
            epoch: np.random.default_rng((self.seed, 3, number, epoch)).permutation(size)
            for epoch in {epoch for epoch, _ in places}
        }
        return [int(orders[epoch][place]) for epoch, place in places]


def open_picture(example: Example) -> Image.Image:
    """The picture of a row, upright (of an animation, the first frame). Its `InputError` names the row's key."""
    try:
        return open_media(example.image).frames[0]
    except InputError as error:
        raise InputError(error.code, f"{example.key}: {str(error).removeprefix('<bytes>: ')}") from None


def pad_sequences(sequences: Sequence[Sequence[tuple[list[int], list[bool]]]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Lay texts of B media into ids_BKT and need_predict_BKT; what is missing is padding that is not learnt."""
    texts = max(len(medium) for medium in sequences)
    length = max(len(ids) for medium in sequences for ids, _ in medium)
    ids_BKT = torch.full((len(sequences), texts, length), pad_id)
    need_predict_BKT = torch.zeros(ids_BKT.shape, dtype=torch.bool)
    for number, medium in enumerate(sequences):
        for place, (ids, need_predict) in enumerate(medium):
            ids_BKT[number, place, : len(ids)] = torch.tensor(ids)
            need_predict_BKT[number, place, : len(ids)] = torch.tensor(need_predict)
    return ids_BKT, need_predict_BKT


def validation_batches(
    source: TarSource, tokenizer: Tokenizer, pixels: PixelConfig, media: int, limit: int
) -> Iterator[Batch]:
    """The first `limit` rows in order, whole pictures and all their texts, `media` rows a batch.

    Pixels that keep the aspect differ in size from row to row, so they come one row a batch.
    """
    media = 1 if pixels.fit == "aspect" else media
    for start in range(0, min(limit, len(source)), media):
        examples = [source[row] for row in range(start, min(start + media, limit, len(source)))]
        pixels_BFCHW = torch.stack([to_pixels([open_picture(example)], pixels) for example in examples])
        sequences = [[sequence(tokenizer, pair) for pair in example.texts] for example in examples]
        ids, need_predict = pad_sequences(sequences, tokenizer.pad_id)
        yield Batch(pixels_BFCHW, ids, need_predict, len(examples))


def prefetched(loader: Loader, start: int, end: int, ahead: int = 2) -> Iterator[Batch]:
    """Batches `start` to `end` - 1, made in a thread while the model is busy with the ones before."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = [thread.submit(loader.batch, step) for step in range(start, min(start + ahead, end))]
        for step in range(start, end):
            batch = pending.pop(0).result()
            if step + ahead < end:
                pending.append(thread.submit(loader.batch, step + ahead))
            yield batch
