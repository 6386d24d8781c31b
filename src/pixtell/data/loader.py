"""Rows -> batches, as a function of the step number alone.

In: sources with weights and a seed. Out: batch number `step`, or one process's share of it. Nothing is remembered
between steps, so a training resumes at any step, with any number of processes, with the very batches it would have
seen: which rows, which texts of them, which crops. `prefetched` makes them ahead, pictures in processes of their own.

The surprising thing: chance is drawn for each place of the global batch, not for a step or a process.

    B media, F frames, C channels, H W pixels, K texts a medium, T tokens
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pixtell.config import PixelConfig
from pixtell.data import order
from pixtell.data.ahead import made_ahead
from pixtell.data.example import Example, TextPair, drawn, sequence, switch_mark
from pixtell.data.row import Problem
from pixtell.data.sample import STAND_INS, Candidate, Sample, Seen, crashed, see, see_surely
from pixtell.data.sources import RowSource
from pixtell.data.views import Shape, View
from pixtell.data.workers import in_order
from pixtell.errors import ConfigError, InputError
from pixtell.media import open_media
from pixtell.pixels import to_pixels
from pixtell.tokenizer import MAX_TEXT, Tokenizer

MAX_BROKEN = 100


@dataclass(frozen=True)
class Batch:
    """What one training step sees. `need_predict_BKT` is True at tokens that are learnt; unused places are padding.

    `keys` name the rows, `references` are all texts to say about each, also those that this step doesn't learn, for
    rewards; `is_named` says that some are names of classes, or words, which have none. `text_weight_BK` is how much
    each text counts, 1 on average; all alike when not given. `broken` are the rows that were passed over; `waited` the
    seconds that whoever asked waited for this batch.
    """

    pixels_BFCHW: Tensor
    ids_BKT: Tensor
    need_predict_BKT: Tensor
    media: int
    keys: tuple[str, ...] = ()
    references: tuple[tuple[str, ...], ...] = ()
    broken: tuple[Problem, ...] = ()
    waited: float = 0.0
    is_named: bool = False
    text_weight_BK: Tensor | None = None


@dataclass(frozen=True)
class Stream:
    """One source and how its rows become a batch: `media` rows a step, up to `texts` texts a row, `frames` a clip.

    `weight` is how many steps of a cycle it serves. Pictures are shown in crops of at least `area`, square or squashed
    (`shape`; not given: as the model is shown pictures), at a side drawn anew for each step from `sizes` where given;
    `flip` allows mirror images (not where left and right matter); `exact` decodes JPEGs whole. The defaults are the
    published ones but for `sizes`, which pre-training had as 160, 176 ... 224.

    Texts of more than `max_tokens` tokens are passed over where a row has shorter ones: the longest sets a step's cost.
    `switch_marks` is the share of questions whose mark is left out, or added where data never has one: people do both,
    and a model that knows only one way answers the other badly. `color_jitter` changes brightness, contrast and
    saturation by up to that share. `text_weights` says how much each text of each row counts, 1 on average; all alike
    when not given.
    """

    source: RowSource
    weight: int
    media: int
    texts: int
    frames: int = 1
    flip: bool = False
    area: float = 0.8
    max_tokens: int = MAX_TEXT + 2
    switch_marks: float = 0.0
    shape: Shape | None = None
    sizes: tuple[int, ...] = ()
    exact: bool = False
    color_jitter: float = 0.0
    text_weights: Sequence[Sequence[float]] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("weight", "media", "texts", "frames")}
        problems = [f"{name} must be at least 1, got {value}" for name, value in counts.items() if value < 1]
        if not 0 < self.area <= 1:
            problems.append(f"area must be above 0 and at most 1, got {self.area}")
        if not 0 <= self.switch_marks <= 1:
            problems.append(f"switch_marks must be in 0..1, got {self.switch_marks}")
        if not 0 <= self.color_jitter < 1:
            problems.append(f"color_jitter must be at least 0 and below 1, got {self.color_jitter}")
        if any(size < 1 for size in self.sizes):
            problems.append(f"sizes must be at least 1, got {', '.join(map(str, self.sizes))}")
        if problems:
            raise ConfigError.listing(f"stream of {self.source.name}", problems)


@dataclass
class Broken:
    """The rows that could not be used so far, by key. More than `limit` of them end the run."""

    limit: int
    found: dict[str, Problem] = field(default_factory=dict)

    def add(self, problems: Sequence[Problem]) -> None:
        """Note more of them. Raises `InputError` above the limit."""
        for problem in problems:
            self.found.setdefault(problem.where, problem)
        if len(self.found) > self.limit:
            raise InputError(
                problems[-1].code,
                f"{problems[-1].message} ({len(self.found)} rows are broken, and {self.limit} is the limit: mend or "
                "remove them, or raise max_broken)",
            )


class Loader:
    """Batches by step number from several streams. `broken` tells which rows were passed over."""

    def __init__(
        self,
        streams: Sequence[Stream],
        tokenizer: Tokenizer,
        pixels: PixelConfig,
        seed: int,
        *,
        max_broken: int = MAX_BROKEN,
    ) -> None:
        self.streams = list(streams)
        self.tokenizer = tokenizer
        self.pixels = pixels
        self.seed = seed
        self.broken = Broken(max_broken)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The share of process `rank` of `world` in batch number `step`, from 0: stretches in order, together all."""
        return self.assemble(step, rank, world, [see(sample) for sample in self.samples(step, rank, world)])

    def turn(self, step: int) -> tuple[int, int]:
        """Which stream serves `step`, and how many times it has served before."""
        return order.turn(self.seed, tuple(stream.weight for stream in self.streams), step)

    def rows(self, number: int, turn: int) -> list[int]:
        """The rows of a stream's batch number `turn`; an epoch's end and the next one's start may share a batch."""
        media = self.streams[number].media
        return [self.row_at(number, place) for place in range(turn * media, (turn + 1) * media)]

    def row_at(self, number: int, place: int) -> int:
        """The row at a place of a stream."""
        return order.row_at(self.seed, number, place, len(self.streams[number].source))

    def places(self, step: int, rank: int = 0, world: int = 1) -> tuple[int, list[int]]:
        """The stream that serves a step, and a process's places of it. Raises `ConfigError` when it has none."""
        number, turn = self.turn(step)
        media = self.streams[number].media
        if not 0 <= rank < world <= media:
            raise ConfigError(f"process {rank} of {world} gets none of the {media} media a step: raise `media`")
        return number, [turn * media + place for place in order.share(media, rank, world)]

    def samples(self, step: int, rank: int = 0, world: int = 1) -> list[Sample]:
        """What has to be looked at for a batch."""
        number, places = self.places(step, rank, world)
        stream = self.streams[number]
        shape: Shape = stream.shape or ("squash" if self.pixels.fit == "squash" else "square")
        size = order.size_at(self.seed, step, stream.sizes) if stream.sizes else self.pixels.size
        view = View(size, stream.frames, shape, stream.area, stream.flip, stream.color_jitter)
        return [
            Sample(self._candidates(number, place), view, (self.seed, order.LOOK, number, place), stream.exact)
            for place in places
        ]

    def _candidates(self, number: int, place: int) -> tuple[Candidate, ...]:
        """The row of a place, and those after it, which stand in when it is broken."""
        source = self.streams[number].source
        rows = (self.row_at(number, place + later) for later in range(1 + min(STAND_INS, len(source) - 1)))
        return tuple(Candidate(source.key(row), source.media(row)) for row in rows)

    def assemble(self, step: int, rank: int, world: int, seen: Sequence[Seen]) -> Batch:
        """The batch of what was seen. Raises `InputError` when too much was broken."""
        number, places = self.places(step, rank, world)
        stream = self.streams[number]
        frames: list[Image.Image] = []
        keys, references, sequences, weights, named = [], [], [], [], False
        broken = tuple(problem for one in seen for problem in one.broken)
        self.broken.add(broken)
        for place, one in zip(places, seen, strict=True):
            if not one.frames:
                last = one.broken[-1]
                raise InputError(
                    last.code, f"{last.message} (nor can the {len(one.broken) - 1} rows before it be used)"
                )
            frames += one.frames
            row = self.row_at(number, place + len(one.broken))
            texts = stream.source.row_texts(row)
            keys.append(stream.source.key(row))
            references.append(tuple(pair.target for pair in texts))
            named = named or stream.source.is_named(row)
            chosen = self._chosen(stream, texts, (self.seed, order.WORDS, number, place))
            sequences.append([text for _, text in chosen])
            if stream.text_weights:
                weights.append([stream.text_weights[row][text] for text, _ in chosen])
        pixels_NCHW = to_pixels(frames, self.pixels, fitted=True)  # N: frames of all media
        pixels_BFCHW = pixels_NCHW.view(len(seen), stream.frames, *pixels_NCHW.shape[1:])
        ids_BKT, need_predict_BKT = pad_sequences(sequences, self.tokenizer.pad_id)
        return Batch(
            pixels_BFCHW,
            ids_BKT,
            need_predict_BKT,
            len(seen),
            tuple(keys),
            tuple(references),
            broken,
            is_named=named,
            text_weight_BK=_filled(weights) if weights else None,
        )

    def _chosen(
        self, stream: Stream, texts: Sequence[TextPair], chance: tuple[int, ...]
    ) -> list[tuple[int, tuple[list[int], list[bool]]]]:
        """Up to `stream.texts` of a row's texts, drawn without repeats: the number of each, and its tokens."""
        random = np.random.default_rng(chance)
        pairs = [drawn(pair, random) for pair in texts]
        if stream.switch_marks:
            switched = random.random(len(pairs)) < stream.switch_marks
            pairs = [switch_mark(pair) if s else pair for pair, s in zip(pairs, switched, strict=True)]
        candidates = list(enumerate(sequence(self.tokenizer, pair) for pair in pairs))
        short = [candidate for candidate in candidates if len(candidate[1][0]) <= stream.max_tokens] or candidates
        return [short[text] for text in random.permutation(len(short))[: stream.texts]]


