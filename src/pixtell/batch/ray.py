"""The same job on a Ray cluster: its machines open the media and its models tell the rows.

In: items on a file system that all machines share, what is asked of the model, and a folder for what is under way.
Out: what a `Job` takes as `see_ahead` and `tell`, so journal, outputs, duplicates and order are those of a local job.

    parts of the items -> opened by any processor -> told by an actor for each GPU -> a parquet file for each part
    |----------------------------- Ray Data, with its checkpoint (ray_parts.py) ----------------------------|
    this process reads those files while they come, and hands their rows to the job in the order of the inputs

The surprising thing: a part of a local job is closed by what is new in it, a part here by its number of items, as no
machine knows what the others have seen. So content that is in several parts is told in each, where only the first one's
row is kept; and texts are those of a local job, but the last digit of a log-probability may not be.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import pickle
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixtell.batch.decode import Seen, Wish
from pixtell.batch.files import make_folder
from pixtell.batch.item import Item, printable
from pixtell.batch.ray_parts import Part, Plan, Site, Telling, opened
from pixtell.batch.row import Row
from pixtell.batch.work import Work
from pixtell.errors import ConfigError, InputError, MissingExtraError, PixtellError
from pixtell.media import Media

if TYPE_CHECKING:
    from pixtell.captioner import Captioner

LOOK_AGAIN = 0.2  # seconds between two looks for new rows
REACHED_WITHIN = 10.0  # seconds
LAST_WORDS = 30.0  # seconds that Ray may take to end its work, when the last row is there
FILTER = 1  # processor that Ray keeps for looking up which parts are done; it hardly works
CORES = 4  # of a model on processors, where the cluster has as many
# Bytes for a process that opens media: a photo of 40 megapixels, and a part at the model's size. (Without a need that
# the models don't have, Ray would open media in the processes of the models, one after another.)
OPENING_MEMORY = 256 << 20
FILTER_MEMORY = 64 << 20  # bytes that Ray sets apart for the keys of finished parts, 32 letters each; its own is 1 GiB
GO_ON = "all finished rows are kept, and the same command goes on from them"


@dataclass(frozen=True)
class RayJob:
    """What the cluster is to do.

    `items` are all of the job, in order, `part` of them make a part. `load` loads the model on a device, in a process
    of perhaps another machine; `device` is the one asked for, `batch_size` of what a part holds share a pass there.
    `settings` is all else that decides a row, as JSON.
    `folder` holds what is under way, and nothing else. `address` is a cluster's, None to begin one here for this job.
    """

    items: Sequence[Item]
    wish: Wish
    work: Work
    load: Callable[[str], Captioner]
    device: str
    batch_size: int
    part: int
    settings: str
    folder: Path
    address: str | None = None

    @property
    def rows(self) -> Path:
        """The folder of Ray's parquet files."""
        return self.folder.absolute() / "rows"

    @property
    def checkpoint(self) -> Path:
        """The folder in which Ray notes the parts that are done."""
        return self.folder.absolute() / "done"

    @property
    def site(self) -> Site:
        """Where its machines work."""
        return Site(Path.cwd(), self.folder.absolute() / "marks")


