"""A language model out of a hat: its logits are random numbers fixed by the medium and all tokens so far.

It obeys the contract of `GitModel.step` and `KVCache`, forgets nothing, and makes mistakes of bookkeeping show: a row
that is continued from the wrong parent, or that sees padding, draws other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pixtell.config import ModelConfig, TextConfig

PAD, CLS, SEP = 0, 1, 2


class TableCache:
    """Each row is its medium and the tokens it holds."""

    def __init__(
        self, media: Sequence[int], texts: Sequence[tuple[int, tuple[int, ...]]] = (), capacity: int = 0
    ) -> None:
        self.media, self.texts, self.capacity = list(media), list(texts), capacity

    @property
    def lengths_R(self) -> Tensor:
        return torch.tensor([len(ids) for _, ids in self.texts])

    def select_media(self, media: Sequence[int]) -> TableCache:
        return TableCache([self.media[index] for index in media])

    def rows(self, media_R: Sequence[int], capacity: int) -> TableCache:
        return TableCache(self.media, [(self.media[index], ()) for index in media_R], capacity)

    def reorder(self, rows_R: Sequence[int], spare: TableCache | None = None) -> TableCache:
        if list(rows_R) == list(range(len(self.texts))):
            return self
        return TableCache(self.media, [self.texts[row] for row in rows_R], self.capacity)


class TableModel:
    """`sharpness` scales the logits, `sep_bonus` makes [SEP] likelier. `stepped` lists the rows of every step."""

    def __init__(self, seed: int, vocab_size: int, sharpness: float = 1.5, sep_bonus: float = 1.5) -> None:
        text = TextConfig(
            vocab_size=vocab_size,
            width=4,
            layers=1,
            heads=1,
            mlp_width=4,
            max_positions=64,
            cls_id=CLS,
            sep_id=SEP,
            pad_id=PAD,
        )
        self.config = ModelConfig(text=text)
        self.seed, self.sharpness, self.sep_bonus = seed, sharpness, sep_bonus
        self.stepped: list[int] = []
        self._known: dict[tuple[int, tuple[int, ...]], Tensor] = {}

    def logits(self, medium: int, ids: tuple[int, ...]) -> Tensor:
        """logits_V after `ids`."""
        if (medium, ids) not in self._known:
            generator = torch.Generator().manual_seed(hash((self.seed, medium, *ids)) % 2**62)
            logits_V = self.sharpness * torch.randn(self.config.text.vocab_size, generator=generator)
            logits_V[SEP] += self.sep_bonus
            self._known[medium, ids] = logits_V
        return self._known[medium, ids]

    def logprobs_after(self, medium: int) -> Callable[[tuple[int, ...]], list[float]]:
        """A function from tokens to log-probabilities, for slow twins."""
        return lambda ids: self.logits(medium, ids).log_softmax(-1).tolist()

    def rescore(self, medium: int, prompt: tuple[int, ...], ids: tuple[int, ...]) -> list[float]:
        """Teacher-forced log-probabilities of `ids` after `prompt`."""
        return [
            float(self.logits(medium, (*prompt, *ids[:place])).log_softmax(-1)[token])
            for place, token in enumerate(ids)
        ]

    def step(self, ids_RT: Tensor, cache: TableCache, lengths_R: Tensor | None = None) -> Tensor:
        self.stepped.append(len(ids_RT))
        assert len(ids_RT) == len(cache.texts)
        lengths = [ids_RT.shape[1]] * len(ids_RT) if lengths_R is None else lengths_R.tolist()
        cache.texts = [
            (medium, (*text, *ids[:length]))
            for (medium, text), ids, length in zip(cache.texts, ids_RT.tolist(), lengths, strict=True)
        ]
        assert all(len(text) <= cache.capacity for _, text in cache.texts)
        return torch.stack([self.logits(medium, text) for medium, text in cache.texts])


def prompt_ids(generator: torch.Generator, vocab_size: int, longest: int = 5) -> tuple[int, ...]:
    """[CLS] and up to `longest - 1` random words."""
    count = int(torch.randint(longest, (), generator=generator))
    return (CLS, *torch.randint(SEP + 1, vocab_size, (count,), generator=generator).tolist())