def open_picture(example: Example) -> Image.Image:
    """The picture of a row, upright (of a clip, the frame in its middle). Its `InputError` names the row's key."""
    return open_frames(example, 1)[0]


def open_frames(example: Example, frames: int) -> tuple[Image.Image, ...]:
    """The frames of a row's clip, spread over it; of a photo, one. Its `InputError` names the row's key."""
    try:
        return open_media(example.image, frames=frames).frames
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


def _filled(weights: Sequence[Sequence[float]]) -> Tensor:
    """Rows of numbers as one table; what is missing is 0."""
    return pad_sequence([torch.tensor(row) for row in weights], batch_first=True)


def prefetched(
    loader: Loader, start: int, end: int, *, rank: int = 0, world: int = 1, workers: int = 0, ahead: int = 2
) -> Iterator[Batch]:
    """Batches `start` to `end` - 1, up to `ahead` of them made while the model is busy with the ones before.

    A thread puts them together; `workers` processes open and crop the pictures, with none of them that thread does. A
    worker that dies costs only the row that killed it.
    """
    for batch, waited in made_ahead(_made(loader, range(start, end), rank, world, workers, ahead), ahead):
        yield replace(batch, waited=waited)


def _made(
    loader: Loader, steps: range, rank: int, world: int, workers: int, ahead: int
) -> Generator[Batch, None, None]:
    samples = (sample for step in steps for sample in loader.samples(step, rank, world))
    largest = max(len(order.share(stream.media, rank, world)) for stream in loader.streams)
    with closing(in_order(see, samples, workers, max(ahead * largest, 2 * workers), crashed)) as found:
        for step in steps:
            _, places = loader.places(step, rank, world)
            yield loader.assemble(step, rank, world, [see_surely(*next(found)) for _ in places])