class OnRay:
    """Opens and tells media on a cluster, which is joined when the first one is asked for that has no row yet.

    Raises `MissingExtraError` without ray, and `ConfigError` for an address that can't be one.
    """

    def __init__(self, job: RayJob) -> None:
        if importlib.util.find_spec("ray") is None:
            raise MissingExtraError("--engine ray needs the package ray: pip install 'pixtell[ray]'")
        if job.address is not None:
            reach(job.address)
        self._job = job
        self._landed: dict[str, tuple[tuple[int, int], Row]] = {}
        self._told: dict[str, Row] = {}
        self._read: set[str] = set()  # files of rows
        self._error: Exception | None = None
        self._running: threading.Thread | None = None
        self._open = ExitStack()

    def __enter__(self) -> OnRay:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def see_ahead(self, items: Sequence[Item]) -> Iterator[Seen]:
        """Each item in order, as the cluster found it; media come without frames, as their rows are there already."""
        if not items:
            return
        for folder in (self._job.rows, self._job.site.marks):
            make_folder(folder)
        parts = Plan(self._job.items, self._job.part, self._job.settings, self._job.folder / "parts.json").parts(items)
        keys = {part.key for part in parts}
        self._collect(keys)
        for item in items:
            while item.name not in self._landed:
                self._running = self._running or self._begin(parts)
                over = not self._running.is_alive()  # asked before the look, so that what came last is not missed
                self._collect(keys)
                if item.name not in self._landed:
                    if over:
                        raise self._failure()
                    time.sleep(LOOK_AGAIN)
            yield self._seen(item)

    def tell(self, seen: Sequence[Seen]) -> Future[list[Row]]:
        """The rows of media that came from `see_ahead`."""
        told: Future[list[Row]] = Future()
        told.set_result([self._told.pop(one.item.name) for one in seen])
        return told

    def close(self) -> None:
        """Leave the cluster; it ends when it was begun here."""
        self._open.close()

    def forget(self) -> None:
        """Remove what was under way, as the job is complete and its journal knows every row."""
        if self._running is not None:
            self._running.join(LAST_WORDS)  # it still notes there that the last part is done
        shutil.rmtree(self._job.folder, ignore_errors=True)

    def _seen(self, item: Item) -> Seen:
        stamp, row = self._landed.pop(item.name)
        if row.status == "error":
            return Seen(item, InputError(row.code, row.message), row.sha256, stamp)
        self._told[item.name] = row
        return Seen(item, Media((), item.name, ()), row.sha256, stamp)

    def _begin(self, parts: Sequence[Part]) -> threading.Thread:
        """Join the cluster, and run the parts through it in a thread."""
        for mark in self._job.site.marks.iterdir():  # of a run that was killed as a whole, which is no part's fault
            mark.unlink(missing_ok=True)
        self._open.enter_context(redirect_stdout(sys.stderr))  # where Ray tells of processes that died
        self._open.callback(joined(self._job.address).shutdown)

        def run() -> None:
            try:
                run_parts(self._job, parts)
            except Exception as error:
                self._error = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _collect(self, keys: set[str]) -> None:
        """Read files of rows that are new and whole."""
        parquet = importlib.import_module("pyarrow.parquet")
        invalid = importlib.import_module("pyarrow").ArrowInvalid
        for file in sorted(set(os.listdir(self._job.rows)) - self._read):
            try:
                found = parquet.read_table(self._job.rows / file, partitioning=None).to_pylist()
            except (invalid, OSError):  # it is being written, or a kill cut it off: its end says what is in it
                continue
            self._read.add(file)
            for part in found:
                if part["part"] in keys:  # not of files or settings that are others now
                    self._land(json.loads(part["outcomes"]))

    def _land(self, outcomes: list[dict[str, Any]]) -> None:
        for outcome in outcomes:
            size, changed = outcome["stamp"]
            row = Row.of(outcome["row"])
            self._landed[row.name] = ((size, changed), row)

    def _failure(self) -> PixtellError:
        """Why rows are missing though the cluster has ended its work."""
        if self._error is None:
            # Ray has noted parts as done whose rows never reached the disk: it lost power, or someone removed them.
            shutil.rmtree(self._job.checkpoint, ignore_errors=True)
            return PixtellError(f"{self._job.rows}: rows were lost that Ray had written; {GO_ON}")
        causes: list[BaseException] = []
        error: BaseException | None = self._error
        while error is not None and error not in causes:
            causes.append(error)
            error = getattr(error, "cause", None) or error.__cause__
        ours = next((str(one) for one in causes if isinstance(one, PixtellError)), "")
        last = ours or next((line for line in reversed(str(causes[-1]).splitlines()) if line.strip()), repr(causes[-1]))
        return PixtellError(f"Ray ended early: {printable(last.strip())}; {GO_ON}")


