"""Everything a resume needs, in a folder for each saved step that is never half there.

In: named tensors and a step. Out: `step-00000120/` in the run's folder, written by torch.distributed.checkpoint while
the training goes on (the tensors are copied first), by all processes together, each what it holds. It is written under
another name, summed up file by file, and then renamed: so a kill at any moment leaves whole ones only, and one that
was damaged later is known by its sums. A resume takes the newest whole one, with any number of processes.

The surprising thing: no random state is kept, and no place in the data. All chance of a step, its batches too, follows
from the seed and the step number. (`.metadata` is a pickle, as torch.distributed.checkpoint writes it: go on with runs
of your own only. The finished model is safetensors.)
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from pixtell.errors import CheckpointError, ConfigError, PixtellError
from pixtell.training.config import SavingConfig
from pixtell.training.dist import World

SEAL = "whole.json"  # its presence says that all else is there: step, settings, sizes and sums of the other files
PARTIAL = ".partial"
KEPT = "kept"  # one name over all tensors: torch spends half a millisecond on each name at the top
AT_ONCE = 1 << 24  # bytes read at a time for a sum


class States:
    """The states of one run in its folder. `settings` are what decides the run, by which it knows its own.

    `beside` are texts by the names of their files, which each state holds beside its tensors.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, object],
        config: SavingConfig,
        world: World,
        say: Callable[[str], None],
        beside: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.config = config
        self.world = world
        self.say = say
        self.beside = beside
        # Two threads must not speak in one group of processes: the one that saves has its own.
        self.group = dist.new_group(backend="gloo") if world.size > 1 else None
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="save")
        self.pending: Future[None] | None = None
        # torch warns, in a thread that no context manager reaches, that one process saves alone: it is meant to.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")

    def save(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the state after `step` steps; the last one to be written is waited for first.

        Raises `PixtellError` when the disk refused that or this one; the states before it are still there.
        """
        self.wait()
        partial = self.folder / f"{_name(step)}{PARTIAL}"
        try:
            written = async_save({KEPT: dict(tensors)}, checkpoint_id=partial, process_group=self.group)
        except (Exception, CheckpointException) as error:
            raise _cant_be_written(partial, error) from None
        assert isinstance(written, Future)
        self.pending = self.thread.submit(self._finish, written, partial, step)
        if not self.config.asynchronous:
            self.wait()

    def wait(self) -> None:
        """Wait until what was saved is on the disk. Raises `PixtellError` when it can't be."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Wait for the last save, and let the thread go."""
        try:
            self.wait()
        finally:
            self.thread.shutdown()

    def restore(self, tensors: Mapping[str, Tensor]) -> int:
        """Load the newest whole state into `tensors`, if there is one; returns the steps already done (0: none).

        Raises `ConfigError` when the folder belongs to another run or the model has other shapes, `CheckpointError`
        when there are states but none is whole.
        """
        step = self.world.of_first(self._newest_whole)
        if step:
            path = self.folder / _name(step)
            _compare_shapes(path, tensors)
            try:
                load({KEPT: dict(tensors)}, checkpoint_id=path)
            except CheckpointException as error:
                raise CheckpointError(f"{path}: can't be read: {_last_line(error)}") from None
        return step

    def _finish(self, written: Future[object], partial: Path, step: int) -> None:
        """In the thread that saves: seal what has been written, give it its name, and drop the oldest."""
        try:
            written.result()
            if self.world.first:
                for name, text in self.beside.items():
                    (partial / name).write_text(text, encoding="utf-8")
                seal(partial, step, self.settings)
                os.replace(partial, self.folder / _name(step))
                _flush(self.folder)
                for old in found_states(self.folder)[: -self.config.keep]:
                    _remove(old)
        except (Exception, CheckpointException) as error:  # torch's own is no Exception
            raise _cant_be_written(partial, error) from None

    def _newest_whole(self) -> int:
        """The step of the newest state that is whole and of this run, after sweeping up what a kill has left."""
        for left in self.folder.glob(f"step-*{PARTIAL}"):
            shutil.rmtree(left, ignore_errors=True)
        damaged = []
        for path in reversed(found_states(self.folder)):
            try:
                step, settings = unseal(path)
            except ValueError as error:
                damaged.append(path)
                self.say(f"warning: {path} is damaged ({error}); looking for one before it")
                continue
            if settings != self.settings:
                raise ConfigError(_difference(path, settings, self.settings))
            for one in damaged:
                _remove(one)
            return step
        if damaged:
            raise CheckpointError(f"{damaged[0]}: can't be read, and no state before it; delete it to start over")
        return 0


def found_states(folder: Path) -> list[Path]:
    """The folders of finished states, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.name[5:].isdecimal())


def seal(folder: Path, step: int, settings: Mapping[str, object]) -> None:
    """Write down what is in the folder of a state, and see that it is on the disk."""
    files = {path.name: _sum(path) for path in sorted(folder.iterdir())}
    content = json.dumps({"step": step, "settings": dict(settings), "files": files}, indent=1)
    with (folder / SEAL).open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _flush(folder)


def unseal(folder: Path) -> tuple[int, Mapping[str, object]]:
    """The step and the settings of a state. Raises `ValueError` if it is damaged."""
    try:
        content = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        step, settings = int(content["step"]), dict(content["settings"].items())
        wanted = {name: (int(size), int(crc)) for name, (size, crc) in content["files"].items()}
        found = {name: _sum(folder / name) for name in wanted}
    except OSError as error:
        raise ValueError(str(error)) from None
    except (LookupError, TypeError, AttributeError, ValueError):
        raise ValueError(f"{SEAL} is not what was written") from None
    for name, (size, crc) in wanted.items():
        if found[name] != (size, crc):
            raise ValueError(f"{name} has {found[name][0]:,} bytes with sum {found[name][1]}, not {size:,} with {crc}")
    return step, settings


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _sum(path: Path) -> tuple[int, int]:
    """A file's size and its CRC-32."""
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(AT_ONCE):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc


def _remove(state: Path) -> None:
    """Take a state away, so that a kill in the midst leaves no half of it under its name."""
    going = state.with_name(state.name + PARTIAL)
    shutil.rmtree(going, ignore_errors=True)
    os.replace(state, going)
    shutil.rmtree(going, ignore_errors=True)


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _compare_shapes(path: Path, tensors: Mapping[str, Tensor]) -> None:
    stored = FileSystemReader(path).read_metadata().state_dict_metadata
    sizes = {name: tuple(entry.size) for name, entry in stored.items() if isinstance(entry, TensorStorageMetadata)}
    if sizes != {f"{KEPT}.{name}": tuple(tensor.shape) for name, tensor in tensors.items()}:
        raise ConfigError(
            f"{path} holds a model of other shapes, though its settings are the same: has the data changed, and so the "
            "vocabulary? Choose another folder, or delete it"
        )


def _difference(path: Path, theirs: Mapping[str, object], ours: Mapping[str, object]) -> str:
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    told = ", ".join(f"{name} was {theirs.get(name)} and is {ours.get(name)}" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{path} is of another run ({told}{more}): choose another folder, or delete it"


def _cant_be_written(path: Path, error: BaseException) -> PixtellError:
    return PixtellError(f"{path}: can't be written: {_last_line(error)}")


def _last_line(error: BaseException) -> str:
    """What is wrong, without the traceback that torch puts before it."""
    reason = str(error).strip().splitlines()
    return reason[-1] if reason else type(error).__name__
