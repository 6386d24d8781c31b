"""Where a model computes and in what numbers: the user's words -> a device, a number type, a model that is ready.

The surprising thing: "auto" is float32 on a CPU although the others are two to five times as fast there. Of 1,000
photos' captions by the bundled model's first edition, bfloat16 changed about 100 and int8 280 (greedy and 4 beams).
They are as good (CIDEr 0.483 and 0.501 in float32, 0.485 and 0.505 in bfloat16, 0.481 and 0.500 in int8), but they are
not the same.
"""

from __future__ import annotations

import torch

from pixtell.errors import ConfigError
from pixtell.memory import BLOCK_OF_A_PASS, SPARE_OF_A_PASS, keep_freed_memory
from pixtell.model import GitModel
from pixtell.packed import is_int8, pack, require_int8

# What weights are kept in until the model is packed.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int8": torch.float32,
}


def choose_device(device: str) -> torch.device:
    """The device meant by `device`; raises `ConfigError` when it isn't there."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} can't be used here: {str(error).splitlines()[0]}") from None
    return place


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The number type of the weights meant by `dtype` on `device` (float32 for int8, which is made by `ready`).

    Raises `ConfigError` for an unknown one, and for int8 where it can't be had.
    """
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if dtype not in DTYPES:
        raise ConfigError(f"dtype must be auto, {', '.join(DTYPES)}, got {dtype!r}")
    if dtype == "int8":
        if device.type != "cpu":
            raise ConfigError(f"dtype 'int8' is for the CPU, not for {device}: use bfloat16 (or device cpu)")
        require_int8()
    return DTYPES[dtype]


def ready(model: GitModel, device: torch.device, dtype: str) -> GitModel:
    """Put a model with weights of `choose_dtype(dtype, device)` on the device, and lay it out for it.

    For a CPU's sake the process keeps up to 256 MB that it frees (`pixtell.memory`).
    """
    model = model.to(device)
    if device.type != "cpu":
        return model
    keep_freed_memory(BLOCK_OF_A_PASS, SPARE_OF_A_PASS)
    return pack(model, dtype) if dtype in ("int8", "bfloat16") else model


def number_type(model: GitModel) -> str:
    """What a model computes in, in the user's words."""
    return "int8" if is_int8(model) else str(next(model.parameters()).dtype).removeprefix("torch.")