def reach(address: str) -> None:
    """See that something answers at a cluster's address, as Ray itself would wait for minutes. Raises `ConfigError`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ConfigError(f"--ray-address {address}: a cluster's address is HOST:PORT, on one of its own machines")
    try:
        socket.create_connection((host, int(port)), REACHED_WITHIN).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"--ray-address {address}: nothing answers there ({reason}): ray start --head") from None


def joined(address: str | None) -> Any:
    """The package ray, connected: to the cluster at `address`, or to one of this machine that ends with this process.

    Ray tells nobody that it is used, begins no web page, and is quiet. Raises `PixtellError`.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # or its thread would begin another cluster when this one is closed
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what fails is told by the error that it ends with
    own: dict[str, Any] = {}
    if address is None:
        own = {"include_dashboard": False, "num_cpus": (os.cpu_count() or 1) + FILTER}
        # Whoever reaches the ports of a cluster can run anything on it, and Ray's listen on every network.
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    ray = importlib.import_module("ray")
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with hushed():
            ray.init(
                address=address or "local",  # None would take what RAY_ADDRESS or a file of Ray's says
                log_to_driver=False,
                logging_level=logging.ERROR,
                **own,
            )
    except (OSError, RuntimeError, ValueError) as error:
        where = f"none at {address}" if address else "none could be begun"
        reason = printable(str(error).strip().partition("\n")[0])
        raise PixtellError(f"--engine ray needs a cluster, and there is {where} ({reason})") from None
    finally:
        with suppress(ValueError):  # in another thread than the main one
            signal.signal(signal.SIGTERM, handler)  # Ray takes it to end at once, but the job ends in order
    return ray


@contextmanager
def hushed() -> Iterator[None]:
    """Keep stderr from what this process and those that it begins write there: Ray tells even how loud it is to be."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def run_parts(job: RayJob, parts: Sequence[Part]) -> None:
    """Run the parts that Ray's checkpoint doesn't hold through the cluster; the rows of each go to a file."""
    ray, data = importlib.import_module("ray"), importlib.import_module("ray.data")
    files = importlib.import_module("pyarrow.fs").LocalFileSystem()
    checkpoint = importlib.import_module("ray.data.checkpoint").CheckpointConfig(
        "part", str(job.checkpoint), delete_checkpoint_on_success=False, override_filesystem=files
    )
    checkpoint.checkpoint_actor_memory_bytes = FILTER_MEMORY
    checkpoint.checkpoint_actor_pool_max_size = FILTER
    context = data.DataContext.get_current()
    context.checkpoint_config = checkpoint
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it logs with a traceback what it raises, too
    actors, device, needs = models(ray.cluster_resources(), job.device)
    told = (
        data.read_datasource(source(data, parts), override_num_blocks=len(parts))
        .map(partial(opened, wish=job.wish, site=job.site), num_cpus=1, memory=OPENING_MEMORY)
        .map(
            Telling,
            fn_constructor_args=(job.load, device, job.batch_size, job.work, job.site),
            compute=data.ActorPoolStrategy(min_size=1, max_size=actors),
            **needs,
        )
    )
    told.write_parquet(str(job.rows), filesystem=files)


def models(resources: Mapping[str, float], device: str) -> tuple[int, str, dict[str, int]]:
    """How many actors hold the model, on which device, and what each needs: one for each GPU, or else one for every few
    processors; one of those at least is left to open media, beside Ray's own. Without, all would wait forever."""
    cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    if gpus and device.partition(":")[0] in ("auto", "cuda"):
        return gpus, "cuda", {"num_gpus": 1, "num_cpus": int(cpus > gpus + FILTER)}
    actors = max(1, cpus // (CORES + 1))
    return actors, device, {"num_cpus": max(0, min(CORES, (cpus - 1 - FILTER) // actors))}


def source(data: Any, parts: Sequence[Part]) -> Any:
    """Parts as Ray Data reads them, each in a block of its own. (Its checkpoint works only for what is read.)"""
    table = importlib.import_module("pyarrow").table
    metadata = importlib.import_module("ray.data.block").BlockMetadata

    def read(key: str, items: bytes) -> list[Any]:
        return [table({"part": [key], "items": [items]})]

    class Parts(data.Datasource):  # type: ignore[misc] # Ray is not there when types are checked
        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, parallelism: int, *limits: Any, **context: Any) -> list[Any]:
            tasks = [partial(read, part.key, pickle.dumps(part.items)) for part in parts]
            return [data.ReadTask(task, metadata(1, None, None, None)) for task in tasks]

    return Parts()
