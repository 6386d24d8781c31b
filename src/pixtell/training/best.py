"""The weights that an evaluation liked best, for a run that keeps those instead of its last ones.

In: the numbers of each evaluation with the model they are of. Out: one file in the run's folder, and at the end the
model in it. The surprising thing: the model before the first step takes part, where it is looked at. Of a few pictures
a good model can learn next to nothing, and a run must not hand back a worse one than it was given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.state import Checkpoint
from pixtell.data.whole_file import whole_path
from pixtell.errors import CheckpointError
from pixtell.model import GitModel

FILE = "best.safetensors"
HIGHER = ("cider", "exact_match")  # what a run is judged by; without them by its loss, lower


class Best:
    """The best so far of a run that goes on from step `start`. Of several processes only one `writes`.

    Raises `CheckpointError` where what was kept is damaged.
    """

    def __init__(self, folder: Path, start: int, wanted: bool, writes: bool) -> None:
        self.path = folder / FILE
        self.wanted = wanted
        self.writes = writes
        self.score: float | None = None
        self.step: int | None = None
        if wanted and start and self.path.exists():
            self.score, self.step = _kept(self.path)

    def note(self, step: int, numbers: Mapping[str, float], model: GitModel) -> None:
        """Keep the model's weights, in half precision, if it is better than all before; what is no number never is.

        Raises `PixtellError` when the disk refuses; the best one before is still there.
        """
        score = judged(numbers)
        if not self.wanted or score is None or math.isnan(score) or (self.score is not None and score <= self.score):
            return
        self.score, self.step = score, step
        if self.writes:
            state = {name: tensor.half().cpu().clone() for name, tensor in model.state_dict().items()}
            with whole_path(self.path) as fresh:
                try:
                    save_file(state, fresh, {"score": repr(score), "step": str(step)})
                except SafetensorError as error:  # a full disk, too
                    raise OSError(str(error)) from None

    def model(self, last: GitModel) -> GitModel:
        """The best model, on the process that writes; where none was kept, `last`."""
        if self.step is None or not self.writes:
            return last
        state = {name: tensor.float() for name, tensor in load_file(self.path).items()}
        return build_model(Checkpoint(last.config, state, ()))


def _kept(path: Path) -> tuple[float, int]:
    """The score of the best that was kept, and its step."""
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata()
        return float(about["score"]), int(about["step"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged ({error}): delete it, and the best of the looks from here on is kept"
        ) from None


def judged(numbers: Mapping[str, float]) -> float | None:
    """One number to compare evaluations by, the higher the better; None where there is nothing to judge by."""
    found = [numbers[name] for name in HIGHER if name in numbers]
    if found:
        return sum(found) / len(found)
    return -numbers["caption_loss"] if "caption_loss" in numbers else None
