"""A model in memory, and its tensors by name: what must be there, what is there, and what it is called elsewhere.

In: a `ModelConfig` and tensors under any layout's names. Out: a `Checkpoint` under ours, or one error that lists every
unknown, missing and misshapen tensor. Nothing is half-loaded: names and shapes are compared before a tensor is read.

The surprising thing: whether a released model's head is the word embedding can't be read from its config. Hub files
always carry two copies, so the head is tied here when the two are equal bit for bit, and separate otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pixtell.checkpoint.names import HUB_SPELLINGS, IGNORED, Entry, Foreign, Shape, check_repeats, entries
from pixtell.config import ClipVitConfig, ModelConfig
from pixtell.errors import CheckpointError
from pixtell.model import GitModel

LISTED = 20  # names of each kind that an error spells out; the rest are counted

WORDS, HEAD = "decoder.word_embedding.weight", "decoder.head.weight"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model as read from, or to be written to, any layout.

    `state` holds the tensors of `GitModel(config)` under its own names, in the dtype they were stored in; `vocab` the
    word pieces, whose place is their id; `card` the README's text. `source` names where it came from, and `preset`
    the released checkpoint it is, when that is known.
    """

    config: ModelConfig
    state: Mapping[str, Tensor]
    vocab: tuple[str, ...]
    card: str = ""
    source: str = ""
    preset: str | None = None


class TensorInfo(NamedTuple):
    """What is known of a stored tensor before it is read: its shape and its dtype as safetensors spells it."""

    shape: Shape
    dtype: str


FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
DTYPE_NAMES = {dtype: name for name, dtype in FLOATS.items()}


def describe(state: Mapping[str, Tensor]) -> dict[str, TensorInfo]:
    """Shape and dtype of each tensor."""
    return {
        name: TensorInfo(tuple(tensor.shape), DTYPE_NAMES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch.")))
        for name, tensor in state.items()
    }


def expected(config: ModelConfig) -> dict[str, Shape]:
    """Names and shapes of the tensors of `GitModel(config)`, without allocating one.

    Of a model with CLIP's encoder they come from the table of `names.py`; of one with EfficientNet-Lite, from the
    model built on the `meta` device.
    """
    if isinstance(config.vision, ClipVitConfig):
        return {entry.ours: entry.shape for entry in entries(config, tied_head=config.text.tied_head)}
    return {name: tuple(tensor.shape) for name, tensor in empty_model(config).state_dict().items()}


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves tensors as they are where normal numbers would be drawn.

    On `meta` there is nothing to draw, yet PyTorch takes a second over it: it imports its symbolic algebra.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, torch.nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs) if func is not torch.randn else torch.empty(*args, **kwargs)


def empty_model(config: ModelConfig) -> GitModel:
    """The model without memory for its weights (on the `meta` device).

    Raises `CheckpointError` for absurd numbers of blocks.
    """
    check_repeats(config)
    with torch.device("meta"), _NoRandomNumbers():
        return GitModel(config)


def require(found: Mapping[str, TensorInfo], wanted: Mapping[str, Shape], where: str) -> None:
    """Raise `CheckpointError` unless `found` has exactly the `wanted` names and shapes, all floats that are read.

    Every difference is counted, and the first `LISTED` of each kind are named.
    """
    both = [name for name in wanted if name in found]
    kinds = {
        "unknown": sorted(found.keys() - wanted.keys()),
        "missing": sorted(wanted.keys() - found.keys()),
        "misshapen": [
            f"{name} is {list(found[name].shape)}, must be {list(wanted[name])}"
            for name in both
            if found[name].shape != wanted[name]
        ],
        f"not {', '.join(FLOATS)}": [
            f"{name} is {found[name].dtype}" for name in both if found[name].dtype not in FLOATS
        ],
    }
    problems = {kind: names for kind, names in kinds.items() if names}
    if problems:
        counts = ", ".join(f"{len(names)} {kind}" for kind, names in problems.items())
        lists = (f"\n  {kind}: {_listed(names)}" for kind, names in problems.items())
        raise CheckpointError(f"{where}: tensors don't fit the config ({counts})" + "".join(lists))


