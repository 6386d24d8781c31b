"""A run file for who has none: a data set and a model -> settings that work, as TOML that can be kept and changed.

In: the names of a data set's files or of its folder, and of a model. Out: the text of a run file, checked. It is
written with the reason beside each setting, and the run it makes is a run as any other.

The surprising thing: the encoder of few pictures stays as it is. A few hundred can teach a decoder a new way of
speaking in minutes, but would only make an encoder forget what it has seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pixtell.config import EfficientNetLiteConfig, ModelConfig
from pixtell.data.dataset import open_dataset
from pixtell.data.loader import Loader, Stream, open_frames
from pixtell.data.sources import RowSource
from pixtell.data.whole_file import whole_file
from pixtell.errors import ConfigError, InputError
from pixtell.tokenizer import Tokenizer
from pixtell.training.config import RunConfig
from pixtell.training.cost import cost_of, fitting, free_memory
from pixtell.training.dist import World
from pixtell.training.run_file import parse_stages
from pixtell.training.start import checkpoint_of, starting_model
from pixtell.training.trainee import Trainee

# Up to so many rows, so many epochs; more are learnt once.
EPOCHS = ((400, 8), (2_000, 6), (20_000, 4), (200_000, 2))
MANY = 2_000  # rows that can teach an encoder, too
MOST_HELD_OUT, SHARE_HELD_OUT = 100, 5  # rows, and the fifth part of small sets
MOST_MEDIA, STEPS_AN_EPOCH = 32, 10
# A third of the rate that the bundled model began with (examples/pixtell-mini.toml), and less than half the paper's
# 5e-5 of pre-training (git-facts 1.3).
LR_SMALL, LR_RELEASED = 1e-4, 2e-5
JUDGED = """\
[scst]  # few captions are soon learnt by heart; texts of the model's own, by their CIDEr, teach more than that
samples = 5
baseline = "mean"
captions = 0.2  # the share of the loss that is the captions' as they are

"""
FRAMES = 6  # of a clip, as the released clip models have (git-facts 4.2)
SPARED = 0.5  # the share of free memory that a batch may take

TEXT = """\
# Made by: pixtell train --data {data_shown} --from {model_shown} -o {out_shown}
# To change something and train anew:  pixtell train {file_shown} ANOTHER-FOLDER
# {rows:,} pictures or clips with texts; {held_out} of them are held out to look at.

seed = 0
epochs = {epochs}  # passes over the {learnt:,} that are learnt: the fewer there are, the more
precision = "{precision}"  # bf16 where the machine is quick at it, else fp32
{frozen}
[start]
model = {model}{start}

[[streams]]
data = {data}
media = {media}  # pictures a batch; fewer, and more batches a step, where half of the free memory can't hold them
texts = 5  # of each picture, at most
frames = {frames}

[optim]
lr = {lr}  # of the decoder at its peak; an encoder that learns has a fifth of it
warmup = {warmup}  # steps
accumulation = {accumulation}  # batches a step

{judged}[saving]
every = {saving}  # steps: what a kill costs at most

[log]
every = {log}

[validation]
every = {looking}
before = true  # so that one sees what the training is good for
keep_best = true  # of what was looked at; few pictures are soon learnt by heart
held_out = {held_out}
limit = {limit}
"""


@dataclass(frozen=True)
class Found:
    """What a recipe is made for."""

    source: RowSource
    config: ModelConfig
    model: str
    data: tuple[str, ...]
    frames: int

    @property
    def held_out(self) -> int:
        """How many rows are not learnt."""
        return min(MOST_HELD_OUT, len(self.source) // SHARE_HELD_OUT)

    @property
    def rewarded(self) -> bool:
        """Whether they are few captions, and nothing else: questions and names of classes have no CIDEr."""
        if self.learnt >= MANY or any(pair.prompt for pair in self.source.texts()):
            return False
        return not any(self.source.is_named(row) for row in range(len(self.source)))

    @property
    def learnt(self) -> int:
        """How many rows are."""
        return len(self.source) - self.held_out


def recipe(data: Sequence[str], model: str, path: Path, device: torch.device) -> str:
    """The text of a run file for `path`, in the folder of its run; nothing is written. Raises `PixtellError`."""
    found = _look(data, model)
    whole = _text(found, path, device, found_media(found), 1)
    run, *_ = parse_stages(whole, str(path))
    fitted = _fitted(found, run, device)
    return whole if fitted == (found_media(found), 1) else _text(found, path, device, *fitted)


def compare(run: RunConfig, data: Sequence[str], model: str, path: Path) -> None:
    """See that a run file that is there is of this data set and model. Raises `ConfigError`."""
    there = (run.streams[0].data, run.start.model)
    if there != (names_of(data), name_of(model)):
        shown = " ".join([there[0]] if isinstance(there[0], str) else there[0])
        raise ConfigError(
            f"{path}: is there already, for {shown} and {there[1]}: choose another folder, or go on with that run by "
            f"pixtell train {path} {path.parent}"
        )


def keep(text: str, path: Path) -> None:
    """Write a run file, whole or not at all. Raises `PixtellError`."""
    with whole_file(path) as file:
        file.write(text.encode())


def names_of(data: Sequence[str]) -> tuple[str, ...]:
    """Files by names that mean the same wherever the run file lies."""
    return tuple(str(Path(name).absolute()) for name in data)


def name_of(model: str) -> str:
    """A model's path the same way; any other name as it is."""
    return str(Path(model).absolute()) if Path(model).exists() else model


