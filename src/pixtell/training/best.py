"""The weights that an evaluation liked best, for a run that keeps those instead of its last ones.

In: the numbers of each evaluation with the model they are of. Out: one file in the run's folder, and at the end the
model in it. The surprising thing: the model before the first step takes part, where it is looked at. Of a few pictures
a good model can learn next to nothing, and a run must not hand back a worse one than it was given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.state import Checkpoint
from pixtell.model import GitModel

FILE = "best.safetensors"
HIGHER = ("cider", "exact_match")  # what a run is judged by; without them by its loss, lower


class Best:
    """The best so far of a run that goes on from step `start`. Of several processes only one `writes`."""

    def __init__(self, folder: Path, start: int, wanted: bool, writes: bool) -> None:
        self.path = folder / FILE
        self.wanted = wanted
        self.writes = writes
        self.score: float | None = None
        self.step: int | None = None
        if wanted and start and self.path.exists():
            with safe_open(self.path, "pt") as file:
                kept = file.metadata()
            self.score, self.step = float(kept["score"]), int(kept["step"])

    def note(self, step: int, numbers: Mapping[str, float], model: GitModel) -> None:
        """Keep the model's weights, in half precision, if it is better than all before; what is no number never is."""
        score = judged(numbers)
        if not self.wanted or score is None or math.isnan(score) or (self.score is not None and score <= self.score):
            return
        self.score, self.step = score, step
        if self.writes:
            state = {name: tensor.half().cpu().clone() for name, tensor in model.state_dict().items()}
            partial = self.path.with_name(f"{FILE}.partial")
            save_file(state, partial, {"score": repr(score), "step": str(step)})
            os.replace(partial, self.path)

    def model(self, last: GitModel) -> GitModel:
        """The best model, on the process that writes; where none was kept, `last`."""
        if self.step is None or not self.writes:
            return last
        state = {name: tensor.float() for name, tensor in load_file(self.path).items()}
        return build_model(Checkpoint(last.config, state, ()))


def judged(numbers: Mapping[str, float]) -> float | None:
    """One number to compare evaluations by, the higher the better; None where there is nothing to judge by."""
    found = [numbers[name] for name in HIGHER if name in numbers]
    if found:
        return sum(found) / len(found)
    return -numbers["caption_loss"] if "caption_loss" in numbers else None
