"""Clips beside stills: captions of photos, and of clips made by pans and zooms over the same photos.

    python benchmarks/clips.py                    # the bundled model on the validation photos beside the project
    python benchmarks/clips.py --limit 100        # fewer photos

A clip model that forgot how to read stills, or one whose temporal embeddings are noise, shows here: both are scored
against what people wrote of the photos. (Captions and answers as such are `pixtell eval`'s business.) The moves follow
from a photo's number alone. The last stdout line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import pixtell
from pixtell.captioner import Captioner
from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.opened import Looks, open_place
from pixtell.data.row import Row
from pixtell.data.views import moving_views
from pixtell.errors import PixtellError
from pixtell.evaluation.metrics.cider import cider_d
from pixtell.evaluation.metrics.ptb import tokenize_all
from pixtell.media import Media

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "flickr8k"
CLIP_SEED = 0
CHUNK = 32  # photos open at a time


def still(row: Row) -> Media:
    """The photo itself."""
    assert row.media is not None
    return open_place(row.media, row.id, Looks())[0]


def clip(row: Row, number: int, captioner: Captioner) -> Media:
    """A clip over the photo, as training makes them."""
    random = np.random.default_rng((CLIP_SEED, number))
    frames, size = captioner.frames, captioner.config.pixels.size
    views = moving_views(still(row).frames[0], size, frames, random, flip=False)
    return Media(tuple(views), row.id, tuple(float(second) for second in range(frames)))


def captions(captioner: Captioner, rows: Sequence[Row], beams: int, *, clips: bool) -> list[str]:
    """What the model says of each photo, or of its clip."""
    found: list[str] = []
    for start in range(0, len(rows), CHUNK):
        numbered = list(enumerate(rows))[start : start + CHUNK]
        media = [clip(row, number, captioner) if clips else still(row) for number, row in numbered]
        found += [caption.text for caption in captioner.caption(media, beams=beams)]
        print(f"{'clips' if clips else 'stills'}: {len(found)} of {len(rows)}", file=sys.stderr, flush=True)
    return found


def cider(texts: Sequence[str], rows: Sequence[Row]) -> float:
    """CIDEr-D against what people wrote of the photos."""
    tokens = iter(tokenize_all([caption for row in rows for caption in row.captions]))
    references = [[next(tokens) for _ in row.captions] for row in rows]
    return round(cider_d(tokenize_all(texts), references).value, 4)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Captions of clips beside captions of stills.")
    parser.add_argument("--model", help="a name or path (default: the bundled model)")
    parser.add_argument("--limit", type=int, help="photos (default: all)")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16, help="media that share a pass; changes no result")
    parser.add_argument("--data", nargs="+", default=[str(DATA / "val-*.tar")], help="photos with captions")
    options = parser.parse_args(arguments)
    try:
        captioner = pixtell.load(options.model, batch_size=options.batch)
        if not captioner.config.frames:
            print(f"error: {captioner.name} reads single pictures, it has no temporal embeddings", file=sys.stderr)
            return 1
        dataset: Dataset = open_dataset(options.data)
        rows = dataset.rows[: options.limit]
        report: dict[str, object] = {"benchmark": "clips", "model": captioner.name, "data": dataset.name}
        for name, clips in (("stills", False), ("clips", True)):
            start = time.monotonic()
            texts = captions(captioner, rows, options.beams, clips=clips)
            report[name] = {"CIDEr": cider(texts, rows), "seconds": round(time.monotonic() - start)}
    except PixtellError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps({**report, "photos": len(rows), "beams": options.beams}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
