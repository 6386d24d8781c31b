"""Items become frames ahead of the model, in processes of their own.

In: items in their order, and how the model looks at media. Out: for each item, in that order, its frames at the size
that the model looks at with the digest of its bytes, or the error it failed with.

The surprising thing: the processes know neither torch nor the model. They send small pictures that are resized already,
and marked as such. And nothing that an input does to them, whatever is raised or never ends, is more than its outcome;
where there are none, as for a handful of inputs, a crash is everybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from pixtell.batch.clips import Windows, digest_of, later_windows, opened, see_windows
from pixtell.batch.item import Item, printable
from pixtell.batch.kinds import is_photo
from pixtell.config import PixelConfig
from pixtell.data.opened import FAILURES, Looks, open_source
from pixtell.data.workers import DIED, SHARING, Limit, begin_worker, in_order
from pixtell.errors import InputError
from pixtell.media import Media, Stretch
from pixtell.pixels import fit_frames

# JPEGs are decoded at the smallest scale that keeps twice the side that the model looks at: quick, and hard to tell.
OVERSIZE = 2
# Seconds. The largest photo takes a few, and addresses have a limit of their own, of 60. A clip whose file has no index
# is decoded to its end before it is seen, which at 100 frames a second takes half an hour for two hours of film.
PATIENCE = 120.0
PATIENCE_WITH_CLIPS = 3600.0


@dataclass(frozen=True)
class Wish:
    """How the model wants to see media: how they are opened, and its pixels. `exact` decodes JPEGs whole; clips are cut
    into windows of `every` seconds unless that is 0."""

    looks: Looks
    pixels: PixelConfig
    exact: bool = False
    every: float = 0.0


@dataclass(frozen=True)
class Seen:
    """An item as it was found: its frames, in windows where it is a clip that is to be cut, or why there are none; its
    digest and its file's stamp as far as known."""

    item: Item
    outcome: Media | Windows | InputError
    sha256: str = ""
    stamp: tuple[int, int] = (0, 0)

    @property
    def count(self) -> int:
        """How many media the model is to look at."""
        return 0 if isinstance(self.outcome, InputError) else getattr(self.outcome, "count", 1)

    def without_frames(self) -> Seen:
        """The same, without its pictures: of an input that was told about under another name, nothing else is needed,
        and thousands of them may wait for their turn."""
        if isinstance(self.outcome, Media):
            return replace(self, outcome=replace(self.outcome, frames=()))
        return replace(self, outcome=replace(self.outcome, seen=())) if isinstance(self.outcome, Windows) else self


def see(item: Item, wish: Wish) -> Seen:
    """Read, digest, open and resize one item. Its stamp is from before it was read, so a later change shows."""
    stamp, digest = (0, 0), ""
    try:
        stamp = item.stamp()
        least = 0 if wish.exact else OVERSIZE * wish.pixels.size
        if item.frames is not None:
            digest = item.frames.digest()
            media = open_source(Path(item.frames.path), printable(item.name), wish.looks, least)
        else:
            with opened(item) as file:
                digest = digest_of(file)
                clip = see_windows(file, item.name, wish.looks, wish.pixels, wish.every) if wish.every else None
                if clip is not None:
                    return Seen(item, clip, digest, stamp)
                media = open_source(file, printable(item.name), wish.looks, least)
        frames = fit_frames(media.frames, wish.pixels, printable(item.name))
        media = replace(media, source=item.name, frames=tuple(frames), fitted=wish.pixels)
        return Seen(item, media, digest, stamp)
    except FAILURES as error:
        code = error.code if isinstance(error, InputError) else "missing_extra"
        return Seen(item, InputError(code, str(error)), digest, stamp)
    except Exception as error:  # a night's work is not to end for one file, nor to end there again the next night
        return Seen(item, _unforeseen(item, error), digest, stamp)


def _unforeseen(item: Item, error: Exception) -> InputError:
    """What nobody foresaw, as an outcome of the one input."""
    name = printable(item.name)
    if isinstance(error, MemoryError):
        return InputError("memory", f"{name}: there is not enough memory to open it: fewer --workers leave more")
    told = printable(f"{type(error).__name__}: {error}")
    return InputError("fault", f"{name}: opening it failed as nobody foresaw ({told}): please report it, with the file")


def seen_ahead(items: Iterable[Item], wish: Wish, workers: int, ahead: int, nice: int = SHARING) -> Iterator[Seen]:
    """See each item, in order, up to `ahead` of them before they are asked for; with no workers, in this process.

    A worker that dies (memory, a fault in a decoder) costs only the item that killed it, whose code is `crashed`; one
    that takes longer than its `patience` has the code `timeout`.
    """
    limit = Limit(patience, _late)
    with closing(in_order(partial(see, wish=wish), items, workers, ahead, _crashed, limit, nice)) as found:
        for _, seen in found:
            yield seen


def patience(item: Item) -> float:
    """How many seconds may go by until an item is seen. Its name decides, as a place that hangs says nothing."""
    return PATIENCE if is_photo(item.relative) and item.frames is None else PATIENCE_WITH_CLIPS


def _late(item: Item) -> Seen:
    return Seen(item, _timeout(item, patience(item)))


def _timeout(item: Item, seconds: float) -> InputError:
    line = f"not opened within {seconds:g} seconds: what it lies on doesn't answer, or it is damaged"
    return InputError("timeout", f"{printable(item.name)}: {line}")


def _crashed(item: Item) -> Seen:
    return Seen(item, InputError("crashed", f"{printable(item.name)}: {DIED}"))


def later_ahead(item: Item, clip: Windows) -> Iterator[tuple[Stretch, ...]]:
    """The later windows of a clip, in groups, seen by a process of its own while the model is at the group before.

    Raises `InputError`, `crashed` when the process died, `timeout` when it hangs, and `MissingExtraError`.
    """
    if not clip.later:
        return
    context = get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_send_later, args=(send, item, replace(clip, seen=())), daemon=True)
    process.start()
    send.close()
    try:
        while True:
            try:
                if not receive.poll(PATIENCE_WITH_CLIPS):
                    raise _timeout(item, PATIENCE_WITH_CLIPS)
                group = receive.recv()
            except (EOFError, OSError):  # OSError: within a message
                raise InputError("crashed", f"{printable(item.name)}: {DIED}") from None
            if isinstance(group, FAILURES):
                raise group
            if group is None:
                return
            yield group
    finally:
        receive.close()
        process.kill()
        process.join()


def _send_later(send: Connection, item: Item, clip: Windows) -> None:
    begin_worker()
    try:
        for group in later_windows(item, clip):
            send.send(group)
        send.send(None)
    except FAILURES as error:
        send.send(error)
    except Exception as error:
        send.send(_unforeseen(item, error))
