"""AdamW with two learning rates, and the schedule both follow (paper, appendix on pre-training).

The image encoder learns slower than the text decoder (1e-5 against 5e-5 in the paper); both warm up linearly and then
fall along a cosine to 0. The surprising thing: the optimiser holds no schedule; the rate is a function of the step,
set before each one, so that resuming needs nothing but the step number.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from pixtell.model import GitModel
from pixtell.training.config import OptimConfig


def build_optimizer(model: GitModel, config: OptimConfig) -> torch.optim.AdamW:
    """Four groups: encoder and the rest, each with and without weight decay (biases, norms and vectors have none)."""
    groups = []
    for name, lr, module_names in (("encoder", config.encoder_lr, True), ("decoder", config.decoder_lr, False)):
        parameters = [p for n, p in model.named_parameters() if n.startswith("vision.") == module_names]
        for decays in (True, False):
            chosen = [p for p in parameters if (p.dim() > 1) == decays]
            decay = config.weight_decay if decays else 0.0
            groups.append({"params": chosen, "lr": lr, "peak_lr": lr, "weight_decay": decay, "name": name})
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-8)


def learning_rate(step: int, steps: int, warmup: int) -> float:
    """The share of the peak rate at `step` (from 0): linear up to 1 over `warmup` steps, then a cosine to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, steps: int) -> None:
    """Give each group its rate for `step`; the encoder's schedule starts where it is thawed."""
    for group in optimizer.param_groups:
        frozen = config.frozen_encoder_steps if group["name"] == "encoder" else 0
        share = learning_rate(step - frozen, steps - frozen, config.warmup) if step >= frozen else 0.0
        group["lr"] = group["peak_lr"] * share


def clip_gradients(model: nn.Module, limit: float) -> float:
    """Scale all gradients down to a norm of at most `limit`; returns the norm before."""
    return float(nn.utils.clip_grad_norm_(model.parameters(), limit))
