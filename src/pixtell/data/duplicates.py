"""Pictures that are the same to the eye, found by a small hash of how they look.

In: pictures. Out: 128 bits each, and for each the first picture before it that differs in few of them.

The surprising thing: how a hash fails decides what it is made of. Each bit says whether one of 8 x 8 fields is brighter
than its neighbour, to the right in the first 64 (dHash; Krawetz 2013) and below in the others; one direction alone
takes pictures of the same horizon for one. A picture with next to no contrast says nothing by its bits and has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from PIL import Image

SIDE = 8  # fields of a row and of a column
BITS = 2 * SIDE * SIDE
# Bits that may differ. Measured on Flickr8k: a photo at half its size and JPEG quality 60 differs by 3, in 99.8 % of
# photos by at most 10; of the 18 million pairs of its 6,000 training photos one differs by 0 (a photo that is there
# twice), and no other by less than 20.
NEAR = 10
FLAT = 8  # levels of 255 between a picture's darkest and brightest field below which it counts as flat


def look_hash(picture: Image.Image) -> int | None:
    """The bits of a picture; None for a flat one."""
    grey = picture.convert("L").resize((SIDE + 1, SIDE + 1), Image.Resampling.BOX)
    fields = np.asarray(grey, dtype=np.int16)
    if int(fields.max()) - int(fields.min()) < FLAT:
        return None
    right = fields[:SIDE, 1:] > fields[:SIDE, :-1]
    below = fields[1:, :SIDE] > fields[:-1, :SIDE]
    return int.from_bytes(np.packbits(np.concatenate([right.ravel(), below.ravel()])).tobytes(), "big")


@dataclass
class Likenesses:
    """Hashes with the names of their pictures, by which near ones are found: at most `near` of 128 bits apart.

    Two hashes that differ in `near` bits agree in at least one of `near` + 1 pieces; only those that do are compared.
    """

    near: int
    _pieces: list[dict[int, list[int]]] = field(default_factory=list)
    _hashes: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pieces = [{} for _ in range(self.near + 1)]

    def find(self, bits: int) -> str | None:
        """The name of the first picture that looks the same."""
        places = {place for piece, value in self._cut(bits) for place in self._pieces[piece].get(value, ())}
        hits = [place for place in places if (self._hashes[place][0] ^ bits).bit_count() <= self.near]
        return self._hashes[min(hits)][1] if hits else None

    def add(self, bits: int, name: str) -> None:
        """Remember a picture."""
        for piece, value in self._cut(bits):
            self._pieces[piece].setdefault(value, []).append(len(self._hashes))
        self._hashes.append((bits, name))

    def _cut(self, bits: int) -> list[tuple[int, int]]:
        """The pieces of a hash, as equal in length as can be."""
        edges = [piece * BITS // (self.near + 1) for piece in range(self.near + 2)]
        return [(n, bits >> start & (1 << end - start) - 1) for n, (start, end) in enumerate(pairwise(edges))]
