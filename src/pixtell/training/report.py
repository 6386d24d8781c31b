"""What became of a run, as one page that a browser opens from a disk, offline.

In: the log of a run's folder, its settings, and its finished model with rows that it has not learnt. Out: report.html:
curves of everything that was logged, and pictures with what the model says of them beside what people wrote. A run that
has stopped leaves the curves alone.

The surprising thing: the log has no learning rates. A rate is a function of the step (`optim.py`), so its curve is
computed.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pixtell.data.loader import open_picture
from pixtell.data.opened import FAILURES
from pixtell.data.sources import RowSource
from pixtell.data.whole_file import whole_file
from pixtell.errors import InputError
from pixtell.model import GitModel
from pixtell.page import Design, assemble, shrink
from pixtell.training.config import RunConfig
from pixtell.training.log import lines_of
from pixtell.training.optim import learning_rate
from pixtell.training.validation import Look

FILE = "report.html"
DESIGN = Design(
    generator="pixtell train",
    folder=Path(__file__).parent / "page",
    body="report.html",
    styles=("report.css",),
    scripts=("report.js",),
)
MOST_SHOWN = 24
THUMBNAIL, QUALITY = 192, 75  # as in the evaluation's report
NAMES = {
    "loss": "loss",
    "reward": "reward of samples",
    "baseline": "reward that was to be expected",
    "cider": "CIDEr, held out or validation",
    "exact_match": "exact answers",
    "caption_loss": "loss of captions that are not learnt",
    "gradient_norm": "gradients' norm",
    "media_per_second": "pictures or clips a second",
    "waiting": "share of the time that was waited for data",
}


@dataclass(frozen=True)
class Curve:
    """A number over the steps: (step, value) pairs in their order."""

    name: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Shown:
    """A row that was not learnt, and what the finished model says of it; `picture` is a data URL."""

    id: str
    question: str
    text: str
    references: tuple[str, ...]
    picture: str = field(repr=False)


@dataclass(frozen=True)
class RunReport:
    """Everything that is told of a run."""

    title: str
    steps: int
    curves: tuple[Curve, ...]
    settings: tuple[tuple[str, str], ...]
    shown: tuple[Shown, ...]


def report_of(
    run: RunConfig,
    folder: Path,
    steps: int,
    model: GitModel,
    look: Look,
    described: Sequence[RowSource],
    asked: Sequence[RowSource],
) -> RunReport:
    """Read the log, and let the model say something of the first rows. Only this process works."""
    alone = replace(look, limit=MOST_SHOWN, world=replace(look.world, rank=0, size=1))
    model = model.to(look.world.device).eval()
    with torch.inference_mode():
        shown = [one for source in described for one in _shown(source, model, alone, questions=False)]
        shown += [one for source in asked for one in _shown(source, model, alone, questions=True)]
    return RunReport(folder.name, steps, curves_of(run, steps, lines_of(folder)), _settings(run), tuple(shown))


def report_so_far(run: RunConfig, folder: Path, steps: int) -> RunReport:
    """The curves of a run of `steps` that has stopped on the way."""
    lines = lines_of(folder)
    last = max((int(line["step"]) for line in lines), default=0)
    title = f"{folder.name}, stopped: logged up to step {last:,} of {steps:,}"
    return RunReport(title, steps, curves_of(run, steps, lines), _settings(run), ())


def curves_of(run: RunConfig, steps: int, lines: Sequence[dict[str, float]]) -> tuple[Curve, ...]:
    """What was logged, and the learning rates, each over the steps; nothing that was never seen."""
    found = [
        Curve(word, tuple((int(line["step"]), line[name]) for line in lines if name in line))
        for name, word in NAMES.items()
    ]
    places = range(0, steps, max(1, steps // 200))
    warmup = run.optim.warmup
    rates = [
        Curve(
            f"learning rate, {part}",
            tuple((step + 1, peak * learning_rate(step, steps, warmup, frozen)) for step in places),
        )
        for part, peak, frozen in (
            ("decoder", run.optim.lr, 0),
            ("encoder", run.optim.rate_of_encoder, run.optim.frozen_encoder_steps),
        )
        if part == "decoder" or ("vision" not in run.frozen and run.lora is None)
    ]
    return tuple(curve for curve in (*found, *rates) if curve.points)


def write_report(report: RunReport, path: Path) -> None:
    """Write the page, whole or not at all. Raises `PixtellError` when it can't be written."""
    with whole_file(path) as file:
        file.write(page(report).encode())


def page(report: RunReport) -> str:
    """The page as text."""
    content: dict[str, Any] = asdict(report)
    return "".join(assemble(DESIGN, report.title, content))


def _settings(run: RunConfig) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in run.deciding().items() if value is not None)


def _shown(source: RowSource, model: GitModel, look: Look, questions: bool) -> list[Shown]:
    """The first rows in their order, without those that can't be seen, which are told."""
    found: dict[int, Shown] = {}
    unseen: dict[int, str] = {}
    for seen in look.batches(source, model, unseen):
        prompts = [[example.texts[0].prompt] if questions else [""] for example in seen.examples]
        said = look.answers(model, seen.pixels_BFCHW, prompts)
        for row, example, [prompt], [text] in zip(seen.rows, seen.examples, prompts, said, strict=True):
            told = tuple(pair.target for pair in example.texts if pair.prompt == prompt)
            try:
                picture = open_picture(example)  # of a clip the frame in its middle
            except FAILURES as error:
                unseen[row] = str(error)
                continue
            small = shrink(picture, THUMBNAIL, "JPEG", quality=QUALITY, optimize=True)
            address = "data:image/jpeg;base64," + base64.b64encode(small).decode("ascii")
            found[row] = Shown(example.key, prompt, text, told, address)
    try:
        look.tell_unseen(source, unseen)
    except InputError as error:  # the model is finished all the same
        look.say(f"  warning: {error}")
    return [found[row] for row in sorted(found)]
