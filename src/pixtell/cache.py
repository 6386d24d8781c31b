"""The keys and values that text reads: one shared visual part for each medium, one growing text part for each row.

In: keys and values, layer by layer. Out: what a decoder step needs of them. A row is one text in the making: a
question, a beam, a sample. Rows of one medium read the same visual part, which is never copied for them: the queries
are gathered by medium instead (`by_medium`), which costs next to nothing, since a step has one query a row.

The text part is preallocated. Rows may hold texts of different length; each row's next position is its own length.
Beside a bfloat16 visual part on a CPU it is float32: products with a text's few keys are up to four times faster so.

    L layers, M media, R rows, G rows a medium (the most any has), H heads, P visual tokens, C capacity, d head width
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class KVCache:
    """A value: made by `GitModel.prefill`, given rows by `rows`, filled by `GitModel.step`.

    `visual_keys` and `visual_values` are [L, M, H, P, d]; `text_keys` and `text_values` [L, R, H, C, d].
    `media_R` says which medium each row reads, `lengths_R` how many text positions it holds.
    """

    def __init__(self, visual_keys: Tensor, visual_values: Tensor) -> None:
        self.visual_keys = visual_keys
        self.visual_values = visual_values
        self._whole: KVCache | None = None  # the cache that `split` cut this one from, and where
        self._place = 0
        self._set_rows([], visual_keys[:, :0, :, :0], visual_values[:, :0, :, :0], visual_keys.new_zeros(0).long())

    def _set_rows(self, media: list[int], text_keys: Tensor, text_values: Tensor, lengths_R: Tensor) -> None:
        self.media_R = media
        self.text_keys = text_keys
        self.text_values = text_values
        self.lengths_R = lengths_R
        self.longest = int(lengths_R.max()) if media else 0
        self.even = not media or bool((lengths_R == self.longest).all())
        self._places = _places_by_medium(media, self.num_media)

    @property
    def num_media(self) -> int:
        return self.visual_keys.shape[1]

    @property
    def num_rows(self) -> int:
        return len(self.media_R)

    @property
    def capacity(self) -> int:
        """Text positions that each row has room for."""
        return self.text_keys.shape[3]

    @staticmethod
    def join(caches: Sequence[KVCache]) -> KVCache:
        """Put the media of several caches side by side, without their rows. All need the same P."""
        tokens = {cache.visual_keys.shape[3] for cache in caches}
        assert len(tokens) == 1, f"caches of {sorted(tokens)} visual tokens"
        if len(caches) == 1:
            return KVCache(caches[0].visual_keys, caches[0].visual_values)
        whole = caches[0]._whole
        if whole is not None and [cache._place for cache in caches if cache._whole is whole] == list(
            range(len(caches))
        ):
            return whole.select_media(range(len(caches)))
        return KVCache(
            torch.cat([cache.visual_keys for cache in caches], dim=1),
            torch.cat([cache.visual_values for cache in caches], dim=1),
        )

    def split(self) -> list[KVCache]:
        """A cache for each medium, without rows. They share this one's memory, and `join` puts them back for free."""
        parts = []
        for place in range(self.num_media):
            part = KVCache(self.visual_keys[:, place : place + 1], self.visual_values[:, place : place + 1])
            part._whole, part._place = self, place
            parts.append(part)
        return parts

    def select_media(self, media: Sequence[int]) -> KVCache:
        """The visual part of some media, in the order given, without rows."""
        if list(media) == list(range(len(media))):
            return KVCache(self.visual_keys[:, : len(media)], self.visual_values[:, : len(media)])
        index = torch.tensor(list(media), dtype=torch.long, device=self.visual_keys.device)
        return KVCache(self.visual_keys.index_select(1, index), self.visual_values.index_select(1, index))

    def rows(self, media_R: Sequence[int] | Tensor, capacity: int) -> KVCache:
        """A cache with empty rows, row r reading medium `media_R[r]`, each with room for `capacity` text positions."""
        media = [int(medium) for medium in media_R]
        assert all(0 <= medium < self.num_media for medium in media), f"media {media} of {self.num_media}"
        layers, _, heads, _, head_width = self.visual_keys.shape
        shape = (layers, len(media), heads, capacity, head_width)
        cache = KVCache(self.visual_keys, self.visual_values)
        lengths_R = torch.zeros(len(media), dtype=torch.long, device=self.visual_keys.device)
        plain = self.visual_keys.device.type == "cpu" and self.visual_keys.dtype == torch.bfloat16
        dtype = torch.float32 if plain else self.visual_keys.dtype
        text_keys, text_values = (self.visual_keys.new_zeros(shape, dtype=dtype) for _ in range(2))
        cache._set_rows(media, text_keys, text_values, lengths_R)
        return cache

    def reorder(self, rows_R: Sequence[int] | Tensor, spare: KVCache | None = None) -> KVCache:
        """The cache whose row i continues old row `rows_R[i]`: beams change places, finished rows are left out.

        When every row stays where it is, that is this very cache, so steps on either are steps on both. `spare` is
        another cache whose rows nobody reads any more: its memory is written over where it is large enough. A search
        that takes turns between two pieces of memory is spared the pages of a new one at every step, which cost a CPU
        more than the copy does: 3 against 42 ms for 64 rows of 41 positions that hold 10 (git-base, AMD EPYC).
        """
        kept = [int(row) for row in rows_R]
        if kept == list(range(self.num_rows)):
            return self
        media = [self.media_R[row] for row in kept]
        cache = KVCache(self.visual_keys, self.visual_values)
        live = sorted(set(media))
        if live and 2 * len(live) <= self.num_media:
            # Every medium costs a step the same, read or not; at half, leaving the unread behind is worth a copy.
            cache = cache.select_media(live)
            media = [live.index(medium) for medium in media]
        index = torch.tensor(kept, dtype=torch.long, device=self.text_keys.device)
        lengths_R = self.lengths_R[index]
        longest = self.longest if self.even or not kept else int(lengths_R.max())
        text_keys, text_values = self._room(len(kept), longest, spare)
        for text, old in ((text_keys, self.text_keys), (text_values, self.text_values)):
            torch.index_select(old[:, :, :, :longest], 1, index, out=text[:, :, :, :longest])
        cache._set_rows(media, text_keys, text_values, lengths_R)
        return cache

    def _room(self, rows: int, longest: int, spare: KVCache | None) -> tuple[Tensor, Tensor]:
        """Room for the keys and values of that many rows' text, zero behind the first `longest` positions.

        What a longer row left there would be masked when a shorter one is read, but not-a-number times 0 would spread.
        """
        if spare is not None and spare.num_rows >= rows and spare.capacity == self.capacity:
            assert spare.text_keys.data_ptr() != self.text_keys.data_ptr(), "a cache is no spare of its own"
            used = (spare.text_keys[:, :rows], spare.text_values[:, :rows])
            for text in used:
                text[:, :, :, longest : spare.longest] = 0
            return used
        layers, _, *place = self.text_keys.shape
        shape = (layers, rows, *place)
        return self.text_keys.new_zeros(shape), self.text_values.new_zeros(shape)

    def write(self, layer: int, keys_RHTd: Tensor, values_RHTd: Tensor) -> None:
        """Put T new positions of one layer behind each row's own text. `advance` then makes them count."""
        length = keys_RHTd.shape[2]
        assert self.longest + length <= self.capacity, f"{self.longest} + {length} positions in {self.capacity}"
        if self.even:
            self.text_keys[layer, :, :, self.longest : self.longest + length] = keys_RHTd
            self.text_values[layer, :, :, self.longest : self.longest + length] = values_RHTd
            return
        rows_R1 = torch.arange(self.num_rows, device=keys_RHTd.device)[:, None]
        for text, new_RHTd in ((self.text_keys, keys_RHTd), (self.text_values, values_RHTd)):
            text[layer][rows_R1, :, self.positions(length)] = new_RHTd.transpose(1, 2).to(text.dtype)

    def positions(self, length: int) -> Tensor:
        """The text positions that the next `length` tokens of each row take, [R, T]: they start at 0."""
        return self.lengths_R[:, None] + torch.arange(length, device=self.lengths_R.device)

    def text_mask(self, length: int) -> Tensor | None:
        """Which of the first `longest + T` text positions the next T tokens may read, [R, 1, T, t], or None for all."""
        if self.even and length == 1:
            return None
        seen_t = torch.arange(self.longest + length, device=self.lengths_R.device)
        return (seen_t <= self.positions(length)[:, :, None])[:, None]

    def advance(self, lengths_R: Tensor | int) -> None:
        """Count positions written by the last step as text: the same number for all rows, or one for each."""
        self.lengths_R = self.lengths_R + lengths_R
        if isinstance(lengths_R, int) and self.even:
            self.longest += lengths_R
            return
        self.longest = int(self.lengths_R.max())
        self.even = bool((self.lengths_R == self.longest).all())

    def by_medium(self, rows_RHTx: Tensor) -> Tensor:
        """Lay rows out by the medium they read: [R, H, T, x] -> [M, H, G*T, x], unused places zero."""
        _, heads, length, last = rows_RHTx.shape
        group = self._places[1]
        if self._places[0] is None:
            grid = rows_RHTx.view(self.num_media, group, heads, length, last)
        else:
            grid = rows_RHTx.new_zeros(self.num_media * group, heads, length, last)
            grid[self._places[0]] = rows_RHTx
            grid = grid.view(self.num_media, group, heads, length, last)
        return grid.transpose(1, 2).reshape(self.num_media, heads, group * length, last)

    def by_row(self, grid_MHGTx: Tensor, length: int) -> Tensor:
        """Undo `by_medium`: [M, H, G*T, x] -> [R, H, T, x]."""
        media, heads, _, last = grid_MHGTx.shape
        group = self._places[1]
        rows = grid_MHGTx.view(media, heads, group, length, last).transpose(1, 2).reshape(-1, heads, length, last)
        return rows if self._places[0] is None else rows[self._places[0]]


def _places_by_medium(media: list[int], num_media: int) -> tuple[list[int] | None, int]:
    """Where each row stands in a grid of [M, G] places, and G; no list when the rows fill the grid in order."""
    counts = [0] * num_media
    slots = []
    for medium in media:
        slots.append(counts[medium])
        counts[medium] += 1
    group = max(counts, default=0)
    places = [medium * group + slot for medium, slot in zip(media, slots, strict=True)]
    return (None if places == list(range(num_media * group)) else places), group
