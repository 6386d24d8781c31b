"""Speed of captioning a folder, end to end: from JPEGs on disk to rows on disk, ours beside a plain transformers loop.

    python benchmarks/folder.py                                  # git-base: 500 JPEGs of 640x480, greedy and 4 beams
    python benchmarks/folder.py --phone                          # pixtell-mini: 12-megapixel photos of a phone
    python benchmarks/folder.py --size tiny --pictures 24        # does it work at all

Both sides hold the same random weights and write exactly 20 tokens a picture. The plain loop is what people write, in a
process of its own (`plain_loop.py`); in float32 and in bfloat16, the better one counts. Ours is the job of `pixtell
caption FOLDER -o rows.jsonl`, with its journal and its processes that open pictures ahead; `model alone` is the same
without opening anything. The sides take turns. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generate import NEW_TOKENS, SIZES, random_checkpoint
from PIL import Image

import pixtell
from pixtell.batch.decode import OVERSIZE, Seen, Wish, see, seen_ahead
from pixtell.batch.devices import Here, automatic_batch_size
from pixtell.batch.inputs import list_items
from pixtell.batch.journal import Journal
from pixtell.batch.output import OutputOptions
from pixtell.batch.outputs import open_outputs
from pixtell.batch.row import Row
from pixtell.batch.run import Job, run_job
from pixtell.batch.work import Work
from pixtell.captioner import Captioner
from pixtell.checkpoint.convert import save_checkpoint
from pixtell.config import DecodeOptions
from pixtell.data.opened import Looks
from pixtell.data.workers import BETWEEN
from pixtell.memory import keep_freed_memory

HERE = Path(__file__).parent
PART = 32
OURS, THEIRS = ("float32", "bfloat16", "int8"), ("float32", "bfloat16")
PHONE = (4000, 3000)
DRAWN = 60  # pictures that are drawn; the others are these with another end


Sides = dict[tuple[str, str, int], Callable[[], float]]  # (side, number type, beams) -> seconds


@dataclass(frozen=True)
class Rate:
    """Pictures a second of one way to do it, the median of the repeats, and all of them."""

    side: str
    dtype: str
    beams: int
    a_second: float
    repeats: tuple[float, ...]


def write_photos(folder: Path, count: int, size: tuple[int, int]) -> None:
    """JPEGs with large and small shapes in them, about as many bytes as photos have.

    Beyond `DRAWN` they are the first ones with another number behind their end: other files, so none is passed over as
    equal, and as much work.
    """
    for number in range(DRAWN, count):
        drawn = folder / f"{number % DRAWN:04}.jpg"
        (folder / f"{number:04}.jpg").write_bytes(_drawn(drawn, number % DRAWN, size) + str(number).encode())
    for number in range(min(count, DRAWN)):
        _drawn(folder / f"{number:04}.jpg", number, size)


def _drawn(path: Path, number: int, size: tuple[int, int]) -> bytes:
    """The bytes of a picture, drawn where it is not there yet."""
    if not path.exists():
        generator = np.random.default_rng(number)
        picture = np.zeros((size[1], size[0], 3), np.float32)
        for scale, strength in ((8, 90), (40, 50), (size[0] // 3, 14)):
            coarse = generator.normal(0, strength, (scale * size[1] // size[0] + 2, scale + 2, 3)) + 40
            tiles = [Image.fromarray(coarse[..., c].astype(np.float32)).resize(size) for c in range(3)]
            picture += np.stack([np.asarray(tile) for tile in tiles], axis=-1)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=88)
    return path.read_bytes()


def write_model(folder: Path, size: str) -> str:
    """A model of random weights in our layout, with a vocabulary of made-up words."""
    checkpoint = random_checkpoint(SIZES[size])
    text = checkpoint.config.text
    vocabulary = [f"w{number}" for number in range(text.vocab_size)]
    vocabulary[1] = "[UNK]"
    vocabulary[text.pad_id], vocabulary[text.cls_id], vocabulary[text.sep_id] = "[PAD]", "[CLS]", "[SEP]"
    named = type(checkpoint)(checkpoint.config, checkpoint.state, tuple(vocabulary))
    return str(save_checkpoint(named, folder / "model"))


def work_of(beams: int) -> Work:
    return Work(DecodeOptions(beams=beams, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS))


def our_job(captioner: Captioner, work: Work, photos: Path, out: Path, workers: int) -> float:
    """Seconds from a folder of photos to rows on disk."""
    wish = Wish(Looks(), captioner.config.pixels)
    listing = list_items([str(photos)])
    outputs = open_outputs([str(out / "rows.jsonl")], OutputOptions(settings="{}"))

    def ahead(items: Sequence[Any]) -> Any:
        return seen_ahead(items, wish, workers, 2 * PART, BETWEEN)

    job = Job(listing.found, outputs, ahead, Here(captioner, work).tell, PART)
    start = time.perf_counter()
    with Journal(out / "journal", {}) as journal:
        summary = run_job(job, journal)
    assert summary.ok == len(listing.items), summary
    return time.perf_counter() - start


def model_alone(captioner: Captioner, work: Work, photos: Path) -> Callable[[], float]:
    """Seconds for the same pictures when they are open already."""
    wish = Wish(Looks(), captioner.config.pixels)
    seen = [see(item, wish) for item in list_items([str(photos)]).items]
    tell: Callable[[Sequence[Seen]], Future[list[Row]]] = Here(captioner, work).tell

    def run() -> float:
        start = time.perf_counter()
        for place in range(0, len(seen), PART):
            tell(seen[place : place + PART]).result()
        return time.perf_counter() - start

    return run


@contextlib.contextmanager
def plain_loop(size: str, dtype: str, beams: int, photos: Path, out: Path) -> Iterator[Callable[[], float]]:
    """What gives the seconds of the loop that people write around transformers, in a process that waits for it."""
    words = ["--size", size, "--dtype", dtype, "--beams", str(beams), str(photos), str(out)]
    command = [sys.executable, str(HERE / "plain_loop.py"), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdin and loop.stdout
        assert loop.stdout.readline() == "ready\n"

        def run() -> float:
            print(file=loop.stdin, flush=True)
            return float(loop.stdout.readline())

        yield run
        loop.stdin.close()


def compare(options: argparse.Namespace, folder: Path, model: str, beams: int) -> list[Rate]:
    """Both sides and the model alone, in every number type."""
    photos = folder / "photos"
    sides: Sides = {}
    with contextlib.ExitStack() as loops:
        for dtype in options.theirs:
            loop = plain_loop(options.size, dtype, beams, photos, folder / "theirs.jsonl")
            sides["transformers", dtype, beams] = loops.enter_context(loop)
        for dtype in options.ours:
            captioner = pixtell.load(model, dtype=dtype)
            captioner.batch_size = automatic_batch_size(captioner, beams)
            sides["pixtell", dtype, beams] = lambda c=captioner: our_job(  # type: ignore[misc]
                c, work_of(beams), photos, Path(tempfile.mkdtemp(dir=folder)), options.workers
            )
            sides["pixtell, model alone", dtype, beams] = model_alone(captioner, work_of(beams), photos)
        return timed(sides, len(list(photos.iterdir())), options.repeats)


def timed(sides: Sides, pictures: int, repeats: int) -> list[Rate]:
    """All sides in turn, the order turned round at each repeat."""
    order, seconds = list(sides), {key: list[float]() for key in sides}
    for _ in range(repeats):
        for key in order:
            seconds[key].append(sides[key]())
            rate = pictures / seconds[key][-1]
            print(f"{key[0]}, {key[1]}, {key[2]} beams: {rate:.2f} a second", file=sys.stderr, flush=True)
        order.reverse()
    return [
        Rate(*key, round(pictures / statistics.median(s), 3), tuple(round(pictures / one, 3) for one in s))
        for key, s in seconds.items()
    ]


def phone(options: argparse.Namespace, folder: Path) -> list[Rate]:
    """pixtell-mini on photos of 12 megapixels, decoded near its size."""
    sides: Sides = {}
    for dtype in options.ours:
        captioner = pixtell.load("pixtell-mini", dtype=dtype)
        captioner.batch_size = automatic_batch_size(captioner)
        for beams in (1, 4):
            sides["pixtell-mini", dtype, beams] = lambda c=captioner, b=beams: our_job(  # type: ignore[misc]
                c, Work(DecodeOptions(beams=b)), folder / "photos", Path(tempfile.mkdtemp(dir=folder)), options.workers
            )
    return timed(sides, len(list((folder / "photos").iterdir())), options.repeats)


def ratios(rates: Sequence[Rate]) -> dict[str, float]:
    """For each number of beams: ours over theirs, each in its better dtype, and the share that opening costs."""
    found = {}
    for beams in sorted({rate.beams for rate in rates}):
        best = {}
        for rate in rates:
            if rate.beams == beams and rate.a_second > best.get(rate.side, rate).a_second - 1e-9:
                best[rate.side] = rate
        if {"transformers", "pixtell"} <= best.keys():
            found[f"faster_{beams}_beams"] = round(best["pixtell"].a_second / best["transformers"].a_second, 2)
        if "pixtell" in best:
            alone = next(
                r for r in rates if (r.side, r.dtype, r.beams) == ("pixtell, model alone", best["pixtell"].dtype, beams)
            )
            found[f"of_model_alone_{beams}_beams"] = round(best["pixtell"].a_second / alone.a_second, 3)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Speed of captioning a folder.")
    parser.add_argument("--size", choices=SIZES, default="base", help="git-base, or a tiny model to try the script")
    parser.add_argument("--phone", action="store_true", help="pixtell-mini on 12-megapixel photos instead")
    parser.add_argument("--pictures", type=int, help="how many photos (500, or 300 of 12 megapixels)")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--ours", nargs="+", choices=OURS, default=OURS, help="number types on our side")
    parser.add_argument("--theirs", nargs="*", choices=THEIRS, default=THEIRS, help="number types of transformers")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes that open pictures")
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as `pixtell caption FOLDER` does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        pictures = options.pictures or (300 if options.phone else 500)
        write_photos(folder / "photos", pictures, PHONE if options.phone else (640, 480))
        rates = phone(options, folder) if options.phone else []
        model = "" if options.phone else write_model(folder, options.size)
        for beams in () if options.phone else options.beams:
            rates += compare(options, folder, model, beams)
        kilobytes = statistics.mean(path.stat().st_size for path in (folder / "photos").iterdir()) / 1000
    report = {
        "benchmark": "folder",
        "size": "pixtell-mini" if options.phone else options.size,
        "pictures": pictures,
        "kilobytes_a_picture": round(kilobytes),
        "jpeg_scale_keeps": OVERSIZE,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "pictures_a_second": [
            {"side": r.side, "dtype": r.dtype, "beams": r.beams, "median": r.a_second, "all": r.repeats} for r in rates
        ],
        **ratios(rates),
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    del __file__  # processes that open pictures would import this script, and torch with it; those of `pixtell` don't
    sys.exit(main())
