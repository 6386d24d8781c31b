"""The training loop, top to bottom.

In: a run's settings, a model, batches by step number. Out: a trained model; states and a log in the run's folder.
Order within a turn, and why: look (evaluation sees the weights of a whole number of steps), save (what was looked at
is kept), stop (nothing is lost by it then), then learn, and say so. A number that is none stops the run; the last
saved state is from before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from pixtell.data.loader import Loader, prefetched
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.training.best import Best
from pixtell.training.config import RunConfig
from pixtell.training.dist import World
from pixtell.training.log import Log
from pixtell.training.state import States
from pixtell.training.step import Objective, captions, learn
from pixtell.training.stop import StopWish
from pixtell.training.trainee import Trainee
from pixtell.training.validation import Evaluator, evaluate_all

ALONE = World()


def train(
    run: RunConfig,
    folder: Path,
    model: GitModel,
    loader: Loader,
    evaluators: Sequence[Evaluator],
    say: Callable[[str], None],
    world: World = ALONE,
    objective: Objective = captions,
) -> tuple[GitModel, int]:
    """Train `model` to the end of the run, going on from the newest state in `folder`.

    Returns the model as one would use it and the steps done, which are fewer when the run was asked to stop. Raises
    `PixtellError` when the loss or its gradient stops being a number, or the folder can't be written.
    """
    make_folder(folder)
    steps = steps_of(run, loader)
    trainee = Trainee.of(run, steps, model, world)
    with contextlib.ExitStack() as ends:
        states = States(folder, run.deciding(), run.saving, world, say)
        ends.callback(states.close)
        start = states.restore(trainee.tensors())
        best = Best(folder, start, run.validation.keep_best, world.first)
        log = Log(folder, run.log, start, steps, say, writes=world.first)
        ends.callback(log.close)
        stop = ends.enter_context(StopWish())
        say(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, steps {start} to {steps}")
        accumulation = run.optim.accumulation
        batches = prefetched(
            loader,
            start * accumulation,
            steps * accumulation,
            rank=world.rank,
            world=world.size,
            workers=run.loading.workers,
            ahead=run.loading.ahead * accumulation,
        )
        ends.callback(getattr(batches, "close", lambda: None))

        for step in range(start, steps + 1):
            stopping = bool(world.sum(stop.asked)[0])
            look = step > start or (step == 0 and run.validation.before)
            if look and (step == steps or step % run.validation.every == 0) and not stopping:
                model = trainee.plain()
                numbers = evaluate_all(model, evaluators)
                log.evaluation(step, numbers)
                best.note(step, numbers, model)
            if step > start and (step == steps or step % run.saving.every == 0 or stopping):
                states.save(step, trainee.tensors())
            if step == steps or stopping:
                break
            taken = list(islice(batches, accumulation))
            outcome = learn(trainee, taken, step, objective)
            log.step(step + 1, outcome, waited=sum(batch.waited for batch in taken))
    return best.model(trainee.plain()), step


def make_folder(folder: Path) -> None:
    """See that the run's folder is there. Raises `ConfigError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: can't be made a folder: {error.strerror}") from None


def steps_of(run: RunConfig, loader: Loader) -> int:
    """How many steps a run has; its epochs are passes over the first stream."""
    if run.steps is not None:
        return run.steps
    assert run.epochs is not None, "a run has steps or epochs (config.contradictions)"
    first = loader.streams[0]
    turns = run.epochs * len(first.source) / first.media  # batches of the first stream
    batches = turns * sum(stream.weight for stream in loader.streams) / first.weight
    return max(1, round(batches / run.optim.accumulation))
