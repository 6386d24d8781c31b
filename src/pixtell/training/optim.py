"""AdamW with two learning rates, and the schedule both follow (paper, appendix on pre-training).

The image encoder learns slower than the text decoder (1e-5 against 5e-5 in the paper); both warm up linearly and then
fall along a cosine to 0. The surprising thing: the optimiser holds no schedule; the rate is a function of the step,
set before each one, so that resuming needs nothing but the step number. And its moments are there from the start, zero,
so that a state has the same tensors whenever it is saved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from pixtell.training.config import OptimConfig

EPSILON = 1e-8


def build_optimizer(parameters: Iterable[tuple[str, nn.Parameter]], config: OptimConfig) -> torch.optim.AdamW:
    """Four groups: encoder and the rest, each with and without weight decay (biases, norms and vectors have none)."""
    named = list(parameters)
    groups = []
    for name, lr, of_encoder in (("encoder", config.rate_of_encoder, True), ("decoder", config.lr, False)):
        chosen = [p for n, p in named if n.startswith("vision.") == of_encoder]
        for decays in (True, False):
            some = [p for p in chosen if (p.dim() > 1) == decays]
            decay = config.weight_decay if decays else 0.0
            groups.append({"params": some, "lr": lr, "peak_lr": lr, "weight_decay": decay, "name": name})
    # Fused on a CPU, too: git-base's update takes 0.08 s there instead of 0.4.
    optimizer = torch.optim.AdamW(groups, betas=config.betas, eps=EPSILON, fused=True)
    for _, parameter in named:
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),  # beside the weights, where the fused update looks
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        }
    return optimizer


def learning_rate(step: int, steps: int, warmup: int, frozen: int = 0) -> float:
    """The share of the peak rate at `step` (from 0): linear up to 1 over `warmup` steps, then a cosine to 0.

    For the first `frozen` steps it is 0; the schedule begins after them.
    """
    step, steps = step - frozen, steps - frozen
    if step < 0:
        return 0.0
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, steps: int) -> None:
    """Give each group its rate for `step`; the encoder's schedule starts where it is thawed."""
    for group in optimizer.param_groups:
        frozen = config.frozen_encoder_steps if group["name"] == "encoder" else 0
        group["lr"] = group["peak_lr"] * learning_rate(step, steps, config.warmup, frozen)


def clip_gradients(parameters: Iterable[Tensor], limit: float) -> float:
    """Scale all gradients down to a norm of at most `limit`; returns the norm before, over all processes' slices."""
    norm = nn.utils.clip_grad_norm_(parameters, limit)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
