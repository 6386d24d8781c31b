"""Low-rank adapters: a few weights learn in place of many, and end up in the many (Hu et al., arXiv 2106.09685).

In: a model and which of its linear layers to adapt. Out: the same model, whose chosen layers compute
x (W + alpha / rank * up down)^T, with only `lora_up` and `lora_down` learning. `up` starts at zero, so that the first
step starts from the model as it was. The surprising thing: the layers stay `nn.Linear` with their weights' names, so
nothing else needs to know; `merged` adds the product in and leaves a plain model.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixtell.errors import ConfigError
from pixtell.training.config import LoraConfig

DOWN, UP = ".lora_down", ".lora_up"


class LoraLinear(nn.Linear):
    """A linear layer with a low-rank addition of `scale` times `lora_up` times `lora_down`."""

    def __init__(self, plain: nn.Linear, rank: int, scale: float) -> None:
        super().__init__(plain.in_features, plain.out_features, plain.bias is not None, device="meta")
        self.weight, self.bias, self.scale = plain.weight, plain.bias, scale
        self.lora_down = nn.Parameter(plain.weight.new_empty(rank, plain.in_features))
        self.lora_up = nn.Parameter(plain.weight.new_zeros(plain.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=5**0.5)  # as the authors of the method

    def forward(self, inputs: Tensor) -> Tensor:
        """The plain layer's output plus the narrow way's."""
        plain = F.linear(inputs, self.weight, self.bias)
        return plain + self.scale * F.linear(F.linear(inputs, self.lora_down), self.lora_up)


def add_lora(model: nn.Module, config: LoraConfig) -> None:
    """Adapt the layers whose names match `config.targets`, and let nothing else of `model` learn.

    Raises `ConfigError` for patterns that match no linear layer.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    unused = [pattern for pattern in config.targets if not any(fnmatchcase(name, pattern) for name in layers)]
    if unused:
        ends = sorted({name.rpartition(".")[2] for name in layers})
        raise ConfigError(f"lora.targets: no linear layer is called {', '.join(unused)}; they end in {', '.join(ends)}")
    model.requires_grad_(False)
    for name, layer in layers.items():
        if any(fnmatchcase(name, pattern) for pattern in config.targets):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, LoraLinear(layer, config.rank, config.alpha / config.rank))


def merged(state: Mapping[str, Tensor], config: LoraConfig | None) -> dict[str, Tensor]:
    """A state with its adapters added into the plain weights, and none left."""
    plain = {name: tensor for name, tensor in state.items() if not name.endswith((DOWN, UP))}
    if config is not None:
        with torch.no_grad():
            for name in [name for name in state if name.endswith(UP)]:
                layer = name.removesuffix(UP)
                added = config.alpha / config.rank * (state[name] @ state[layer + DOWN])
                plain[f"{layer}.weight"] = plain[f"{layer}.weight"] + added
    return plain