def epochs_for(rows: int) -> int:
    """How often so many rows are learnt."""
    return next((epochs for most, epochs in EPOCHS if rows <= most), 1)


def found_media(found: Found) -> int:
    """Pictures a step: 32, of few pictures so few that an epoch has 10 steps."""
    return max(1, min(MOST_MEDIA, found.learnt // STEPS_AN_EPOCH))


def _look(data: Sequence[str], model: str) -> Found:
    names = names_of(data)
    source = RowSource(open_dataset(names))
    known = checkpoint_of(model).config
    clips = False
    for number in range(min(FRAMES, len(source))):  # the first one that can be opened tells
        try:
            clips = len(open_frames(source[number], 2)) > 1
            break
        except InputError:
            continue
    frames = max(FRAMES, known.frames) if clips else 1
    return Found(source, known, name_of(model), names, frames)


def _text(found: Found, path: Path, device: torch.device, media: int, accumulation: int) -> str:
    epochs, small = epochs_for(found.learnt), isinstance(found.config.vision, EfficientNetLiteConfig)
    steps = max(1, round(epochs * found.learnt / media / accumulation))
    few = found.learnt < MANY
    start = "\nattention_dropout = 0.0  # its random numbers are dear on a CPU" if small else ""
    if found.frames > max(1, found.config.frames):
        start += f"\nframes = {found.frames}"
    values = {
        "rows": len(found.source),
        "held_out": found.held_out,
        "learnt": found.learnt,
        "epochs": epochs,
        "precision": "bf16" if quick_at_bf16(device) else "fp32",
        "frozen": 'frozen = ["vision"]  # too few pictures to teach the encoder anything\n' if few else "",
        "start": start,
        "media": media,
        "accumulation": accumulation,
        "frames": found.frames,
        "judged": JUDGED if found.rewarded else "",
        "lr": (LR_SMALL if small else LR_RELEASED) / (2 if found.rewarded else 1),
        "warmup": max(1, steps // 10),
        "saving": max(1, min(100, steps // 5)),
        "log": max(1, min(20, steps // 10)),
        "looking": -(-steps // 3),  # three times, the last one at the end
        "limit": max(1, found.held_out),
        "model": _quoted(found.model),
        "data": f"[{', '.join(map(_quoted, found.data))}]",
    }
    shown = {"data": " --data ".join(found.data), "model": found.model, "out": str(path.parent), "file": str(path)}
    return TEXT.format(**values, **{f"{name}_shown": _printable(text) for name, text in shown.items()})


def _printable(text: str) -> str:
    """As a comment may hold it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _quoted(text: str) -> str:
    """As TOML writes it: JSON's escapes are TOML's, but for DEL. Raises `ConfigError` for what TOML can't hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{_printable(text)}: its name is not UTF-8, and a run file can't hold it: rename it, or name a link to it"
        ) from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def quick_at_bf16(device: torch.device) -> bool:
    """Whether bfloat16 saves time there: on GPUs from Ampere on, and on CPUs that have instructions for it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capable = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(ask()) for ask in capable if ask is not None)


def _fitted(found: Found, run: RunConfig, device: torch.device) -> tuple[int, int]:
    """Media of a batch, and batches of a step, that fit the memory that is free."""
    media, free = run.streams[0].media, free_memory(device)
    if free is None:
        return media, 1
    model, vocabulary = starting_model(run.start, [])
    stream = Stream(found.source, weight=1, media=media, texts=run.streams[0].texts, frames=found.frames)
    loader = Loader([stream], Tokenizer(vocabulary), model.config.pixels, run.seed)
    cost = cost_of(run, 1, Trainee.of(run, 1, model, World(device=device)), loader)
    return fitting(media, lambda media: cost.standing + cost.medium * media <= SPARED * free)
