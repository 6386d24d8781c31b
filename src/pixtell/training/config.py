"""A run file: everything that decides a training, in one TOML file, checked before anything is loaded.

In: TOML. Out: a frozen `RunConfig`. Unknown names and values out of range are all listed at once. Relative data paths
are relative to the run file.
"""

from __future__ import annotations

import glob
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pixtell.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0.0)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartConfig(_Closed):
    """What the weights start from: a checkpoint (`model`), or published parts for a small model (the other fields).

    `efficientnet` is the number of EfficientNet-Lite, `layers` how many of MiniLM's six layers the decoder takes,
    `size` the pictures' side in pixels, `frames` the number of temporal embeddings.
    """

    model: str | None = None
    efficientnet: Annotated[int, Field(ge=0, le=2)] = 2
    layers: Annotated[int, Field(ge=1, le=6)] = 4
    size: Positive = 256
    frames: Annotated[int, Field(ge=0)] = 6
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    attention_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1

    @model_validator(mode="after")
    def _one_start(self) -> StartConfig:
        others = sorted(self.model_fields_set - {"model"})
        if self.model is not None and others:
            raise ValueError(f"a checkpoint brings its own shape: {', '.join(others)} do not go with `model`")
        return self


class StreamConfig(_Closed):
    """One source of batches; see `pixtell.data.loader.Stream`. `data` is a glob of tars."""

    data: str
    weight: Positive = 1
    media: Positive = 32
    texts: Positive = 5
    frames: Positive = 1
    flip: bool = True
    area: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    max_tokens: Annotated[int, Field(ge=3)] = 42
    switch_marks: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0


class OptimConfig(_Closed):
    """Learning rates at their peak, and how they get there. The defaults are the paper's.

    The encoder stays as it is for the first `frozen_encoder_steps`; then its last `encoder_blocks` blocks learn, with
    what follows them (none given: all of it). Lower blocks are the dear ones to train and the ones least in need of it.
    """

    encoder_lr: Rate = 1e-5
    decoder_lr: Rate = 5e-5
    warmup: Positive = 500
    weight_decay: Rate = 0.01
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    frozen_encoder_steps: Annotated[int, Field(ge=0)] = 0
    encoder_blocks: Positive | None = None


class ValidationConfig(_Closed):
    """What is looked at on the way: every `every` steps, `limit` rows of `captions` and `questions` (globs of tars)."""

    every: Positive = 500
    limit: Positive = 200
    captions: str | None = None
    questions: str | None = None


class RunConfig(_Closed):
    """A whole run. `save_every` steps the state is written; `bf16` runs the matrix products in bfloat16."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    steps: Positive
    save_every: Positive = 100
    bf16: bool = True
    start: StartConfig = StartConfig()
    streams: Annotated[tuple[StreamConfig, ...], Field(min_length=1)]
    optim: OptimConfig = OptimConfig()
    validation: ValidationConfig = ValidationConfig()


def load_run(path: Path) -> RunConfig:
    """Read and check a run file. Raises `ConfigError` listing every problem with the name of its field."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such run file") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as error:
        found = error.errors()
        # A list of streams with mistakes in them counts as empty, too: of such a pair only the inner one helps.
        inner = {d["loc"][:depth] for d in found for depth in range(len(d["loc"]))}
        raise ConfigError.listing(str(path), [_problem(d) for d in found if d["loc"] not in inner]) from None


def _problem(details: ErrorDetails) -> str:
    """One problem in a line; of a field that is missing, or a section as a whole, there is no value to show."""
    where, what = ".".join(map(str, details["loc"])), details["msg"]
    shown = "" if isinstance(details["input"], dict) else f", got {details['input']!r}"
    return f"{where}: {what[0].lower()}{what[1:]}{shown}"


def tars(pattern: str, run_file: Path) -> list[Path]:
    """The tars that a glob of the run file names. Raises `ConfigError` when there are none."""
    found = sorted(run_file.parent / path for path in glob.glob(pattern, root_dir=run_file.parent, recursive=True))
    if not found:
        raise ConfigError(f"{run_file}: no file matches {pattern!r} (relative to {run_file.parent})")
    return found
