"""Who tells the rows: the model in this process, or one in a process of its own for each device.

In: media that were seen. Out: a future of their rows. The surprising thing: parts of a job are handed to devices in
turn and taken back in order, so with several devices too the outputs are those of one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING

from pixtell.batch.decode import Seen
from pixtell.batch.row import Row
from pixtell.batch.work import Work
from pixtell.data.workers import end_with_parent
from pixtell.errors import PixtellError

if TYPE_CHECKING:
    from pixtell.captioner import Captioner

LIVE_ACTIVATIONS = 12  # values of one token in the encoder at a time, in widths: residual, queries to values, MLP
SHARE_OF_CPU = 1 << 30  # bytes that a pass may take
TEXT_TOKENS = 41  # of a text as long as `DecodeOptions` allows unless told otherwise, with [CLS]
LEAST_ON_CPU, MOST_ON_CPU, TEXTS_ON_CPU = 8, 32, 128  # media, media, and texts in the making
MOST_ON_GPU = 256
SHARE_OF_GPU = 0.5  # of what is free: texts and their beams need the rest

Load = Callable[[str], "Captioner"]  # of a device; sent to processes, so a function or a bound method of plain data

_captioner: Captioner | None = None  # of a process that serves one device


def automatic_batch_size(captioner: Captioner, beams: int = 1) -> int:
    """How many media should share a pass, by what one needs: its visual keys and values, and the encoder's activations.

    Larger passes read the decoder's weights less often. On a CPU 32 greedy texts are decoded in 0.6 of the time that
    they take 8 by 8 (git-base), and beyond 32 media nothing is gained; beams of one medium share what they read of it,
    so 128 of them take three quarters of the time that they take 32 by 32. A GPU is filled to a part of what is free.
    When memory runs out all the same, `Work.rows` halves the number.
    """
    config = captioner.config
    parameter = next(captioner.model.parameters())
    side = config.pixels.max_size or config.pixels.size
    tokens = (side // getattr(config.vision, "patch_size", 32) + 1) ** 2
    kept = 2 * config.text.layers * config.text.width
    passing = LIVE_ACTIVATIONS * config.vision.width
    needed = tokens * (kept + passing) * parameter.element_size()
    if parameter.device.type != "cuda":
        most = max(LEAST_ON_CPU, min(MOST_ON_CPU, TEXTS_ON_CPU // beams))
        texts = 2 * beams * TEXT_TOKENS * kept * 4  # float32, in the two places between which a search takes turns
        return max(1, min(most, SHARE_OF_CPU // (needed + texts)))
    import torch

    free, _ = torch.cuda.mem_get_info(parameter.device)
    return max(1, min(MOST_ON_GPU, int(SHARE_OF_GPU * free) // needed))


class Here:
    """The model in this process."""

    def __init__(self, captioner: Captioner, work: Work) -> None:
        self._captioner = captioner
        self._work = work

    def tell(self, seen: Sequence[Seen]) -> Future[list[Row]]:
        """Rows of media, made at once."""
        told: Future[list[Row]] = Future()
        told.set_result(self._work.rows(self._captioner, seen))
        return told

    def close(self) -> None:
        """Nothing is held."""


class Devices:
    """A process with the model for each of `devices`."""

    def __init__(self, load: Load, work: Work, devices: Sequence[str], batch_size: int = 8) -> None:
        self._work = work
        self._devices = list(devices)
        self._pools = [
            ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=_serve, initargs=(load, device, batch_size)
            )
            for device in devices
        ]
        self._turn = 0

    def tell(self, seen: Sequence[Seen]) -> Future[list[Row]]:
        """Rows of media, made by the next device in turn. The future raises `PixtellError` when its process died."""
        number = self._turn % len(self._pools)
        self._turn += 1
        device = self._devices[number]
        told: Future[list[Row]] = Future()

        def hand_over(done: Future[list[Row]]) -> None:
            error = done.exception()
            if isinstance(error, BrokenProcessPool):
                error = PixtellError(
                    f"{device}: the process with the model died, perhaps of memory: try a smaller --batch-size; all "
                    "finished rows are kept, and the same command goes on from them"
                )
            if error is not None:
                told.set_exception(error)
            else:
                told.set_result(done.result())

        try:
            self._pools[number].submit(_rows, self._work, seen).add_done_callback(hand_over)
        except BrokenProcessPool as error:
            broken: Future[list[Row]] = Future()
            broken.set_exception(error)
            hand_over(broken)
        return told

    def close(self) -> None:
        """End the processes."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _serve(load: Load, device: str, batch_size: int) -> None:
    global _captioner
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _captioner = load(device)
    _captioner.batch_size = batch_size


def _rows(work: Work, seen: Sequence[Seen]) -> list[Row]:
    assert _captioner is not None
    return work.rows(_captioner, seen)
