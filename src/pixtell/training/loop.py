"""The training loop, top to bottom.

In: a run's settings, a model, batches by step number. Out: a trained model; states and a log in the run's folder.
Order within a turn, and why: save (nothing is lost by what follows), look (evaluation sees the weights of a whole
number of steps), stop, then learn, and say so. A number that is none stops the run; the last saved state is from
before it.

The surprising thing: a wish to stop passes over a look, for which a cluster leaves no time, and whoever goes on makes
up for it: what the log has no numbers of, though it is due, is looked at first. So a run that was stopped keeps the
same best look as one that was not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

from pixtell.data.loader import Batch, Loader, prefetched
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.training.best import Best
from pixtell.training.config import RunConfig
from pixtell.training.dist import World
from pixtell.training.log import Log, lines_of
from pixtell.training.state import States
from pixtell.training.step import Objective, captions, learn
from pixtell.training.stop import StopWish
from pixtell.training.trainee import Trainee
from pixtell.training.unfinished import DESCRIPTION, description
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

    Returns the model as one would use it and the steps done, which are fewer when the run was asked to stop. At the
    last step only its look is left, and is made. Raises `PixtellError` when the loss or its gradient stops being a
    number, or the folder can't be written.
    """
    make_folder(folder)
    steps = steps_of(run, loader)
    trainee = Trainee.of(run, steps, model, world)
    with contextlib.ExitStack() as ends:
        about = description(model.config, loader.tokenizer.vocabulary)
        states = States(folder, run.deciding(), run.saving, world, say, {DESCRIPTION: about})
        ends.callback(states.close)
        start = states.restore(trainee.tensors())
        best = Best(folder, start, run.validation.keep_best, world.first)
        log = Log(folder, run.log, start, steps, say, writes=world.first)
        ends.callback(log.close)
        looked = world.of_first(partial(was_looked_at, folder, start))
        stop = ends.enter_context(StopWish())
        say(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, steps {start} to {steps}")
        batches = _batches(run, loader, range(start, steps), world)
        ends.callback(getattr(batches, "close", lambda: None))

        taken: list[Batch] = []
        for step in range(start, steps + 1):
            passed = [problem for batch in taken for problem in batch.broken]
            stopping, broken = map(bool, world.sum(stop.asked, len(passed)))
            if broken:  # before the state is saved, which says that these steps are done
                log.broken(step, chain.from_iterable(world.gather(passed)))
            if step > start and (step == steps or step % run.saving.every == 0 or stopping):
                states.save(step, trainee.tensors())
            due = step == steps or (step % run.validation.every == 0 and (step > 0 or run.validation.before))
            if due and not (step == start and looked) and (step == steps or not stopping):
                model = trainee.plain()
                numbers = evaluate_all(model, evaluators)
                best.note(step, numbers, model)
                log.evaluation(step, numbers)  # after the best is kept: it says that this look is done
            if step == steps or stopping:
                break
            taken = list(islice(batches, run.optim.accumulation))
            outcome = learn(trainee, taken, step, objective)
            log.step(step + 1, outcome, waited=sum(batch.waited for batch in taken))
    return best.model(trainee.plain()), step


def _batches(run: RunConfig, loader: Loader, steps: range, world: World) -> Iterator[Batch]:
    """This process's share of the batches of these steps, made ahead."""
    each = run.optim.accumulation
    share = {"rank": world.rank, "world": world.size}
    ahead = run.loading.ahead * each
    return prefetched(loader, steps.start * each, steps.stop * each, **share, workers=run.loading.workers, ahead=ahead)


def was_looked_at(folder: Path, step: int) -> bool:
    """Whether the log of the run in `folder` has numbers of a look after `step` steps; a step's own have its loss."""
    return any(line.get("step") == step and "loss" not in line for line in lines_of(folder))


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
