"""A run as it would be, without running it: what learns, how long, how much memory and time, and what data lack.

In: the runs of a run file. Out: lines for a person; nothing is written. The surprising thing: data are opened and first
weights loaded as for the run itself, and a few rows make the way through the model and back, so that what would stop
the run in its first minute stops this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pixtell.checkpoint.state import Checkpoint
from pixtell.memory import keep_freed_memory
from pixtell.training.config import RunConfig, never_reached
from pixtell.training.cost import Cost, cost_of, free_memory
from pixtell.training.dist import World, joined
from pixtell.training.log import time_left
from pixtell.training.loop import steps_of
from pixtell.training.run import NOBODY, Judges, Parts, objective_of, put_together, rows_to_look_at
from pixtell.training.trainee import Trainee

MB, GB = 10**6, 10**9


def dry_run(
    runs: Sequence[RunConfig], run_file: Path, say: Callable[[str], None], judges: Judges = NOBODY
) -> tuple[str, ...]:
    """What the runs of this file would be; `say` hears warnings. Raises `PixtellError` as they would.

    Of several processes only the first one is told anything.
    """
    lines: list[str] = []
    former = None
    with joined(say) as world:
        say = world.only_first(say)
        if world.device.type == "cpu":
            keep_freed_memory()  # as the run does: its steps would seem a third longer
        for number, run in enumerate(runs, start=1):
            parts = put_together(run, run_file, say, former, judges)
            # Of a stage's model only the shape is known before; its first weights stand in for it.
            former = Checkpoint(parts.model.config, dict(parts.model.state_dict()), parts.vocabulary)
            lines += [f"stage    {number} of {len(runs)}"] if len(runs) > 1 else []
            lines += _told(run, run_file, parts, world, say, judges)
    return tuple(lines) if world.first else ()


def _told(
    run: RunConfig, run_file: Path, parts: Parts, world: World, say: Callable[[str], None], judges: Judges
) -> list[str]:
    rows_to_look_at(run, run_file, parts.held_out, say)  # so that they are opened, too
    steps = steps_of(run, parts.loader)
    for line in never_reached(run, steps):
        say(f"warning: {line}")
    objective = objective_of(run, parts.loader, judges)
    cost = cost_of(run, steps, Trainee.of(run, steps, parts.model, world), parts.loader, objective)
    return [
        f"model    {_millions(cost.parameters)} parameters: {_millions(cost.trained)} learn, "
        f"{_millions(cost.parameters - cost.trained)} stay as they are",
        *_data(parts, run),
        _length(run, parts, steps),
        _memory(cost, free_memory(world.device)),
        _time(cost, steps),
    ]


def _data(parts: Parts, run: RunConfig) -> list[str]:
    lines = []
    for stream in parts.loader.streams:
        source = stream.source
        texts = len(source.texts())
        lacking = f"; {source.unused:,} rows lack a picture or a text" if source.unused else ""
        lines.append(
            f"data     {source.name}: {len(source):,} rows with {texts:,} texts, {stream.media} rows a batch{lacking}"
        )
    if parts.held_out is not None:
        lines.append(f"data     {parts.held_out.name}: {len(parts.held_out.rows):,} rows")
    if run.validation.held_out == 0 and run.validation.captions is None and run.validation.questions is None:
        lines.append("data     nothing to look at on the way (validation)")
    return lines


def _length(run: RunConfig, parts: Parts, steps: int) -> str:
    batches = steps * run.optim.accumulation
    total = sum(stream.weight for stream in parts.loader.streams)
    passes = [batches * s.weight / total * s.media / len(s.source) for s in parts.loader.streams]
    together = f" of {run.optim.accumulation} batches" if run.optim.accumulation > 1 else ""
    return f"length   {steps:,} steps{together}, epochs of the data: {', '.join(f'{each:.1f}' for each in passes)}"


def _memory(cost: Cost, free: int | None) -> str:
    line = (
        f"memory   about {cost.memory / GB:.1f} GB: {cost.standing / GB:.1f} GB for weights and optimiser, "
        f"{cost.medium / MB:.0f} MB for each row of a batch of {cost.media}"
    )
    if free is None:
        return line
    more = "" if cost.memory < free else ", too few: lower media and raise optim.accumulation"
    return f"{line}; {free / GB:.1f} GB are free{more}"


def _time(cost: Cost, steps: int) -> str:
    total = time_left(cost.seconds * steps)
    return f"time     about {total}: {cost.seconds:.2f} s a step on one process as here; evaluations come on top"


def _millions(number: int) -> str:
    return f"{number / 1e6:.1f} M"
