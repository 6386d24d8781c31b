"""The training loop, top to bottom.

In: a run file's settings, a model, batches by step number. Out: a trained model in the run's folder, a line of
`log.jsonl` every few steps. Order within a step, and why: look (evaluation sees the weights of a whole number of
steps), save (what was looked at is kept), then learn. A loss that is not finite stops the run; the last saved state
is from before it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pixtell.data.loader import Batch, Loader, prefetched
from pixtell.errors import ConfigError, PixtellError
from pixtell.model import GitModel
from pixtell.training.config import OptimConfig, RunConfig
from pixtell.training.loss import caption_loss
from pixtell.training.optim import build_optimizer, clip_gradients, set_learning_rate
from pixtell.training.state import load_state, save_state
from pixtell.training.validation import Evaluator, evaluate_all

LOG_EVERY = 20  # steps


def train(
    run: RunConfig,
    folder: Path,
    model: GitModel,
    loader: Loader,
    evaluators: Sequence[Evaluator],
    say: Callable[[str], None],
) -> GitModel:
    """Train `model` to the end of the run, going on from the state in `folder` if there is one.

    Raises `PixtellError` when the loss or its gradient stops being a number, or the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: can't be made a folder: {error.strerror}") from None
    optimizer = build_optimizer(model, run.optim)
    settings = run.model_dump_json()
    start = load_state(folder, model, optimizer, settings)
    say(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, steps {start} to {run.steps}")
    log = Log(folder / "log.jsonl", start, run.steps, say)
    model.train()
    for step, batch in enumerate(prefetched(loader, start, run.steps), start=start):
        if step > start and step % run.validation.every == 0:
            log.evaluation(step, evaluate_all(model, evaluators))
        if step > start and step % run.save_every == 0:
            save_state(folder, step, model, optimizer, settings)
        loss, norm = learn(run, model, optimizer, batch, step)
        log.step(step, loss, norm, batch.media)
    save_state(folder, run.steps, model, optimizer, settings)
    log.evaluation(run.steps, evaluate_all(model, evaluators))
    return model.eval()


def learn(
    run: RunConfig, model: GitModel, optimizer: torch.optim.Optimizer, batch: Batch, step: int
) -> tuple[float, float]:
    """One step: all chance from (seed, step), loss, gradients, update. Returns the loss and the gradients' norm."""
    torch.manual_seed(run.seed * 1_000_003 + step)
    thaw(model, run.optim, step)
    set_learning_rate(optimizer, run.optim, step, run.steps)
    with torch.autocast("cpu", torch.bfloat16, enabled=run.bf16):
        logits_BKTV = model(model.see(batch.pixels_BFCHW), batch.ids_BKT)
    loss = caption_loss(logits_BKTV, batch.ids_BKT, batch.need_predict_BKT, run.optim.label_smoothing)
    _check_finite("loss", float(loss.detach()), step)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    norm = clip_gradients(model, run.optim.clip_norm)
    _check_finite("gradients' norm", norm, step)
    optimizer.step()
    return float(loss.detach()), norm


def _check_finite(what: str, value: float, step: int) -> None:
    """Stop before the weights, and with them the next saved state, are spoiled."""
    if not math.isfinite(value):
        raise PixtellError(f"{what} is {value} at step {step}: lower the learning rate; the last saved state is good")


def thaw(model: GitModel, config: OptimConfig, step: int) -> None:
    """Let the encoder learn from its step on: all of it, or its last blocks and what comes after them."""
    learns = step >= config.frozen_encoder_steps
    if config.encoder_blocks is None:
        model.vision.requires_grad_(learns)
        return
    model.vision.requires_grad_(False)
    first = len(model.vision.blocks) - config.encoder_blocks
    after = [module for name, module in model.vision.named_children() if name in ("head", "ln_post")]
    for module in (*list(model.vision.blocks)[max(0, first) :], *after):
        module.requires_grad_(learns)


class Log:
    """Progress for people on one line every `LOG_EVERY` steps, and for programs in `log.jsonl`."""

    def __init__(self, path: Path, start: int, steps: int, say: Callable[[str], None]) -> None:
        self.path = path
        self.steps = steps
        self.say = say
        self.losses: list[float] = []
        self.media = 0
        self.since = time.monotonic()
        self.done_since = start

    def step(self, step: int, loss: float, norm: float, media: int) -> None:
        self.losses.append(loss)
        self.media += media
        if (step + 1) % LOG_EVERY:
            return
        seconds = time.monotonic() - self.since
        left = seconds / (step + 1 - self.done_since) * (self.steps - step - 1)
        mean = sum(self.losses) / len(self.losses)
        rate = self.media / seconds
        self.say(f"step {step + 1}/{self.steps}  loss {mean:.4f}  {rate:.1f} media/s  {left / 60:.0f} min left")
        self._write(step=step + 1, loss=mean, gradient_norm=norm, media_per_second=rate)
        self.losses, self.media, self.since, self.done_since = [], 0, time.monotonic(), step + 1

    def evaluation(self, step: int, numbers: dict[str, float]) -> None:
        self.say(f"step {step}  " + "  ".join(f"{name} {number:.4f}" for name, number in numbers.items()))
        self._write(step=step, **numbers)
        self.since, self.done_since, self.losses, self.media = time.monotonic(), step, [], 0

    def _write(self, **fields: float) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