def _listed(names: list[str]) -> str:
    more = f" ... and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    # A name comes out of a file that may be hostile: control characters and endless names stay out of the terminal.
    shown = (repr(name)[1:-1][:200] for name in names[:LISTED])
    return ", ".join(shown) + more


def known_names(found: Mapping[str, TensorInfo], layout: Foreign) -> dict[str, str]:
    """Today's spelling -> the file's own, for the tensors of a foreign file that are to be read.

    Leaves out what `IGNORED` names and reads older spellings, unless today's is there too. The prefix `module.` of a
    model saved from DistributedDataParallel is taken off when every tensor carries it (authors' `GIT_BASE`).
    """
    prefix = "module." if found and all(name.startswith("module.") for name in found) else ""
    spellings: dict[str, str] = {}
    for name in found:
        plain = name.removeprefix(prefix)
        if plain in IGNORED[layout]:
            continue
        for old, today in HUB_SPELLINGS.items() if layout == "hub" else ():
            renamed = today + plain.removeprefix(old)
            if plain.startswith(old) and prefix + renamed not in found:
                plain = renamed
        spellings[plain] = name
    return spellings


def from_foreign(
    state: Mapping[str, Tensor], config: ModelConfig, layout: Foreign
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Translate tensors under a layout's (today's) names into ours; also settles `tied_head`.

    `state` must have passed `require` against `foreign_shapes`; it may lack the head's matrix, which is then tied.
    Raises `CheckpointError` when parts of one of our tensors differ in dtype.
    """
    ours: dict[str, Tensor] = {}
    for entry in entries(config, tied_head=False):
        parts = [state[name] for name in entry.theirs(layout) if name in state]
        if len({part.dtype for part in parts}) > 1:
            dtypes = ", ".join(f"{name} {state[name].dtype}" for name in entry.theirs(layout))
            raise CheckpointError(f"parts of {entry.ours} differ in dtype: {dtypes}")
        if parts:
            ours[entry.ours] = parts[0] if len(parts) == 1 else torch.cat(parts)
    tied = HEAD not in ours or _same_bits(ours[HEAD], ours[WORDS])
    if tied:
        ours.pop(HEAD, None)
    return replace(config, text=replace(config.text, tied_head=tied)), ours


def to_foreign(checkpoint: Checkpoint, layout: Foreign) -> dict[str, Tensor]:
    """Our tensors under a layout's names, the head's matrix always among them, none sharing memory with another."""
    state = dict(checkpoint.state)
    state.setdefault(HEAD, state[WORDS])
    theirs: dict[str, Tensor] = {}
    for entry in entries(checkpoint.config, tied_head=False):
        names = entry.theirs(layout)
        parts = state[entry.ours].chunk(len(names))
        theirs.update(
            (name, part.clone(memory_format=torch.contiguous_format)) for name, part in zip(names, parts, strict=True)
        )
    return theirs


def foreign_shapes(config: ModelConfig, layout: Foreign, *, without_head: bool = False) -> dict[str, Shape]:
    """Names and shapes that a foreign file of this model must have."""
    return _part_shapes(entries(config, tied_head=without_head), layout)


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as files want them: on the CPU, contiguous, none sharing memory with another."""
    seen: set[int] = set()
    alone = {}
    for name, tensor in state.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != tensor.numel() * tensor.element_size():
            tensor = tensor.clone()
        seen.add(tensor.untyped_storage().data_ptr())
        alone[name] = tensor
    return alone


def _part_shapes(table: Iterable[Entry], layout: Foreign) -> dict[str, Shape]:
    return {name: entry.part_shape(layout) for entry in table for name in entry.theirs(layout)}


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Equal dtype and bytes: unlike `torch.equal`, tells 0.0 from -0.0 and a NaN equals itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    whole = torch.int32 if one.element_size() == 4 else torch.int16
    return torch.equal(one.contiguous().view(whole), other.contiguous().view(whole))
