"""The stages of a run file in the run's folder: where each lies, which are finished, what each began from.

In: the runs of a run file, and the run's folder. Out: `Stage`s. A run file without `[[then]]` has one, in the folder
itself; else each has a folder of its own, `stage-1`, `stage-2` ..., as that of any run: states, log, report and model.

The surprising thing: a stage is finished when its model is sealed, as states are: with the settings that made it and
the sums of its files. So a model that is damaged or was made by other settings counts as none, and its run goes on
from its last state: the run ends at once with the same model, or refuses a state that other settings have made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixtell.data.whole_file import telling
from pixtell.errors import ConfigError
from pixtell.training.config import RunConfig
from pixtell.training.state import found_states, seal, unseal

FIRST = "stage-1"
MODEL, WEIGHTS = "model", "model.safetensors"
AT_ONCE = 1 << 24  # bytes read at a time for a digest


@dataclass(frozen=True)
class Stage:
    """A run, its folder, and what people call it: "stage 1 of 2", or "" for the only one."""

    run: RunConfig
    folder: Path
    name: str = ""

    @property
    def model(self) -> Path:
        """The folder of its finished model."""
        return self.folder / MODEL

    def after(self, former: Stage) -> Stage:
        """The stage with the model it begins from among its settings, as a name and a digest, wherever that lies.

        So its states belong to that model, and another one, of a former stage that was trained anew, is refused.
        """
        start = f"{former.folder.name}/{MODEL} ({_digest(former.model / WEIGHTS)})"
        begun = self.run.start.model_copy(update={"model": start})
        return replace(self, run=self.run.model_copy(update={"start": begun}))

    def is_finished(self) -> bool:
        """Whether its model is there, whole, and made by these settings."""
        try:
            _, settings = unseal(self.model)
        except ValueError:
            return False
        return settings == self._settings()

    def finish(self, step: int) -> None:
        """Seal its model, which has been written. Raises `PixtellError` when the disk refuses."""
        with telling(self.model):
            seal(self.model, step, self._settings())

    def _settings(self) -> dict[str, object]:
        """What decides the finished model: where the best look is kept, also what was looked at."""
        looks = self.run.validation.model_dump(mode="json") if self.run.validation.keep_best else None
        return {**self.run.deciding(), "keep_best": looks}


def stages_in(folder: Path, runs: Sequence[RunConfig]) -> tuple[Stage, ...]:
    """The stages of these runs. Raises `ConfigError` where the folder holds a run of one stage, and these are several.

    Or the other way round: neither could go on from what is there, and their models would lie in the same place.
    """
    if len(runs) == 1:
        if (folder / FIRST).exists():
            raise ConfigError(f"{folder}: holds the stages of a run file with [[then]]: choose another folder")
        return (Stage(runs[0], folder),)
    if found_states(folder):
        raise ConfigError(
            f"{folder}: holds a run without [[then]]: move all of it but its run file to {folder / FIRST}, and it is "
            "the first stage; or choose another folder"
        )
    return tuple(
        Stage(run, folder / f"stage-{number}", f"stage {number} of {len(runs)}")
        for number, run in enumerate(runs, start=1)
    )


def _digest(path: Path) -> str:
    """The first half of a file's BLAKE2: enough to tell one model from another."""
    digest = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        while block := file.read(AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
