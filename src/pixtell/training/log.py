"""What one sees of a training: a line for people, a line of JSON for programs, and curves for TensorBoard.

In: the outcome of each step, the numbers of each evaluation, the rows that were passed over. Out: lines to `say`,
`log.jsonl` in the run's folder, events in its folder `tensorboard`. The surprising thing: a resumed run cuts from
`log.jsonl` what the killed one wrote after its last state, so that each step stands there once, and each broken row.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pixtell.data.row import Problem
from pixtell.data.whole_file import telling, whole_file
from pixtell.errors import MissingExtraError
from pixtell.training.best import judged
from pixtell.training.config import LogConfig
from pixtell.training.step import Outcome

FILE = "log.jsonl"
BROKEN = "broken"  # the name, in a line of its own kind, of rows by their keys, each with what is wrong with it
JUDGED = {"cider": "CIDEr", "exact_match": "exact answers"}


class Log:
    """The log of one run, from step `start` on. Of several processes only the first one has one that writes."""

    def __init__(
        self, folder: Path, config: LogConfig, start: int, steps: int, say: Callable[[str], None], writes: bool = True
    ) -> None:
        self.path = folder / FILE
        self.config = config
        self.steps = steps
        self.say = say
        self.writes = writes
        self.board = _tensorboard(folder / "tensorboard", start) if writes and config.tensorboard else None
        if writes:
            _cut(self.path, start)
        self.known = set(broken_in(folder)) if writes else set()
        self._begin(start)

    def _begin(self, step: int) -> None:
        self.outcomes: list[Outcome] = []
        self.waited = 0.0
        self.since, self.done_since = time.monotonic(), step

    def step(self, step: int, outcome: Outcome, waited: float) -> None:
        """Note a step, which was number `step` from 1 on and waited so many seconds for its data."""
        self.outcomes.append(outcome)
        self.waited += waited
        if step % self.config.every:
            return
        seconds = time.monotonic() - self.since
        left = seconds / (step - self.done_since) * (self.steps - step)
        found: dict[str, list[float]] = {}  # by name; a step of questions alone has no reward
        for name, number in (pair for each in self.outcomes for pair in each.numbers):
            found.setdefault(name, []).append(number)
        means = {name: _mean(values) for name, values in found.items()}
        numbers = {
            "loss": _mean([outcome.loss for outcome in self.outcomes]),
            **means,
            "gradient_norm": outcome.norm,
            "media_per_second": sum(each.media for each in self.outcomes) / seconds,
            "waiting": min(1.0, self.waited / seconds),
        }
        extra = "".join(f"  {name} {mean:.3f}" for name, mean in means.items())
        self.say(
            f"step {step}/{self.steps}  loss {numbers['loss']:.4f}{extra}  {numbers['media_per_second']:.1f} media/s  "
            f"{numbers['waiting']:.0%} waiting for data  {time_left(left)} left"
        )
        self._write(step, numbers)
        self._begin(step)

    def evaluation(self, step: int, numbers: Mapping[str, float]) -> None:
        """Note what an evaluation found after `step` steps; its time is not counted as the training's."""
        if numbers:
            self.say(f"step {step}  " + "  ".join(f"{name} {number:.4f}" for name, number in numbers.items()))
            self._write(step, numbers)
        self._begin(step)

    def broken(self, step: int, problems: Iterable[Problem]) -> None:
        """Note the rows that were passed over on the way to `step`, each once, however often a run sees it."""
        fresh = {problem.where: problem.message for problem in problems if problem.where not in self.known}
        if fresh and self.writes:
            self.known |= fresh.keys()
            self._append({"step": step, BROKEN: fresh})

    def close(self) -> None:
        """Let TensorBoard's file go."""
        if self.board is not None:
            with telling(self.path):
                self.board.close()

    def _write(self, step: int, numbers: Mapping[str, float]) -> None:
        if not self.writes:
            return
        self._append({"step": step, **numbers})
        if self.board is not None:
            with telling(self.path):
                for name, number in numbers.items():
                    self.board.add_scalar(name, number, step)

    def _append(self, line: Mapping[str, object]) -> None:
        with telling(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def lines_of(folder: Path) -> list[dict[str, float]]:
    """The numbers that a run has logged, a line each: `step`, and numbers by name."""
    return [line for line in _all_lines(folder) if BROKEN not in line]


def broken_in(folder: Path) -> dict[str, str]:
    """The rows that a run has passed over so far, by their keys, and what is wrong with each."""
    return {key: message for line in _all_lines(folder) for key, message in line.get(BROKEN, {}).items()}


def _all_lines(folder: Path) -> list[dict[str, Any]]:
    """All but those that a kill has cut."""
    found: list[dict[str, Any]] = []
    if not (folder / FILE).exists():  # so short a run that nothing was logged
        return found
    for line in (folder / FILE).read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def before_and_after(folder: Path, best: bool) -> list[tuple[str, float, float]]:
    """CIDEr and exact answers before the first step, and at the end or, where the `best` is kept, at their best."""
    looks = [line for line in lines_of(folder) if judged(line) is not None]
    if not looks or looks[0]["step"] > 0:
        return []
    after = max(looks, key=lambda line: judged(line) or 0.0) if best else looks[-1]
    return [(word, looks[0][name], after[name]) for name, word in JUDGED.items() if name in looks[0]]


def time_left(seconds: float) -> str:
    """Seconds in the two units that matter: `3 h 05 min`, `12 min`, `40 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def _cut(path: Path, start: int) -> None:
    """Drop the lines of steps after `start`, and a last one that a kill has cut; all where nothing was saved."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if start > 0 and json.loads(line)["step"] <= start:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    with whole_file(path) as file:
        file.write("".join(kept).encode())


def _tensorboard(folder: Path, start: int) -> Any:
    """TensorBoard's writer, which from `start` on supersedes what a killed run wrote."""
    try:
        writers = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        raise MissingExtraError("log.tensorboard: not installed: pip install 'pixtell[tensorboard]'") from None
    with telling(folder):
        return writers.SummaryWriter(str(folder), purge_step=start + 1)
