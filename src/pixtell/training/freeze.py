"""Which weights learn, and which of a block's insides are kept for the backward pass.

In: a model, a run's settings, a step. Out: names of weights; `hold_still` makes it so. The surprising thing: what
learns is a function of the step and nothing else, so that a resumed run thaws the encoder where the first one would.
"""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.training.config import OptimConfig, RunConfig
from pixtell.training.lora import DOWN, UP

AFTER_THE_BLOCKS = ("vision.head.", "vision.ln_post.")


def learning_weights(model: GitModel, run: RunConfig, step: int) -> frozenset[str]:
    """The names of the weights that learn at `step`. Raises `ConfigError` for parts in `run.frozen` that it lacks."""
    names = [name for name, _ in model.named_parameters()]
    if run.lora is not None:
        return frozenset(name for name in names if name.endswith((DOWN, UP)))
    unknown = [part for part in run.frozen if not any(_is_of(name, part) for name in names)]
    if unknown:
        parts = sorted({name.partition(".")[0] for name in names})
        raise ConfigError(f"frozen: no weight's name begins with {', '.join(unknown)}; parts are {', '.join(parts)}")
    return frozenset(
        name
        for name in names
        if not any(_is_of(name, part) for part in run.frozen)
        and (not name.startswith("vision.") or _encoder_learns(model, run.optim, name, step))
    )


def ever_learning(model: GitModel, run: RunConfig) -> frozenset[str]:
    """The names of the weights that learn at any step of the run."""
    return learning_weights(model, run, run.optim.frozen_encoder_steps)


def _is_of(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part.rstrip('.')}.")


def _encoder_learns(model: GitModel, config: OptimConfig, name: str, step: int) -> bool:
    """Whether a weight of the encoder learns: from its step on, all of it, or the last blocks and what follows."""
    if step < config.frozen_encoder_steps:
        return False
    if config.encoder_blocks is None or name.startswith(AFTER_THE_BLOCKS):
        return True
    blocks = len(list(model.vision.get_submodule("blocks").children()))
    last = range(max(0, blocks - config.encoder_blocks), blocks)
    return name.startswith(tuple(f"vision.blocks.{block}." for block in last))


def hold_still(model: nn.Module, learning: frozenset[str]) -> None:
    """Let the weights named in `learning` learn, and no others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in learning)


def checkpoint_gradients(model: GitModel) -> None:
    """Let the blocks compute their insides again in the backward pass rather than keep them (arXiv 1604.06174).

    Of the decoder's blocks it is the second half: attention's keys and values are read from outside the block.
    """
    for blocks, method in ((model.vision.get_submodule("blocks"), "forward"), (model.decoder.blocks, "finish")):
        for block in blocks.children():
            # An attribute of the instance goes before the method of its class, and names of weights stay as they are.
            setattr(block, method, partial(checkpoint, getattr(block, method), use_reentrant=False))
