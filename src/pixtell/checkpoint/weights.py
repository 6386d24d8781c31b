"""Files of tensors, looked at before they are read.

In: a path. Out: what each tensor's name, shape and dtype are, and then the tensors. A safetensors file says so in its
header, which is checked here against the file's length, so a wrong or hostile file costs no memory. A PyTorch file
(`.pt`, `.bin`) has to be unpickled for it: `weights_only=True`, and only from the two containers that `torch.save`
writes, uncompressed.

The surprising thing: names of shards come out of an index file, and are refused when they lead out of its folder.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixtell.checkpoint.state import TensorInfo, describe, packed
from pixtell.errors import CheckpointError

MAX_HEADER = 8 * 2**20  # bytes; the largest released model needs 60 kB
MAX_JSON = 64 * 2**20  # bytes; a tokenizer.json of 30,522 pieces has 0.7 MB
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how `torch.save` began before version 1.6
LFS_MAGIC = b"version https://git-lfs"
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}


def read_json(path: Path) -> Any:
    """The content of a JSON file; `CheckpointError` when it is missing, too large or not JSON."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes of JSON; at most {MAX_JSON:,} are read")
        return _parse(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({str(error)[:100]})") from error


def read_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file that must hold an object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a JSON {type(content).__name__}, not an object")
    return content


def _parse(data: bytes) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not a number")

    return json.loads(data.decode("utf-8"), parse_constant=refuse)


@dataclass(frozen=True)
class TensorFile:
    """A file of tensors whose names, shapes and dtypes are known; `tensors` holds them when they had to be read."""

    path: Path
    infos: Mapping[str, TensorInfo]
    tensors: Mapping[str, Tensor] | None = None

    def read(self) -> dict[str, Tensor]:
        """The tensors; `CheckpointError` when the file breaks while being read."""
        if self.tensors is not None:
            return dict(self.tensors)
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(self.path)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(f"{self.path}: can't be read ({_first_line(error)})") from error


def open_safetensors(path: Path) -> TensorFile:
    """Read and check the header of a safetensors file; no tensor is read.

    Raises `CheckpointError` for a file that is missing, truncated, too long for its header, or has a header above
    `MAX_HEADER` bytes, broken JSON, impossible shapes or offsets that leave holes.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(len(LFS_MAGIC))
            if start == LFS_MAGIC:
                raise _git_lfs(path)
            length = int.from_bytes(start[:8], "little")
            if size < 8 or length > MAX_HEADER or length < 2:
                raise CheckpointError(f"{path}: not a safetensors file, or a damaged one (header of {length:,} bytes)")
            file.seek(8)
            header = file.read(length)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from error
    try:
        content = _parse(header)
        infos, end = _header_infos(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: damaged safetensors header ({str(error)[:100]})") from error
    if size != 8 + length + end:
        raise CheckpointError(
            f"{path}: {size:,} bytes, but its header promises {8 + length + end:,}: download or copy it again"
        )
    return TensorFile(path, infos)


def _header_infos(content: dict[str, Any]) -> tuple[dict[str, TensorInfo], int]:
    """Shapes and dtypes in a header, and how many bytes its tensors take; `ValueError` on contradictions."""
    infos, spans = {}, []
    for name, entry in content.items():
        if name == "__metadata__":
            continue
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if any(type(number) is not int or number < 0 for number in (*shape, begin, end)):
            raise ValueError(f"{name[:100]} has a shape or an offset that is not a whole number")
        if dtype in BITS and math.prod(shape) * BITS[dtype] != 8 * (end - begin):
            raise ValueError(f"{name[:100]} of shape {shape} does not take {end - begin} bytes")
        infos[name] = TensorInfo(tuple(shape), str(dtype)[:20])
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ValueError(f"tensors overlap or leave a hole at byte {position}")
        position = end
    return infos, position


def open_torch(path: Path) -> tuple[TensorFile, Mapping[str, Any]]:
    """Unpickle a PyTorch file with `weights_only=True`; also returns what it holds (a dict), for the caller to judge.

    The tensors of the file are those of its `model` entry (authors' `model.pt`), or else of the dict itself
    (`pytorch_model.bin`). Raises `CheckpointError` for anything that `torch.save` of plain tensors does not write:
    compressed or scripted archives, `.pt2`, pickles with code in them, truncated files.
    """
    _check_container(path)
    try:
        with path.open("rb") as file:  # given a path, torch.load would go by the name's ending
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds more than tensors, which could run code when loaded, and is refused; save its state dict "
            f"alone with torch.save, or as safetensors"
        ) from error
    except Exception as error:  # a damaged byte can lead PyTorch's unpickler anywhere
        raise CheckpointError(f"{path}: damaged or truncated PyTorch file ({_first_line(error)})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dict of tensors")
    state = content["model"] if isinstance(content.get("model"), dict) else content
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    strange = [str(name) for name in state if str(name) not in tensors]
    if state is not content and strange:
        raise CheckpointError(f"{path}: not tensors: {', '.join(name[:100] for name in strange[:20])}")
    sparse = [name for name, tensor in tensors.items() if tensor.layout != torch.strided or tensor.is_quantized]
    if sparse:
        raise CheckpointError(f"{path}: sparse or quantised tensors are not read: {', '.join(sparse[:20])}")
    return TensorFile(path, describe(tensors), tensors), content


def _check_container(path: Path) -> None:
    """Refuse a file that is not what `torch.save` writes, before PyTorch looks at it."""
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_MAGIC))
        if start == LFS_MAGIC:
            raise _git_lfs(path)
        if start.startswith(LEGACY_MAGIC):
            return
        if not zipfile.is_zipfile(path):
            raise CheckpointError(f"{path}: not a PyTorch file, or a truncated one: download or copy it again")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise CheckpointError(f"{path}: can't be read ({_first_line(error)})") from error
    names = [member.filename.partition("/")[2] for member in members]
    if "archive_format" in names or any(name.startswith(("code/", "models/")) for name in names):
        raise CheckpointError(
            f"{path}: a program saved by torch.jit or torch.export (.pt2), not weights; it is refused"
        )
    if "data.pkl" not in names:
        raise CheckpointError(f"{path}: a zip archive, but not one that torch.save wrote")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError(f"{path}: a compressed archive, which torch.save does not write; it is refused")


def open_shards(index: Path) -> list[TensorFile]:
    """The files that an index (`*.index.json`) spreads a model's tensors over.

    Raises `CheckpointError` when a shard's name is a path, a shard is missing, or one holds other tensors than the
    index says.
    """
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index}: has no weight_map of tensor names to file names")
    files = []
    for shard in sorted(set(weight_map.values())):
        if shard != os.path.basename(shard) or "\\" in shard or shard in ("", ".", ".."):
            raise CheckpointError(f"{index}: {shard[:200]!r} is not a plain file name")
        path = index.parent / shard
        file = open_safetensors(path) if index.name.startswith("model.safetensors") else open_torch(path)[0]
        promised = {name for name, place in weight_map.items() if place == shard}
        if promised != file.infos.keys():
            wrong = sorted(promised ^ file.infos.keys())
            raise CheckpointError(
                f"{path}: {len(wrong)} tensors are not where {index.name} says, such as {', '.join(wrong[:5])}"
            )
        files.append(file)
    return files


def save_safetensors(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, with the metadata that transformers asks for; `OSError` when the disk refuses."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(packed(state), path, metadata={"format": "pt"})
        path.chmod(0o644)  # safetensors leaves it readable to its owner alone
    except SafetensorError as error:
        raise OSError(_first_line(error)) from error


def save_torch(content: Mapping[str, Any], path: Path) -> None:
    """Write a PyTorch file; `OSError` when the disk refuses."""
    try:
        torch.save(dict(content), path)
    except RuntimeError as error:
        raise OSError(_first_line(error)) from error


def is_torch_file(path: Path) -> bool:
    """Whether a file begins like one that `torch.save` wrote (a zip archive, or the container before that)."""
    try:
        with path.open("rb") as file:
            start = file.read(len(LEGACY_MAGIC))
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from error
    return start.startswith((b"PK\x03\x04", LEGACY_MAGIC))


def _git_lfs(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: a Git LFS pointer, not the weights: run `git lfs pull` in its folder")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return (text or type(error).__name__)[:150]
