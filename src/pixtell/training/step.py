"""One step of learning: batches -> gradients -> better weights.

In: a `Trainee` and the batches of a step. Out: its loss and the gradients' norm. What is learnt of the batches is an
objective's business: it gives each token a weight, of captions one over their number, over all processes and all
batches of the step. So two processes learn what one with the same batches would.

The surprising thing: gradients are averaged over processes, though the loss is a mean over the tokens of all of them.
Each process's loss is therefore multiplied by their number first.

    B media, F frames, C channels, H W pixels, K texts a medium, T tokens
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pixtell.data.loader import Batch
from pixtell.errors import PixtellError
from pixtell.training.dist import averaging
from pixtell.training.loss import learnt
from pixtell.training.trainee import Trainee


@dataclass(frozen=True)
class Weighed:
    """A batch, and how much each of its tokens counts."""

    pixels_BFCHW: Tensor
    ids_BKT: Tensor
    weight_BKT: Tensor


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt in a step, and numbers about it for the log."""

    parts: Sequence[Weighed]
    numbers: tuple[tuple[str, float], ...] = ()


Objective = Callable[[Trainee, Sequence[Batch]], Lesson]


@dataclass(frozen=True)
class Outcome:
    """What became of a step, over all processes."""

    loss: float
    norm: float
    media: int
    numbers: tuple[tuple[str, float], ...] = ()


def captions(trainee: Trainee, batches: Sequence[Batch]) -> Lesson:
    """Learn the texts as they are: the mean loss of the tokens to predict, weighted as their texts are.

    Raises `PixtellError` when no process has any.
    """
    weights = [_token_weights(batch) for batch in batches]
    (total,) = trainee.world.sum(sum(float(weight_BKT.sum(dtype=torch.float64)) for weight_BKT in weights))
    if not total:
        raise PixtellError("no token of this step's batches is to be learnt: are their texts empty?")
    pairs = zip(batches, weights, strict=True)
    return Lesson([on_device(trainee, b.pixels_BFCHW, b.ids_BKT, weight / total) for b, weight in pairs])


def _token_weights(batch: Batch) -> Tensor:
    """weight_BKT of the tokens that are learnt: their text's, 1 where none is said."""
    learnt_BKT = learnt(batch.ids_BKT, batch.need_predict_BKT).float()
    return learnt_BKT if batch.text_weight_BK is None else learnt_BKT * batch.text_weight_BK[..., None]


def on_device(trainee: Trainee, pixels_BFCHW: Tensor, ids_BKT: Tensor, weight_BKT: Tensor) -> Weighed:
    """A weighed batch where the model is."""
    device = trainee.world.device
    return Weighed(pixels_BFCHW.to(device), ids_BKT.to(device), weight_BKT.to(device))


def scaled(part: Weighed, share: float) -> Weighed:
    """The same batch, with that share of its tokens' weights."""
    return replace(part, weight_BKT=part.weight_BKT * share)


def learn(trainee: Trainee, batches: Sequence[Batch], step: int, objective: Objective = captions) -> Outcome:
    """Take step number `step`. Raises `PixtellError` before the weights change when a number is none."""
    world = trainee.world
    torch.manual_seed(seed_of(trainee.run.seed, step, world.rank))
    trainee.begin(step)
    lesson = objective(trainee, batches)
    total = torch.zeros((), device=world.device)
    for number, part in enumerate(lesson.parts, start=1):
        with averaging(trainee.learner, number == len(lesson.parts)):
            loss = trainee.learner(part.pixels_BFCHW, part.ids_BKT, part.weight_BKT)
            torch.autograd.backward(loss * world.size)
        total += loss.detach()
    mean, media = world.sum(float(total), sum(batch.media for batch in batches))
    _check_finite("loss", mean, step)
    norm = trainee.clip()
    _check_finite("gradients' norm", norm, step)
    trainee.update()
    return Outcome(mean, norm, int(media), lesson.numbers)


def seed_of(seed: int, step: int, rank: int) -> int:
    """All chance of a step on a process, but for that of its batches, follows from this number."""
    return int(np.random.SeedSequence((seed, 4, step, rank)).generate_state(1, np.uint64)[0])


def _check_finite(what: str, value: float, step: int) -> None:
    """Stop before the weights, and with them the next saved state, are spoiled."""
    if not math.isfinite(value):
        raise PixtellError(
            f"{what} is {value} at step {step}: the last saved state is good; begin a run in another folder from it, "
            "with this one's folder as start.model (--from, with --data), and at a lower rate (--set optim.lr=RATE)"
        )
