"""Does a released model compute what it was published to compute? Three logits decide.

In: a `Checkpoint` and the picture (or clip) that its logits were published for. Out: a `VerifyReport` with the
published numbers, ours, and the verdict. The numbers are those that transformers' converter of the authors' weights
asserted (release 4.26, `convert_git_to_pytorch.py`): the first three logits after [CLS].

The surprising thing: they were computed with the hub's pixels (squares, and other colours for clips), so a model that
was loaded with the authors' is given the hub's here, whatever its config says.

    B media, F frames, C channels, H W pixels, K texts, T text tokens, V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import PRESETS
from pixtell.errors import CheckpointError, InputError
from pixtell.media import open_media
from pixtell.pixels import to_pixels

CATS = "000000039769.jpg"  # COCO val2017: two cats on a pink sofa
BUS = "bus.png"  # the dataset nielsr/textvqa-sample on the hub
SPAGHETTI = "eating_spaghetti.mp4"  # the dataset nielsr/video-demo on the hub

# As the converter's `torch.allclose`: the published numbers have four decimals.
ATOL, RTOL = 1e-4, 1e-5


@dataclass(frozen=True)
class Published:
    """What a released model says about `medium`: its first three logits after [CLS]."""

    logits: tuple[float, float, float]
    medium: str = CATS


PUBLISHED: dict[str, Published] = {
    "git-base": Published((-1.2832, -1.2835, -1.2840)),
    "git-base-coco": Published((-0.9925, -0.9930, -0.9935)),
    "git-base-textcaps": Published((-1.2980, -1.2983, -1.2985)),
    "git-base-vqav2": Published((-0.8570, -0.8568, -0.8561)),
    "git-base-textvqa": Published((-1.4085, -1.4083, -1.4082), BUS),
    "git-base-vatex": Published((-1.3451, -1.3447, -1.3447), SPAGHETTI),
    "git-base-msrvtt-qa": Published((-0.8554, -0.8550, -0.8540), SPAGHETTI),
    "git-large": Published((-1.1708, -1.1707, -1.1705)),
    "git-large-coco": Published((-1.0425, -1.0423, -1.0422)),
    "git-large-textcaps": Published((-1.2705, -1.2708, -1.2706)),
    "git-large-vqav2": Published((-0.7042, -0.7043, -0.7043)),
    "git-large-textvqa": Published((-0.8590, -0.8592, -0.8590), BUS),
    "git-large-vatex": Published((-1.0113, -1.0114, -1.0113), SPAGHETTI),
    "git-large-msrvtt-qa": Published((0.0130, 0.0134, 0.0131), SPAGHETTI),
    "git-large-r": Published((-1.1283, -1.1285, -1.1286)),
    "git-large-r-coco": Published((-0.9641, -0.9641, -0.9641)),
    "git-large-r-textcaps": Published((-1.1121, -1.1120, -1.1124)),
}


@dataclass(frozen=True)
class VerifyReport:
    """Published and computed logits side by side; `str` of it is what a person reads."""

    name: str
    medium: str
    given: str
    published: tuple[float, ...]
    computed: tuple[float, ...]

    @property
    def passed(self) -> bool:
        """Whether every logit is within `ATOL` (plus `RTOL` of its size) of the published one."""
        return all(
            abs(ours - theirs) <= ATOL + RTOL * abs(theirs)
            for ours, theirs in zip(self.computed, self.published, strict=True)
        )

    def __str__(self) -> str:
        lines = [f"{self.name} on {self.given} (published for {self.medium}), logits after [CLS]"]
        lines.append(f"{'':7}{'published':>12}{'computed':>12}{'difference':>12}")
        for number, (theirs, ours) in enumerate(zip(self.published, self.computed, strict=True)):
            lines.append(f"{number:7}{theirs:12.4f}{ours:12.4f}{ours - theirs:12.5f}")
        verdict = "pass" if self.passed else "FAIL"
        return "\n".join([*lines, f"{verdict}: must agree within {ATOL:g}"])


def verify(checkpoint: Checkpoint, medium: Any, name: str | None = None) -> VerifyReport:
    """Compare a released model with its published logits on `medium`, anything that `open_media` takes.

    `name` says which released model it is, for a checkpoint that doesn't (one that was loaded from a path). Clips are
    sampled as the converter did it: a window of 24 frames, numpy's seed 0. Computed in float32 on the CPU.

    Raises `CheckpointError` for a model without published logits, `InputError` for a picture where a clip is needed.
    """
    name = name or checkpoint.preset
    if name not in PUBLISHED:
        which = "it is not known which model this is" if name is None else f"{name} has no published logits"
        raise CheckpointError(f"{which}; those that have are {', '.join(PUBLISHED)} (preset=, --preset)")
    published = PUBLISHED[name]
    frames = PRESETS[name].model.frames
    # The converter opened files without turning them as their EXIF says.
    media = open_media(medium, frames=frames or 1, sampling="window", seed=0, respect_exif=False)
    if len(media.frames) != (frames or 1):
        needed = f"a clip of {frames} frames" if frames else "one picture"
        raise InputError("frames", f"{media.source}: {len(media.frames)} frames, but {name} needs {needed}")
    pixels_FCHW = to_pixels(media.frames, PRESETS[name].hub_pixels)
    model = build_model(checkpoint)
    with torch.inference_mode():
        visual_BPD = model.see(pixels_FCHW[None])
        ids_BKT = torch.tensor([[[checkpoint.config.text.cls_id]]])
        logits_BKTV = model(visual_BPD, ids_BKT)
    computed = tuple(logits_BKTV[0, 0, -1, : len(published.logits)].tolist())
    return VerifyReport(name, published.medium, media.source, published.logits, computed)
