"""What may not come next: minimum length, banned phrases, repeated n-grams, other openings, a closed list.

In: log-probabilities of all rows and the tokens each row has generated so far. Out: the same with -inf at forbidden
tokens. Prompts don't count: a question's words may be banned from the answer, and an answer may repeat the question's
n-grams. Filters only guide the search: reported log-probabilities stay the model's own. A row for which filters forbid
everything ends there, unfinished.

The surprising thing: filters see tokens, and a word may be the beginning of a longer one. Banning `cat` also bans
`cat ##s`. (Words in whatever pieces: `words.py`.)

    R rows, V vocabulary
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

FORBIDDEN = -float("inf")


class Filter(Protocol):
    """Forbids tokens."""

    def __call__(self, logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]]) -> Tensor:
        """`logprobs_RV` with -inf where row r, having generated `ids_R[r]`, may not go on; may write in place."""
        ...


def forbid(logprobs_RV: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Put -inf at all (row, token) pairs, in one write."""
    if pairs:
        place_2N = torch.tensor(pairs, device=logprobs_RV.device).T
        logprobs_RV[place_2N[0], place_2N[1]] = FORBIDDEN
    return logprobs_RV


@dataclass(frozen=True)
class MinLength:
    """No [SEP] before `minimum` tokens."""

    minimum: int
    sep_id: int

    def __call__(self, logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]]) -> Tensor:
        return forbid(logprobs_RV, [(r, self.sep_id) for r, ids in enumerate(ids_R) if len(ids) < self.minimum])


@dataclass(frozen=True)
class Banned:
    """None of these runs of tokens. One is stopped at its last token; empty ones are ignored."""

    phrases: tuple[tuple[int, ...], ...]

    def __call__(self, logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]]) -> Tensor:
        logprobs_RV[:, [phrase[0] for phrase in self.phrases if len(phrase) == 1]] = FORBIDDEN
        longer = [phrase for phrase in self.phrases if len(phrase) > 1]
        return forbid(
            logprobs_RV,
            [
                (r, phrase[-1])
                for r, ids in enumerate(ids_R)
                for phrase in longer
                if ids[-(len(phrase) - 1) :] == phrase[:-1]
            ],
        )


@dataclass(frozen=True)
class Opening:
    """The text begins with `words`, and none of `not_after` (pieces that would lengthen the last of them, [SEP]) comes
    right behind them."""

    words: tuple[int, ...]
    not_after: tuple[int, ...]

    def __call__(self, logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]]) -> Tensor:
        for r, ids in enumerate(ids_R):
            if len(ids) < len(self.words):
                wanted = logprobs_RV[r, self.words[len(ids)]].clone()
                logprobs_RV[r] = FORBIDDEN
                logprobs_RV[r, self.words[len(ids)]] = wanted
            elif len(ids) == len(self.words):
                logprobs_RV[r, list(self.not_after)] = FORBIDDEN
        return logprobs_RV


@dataclass(frozen=True)
class NoRepeatNgram:
    """No run of `size` tokens twice in one text; 1 forbids every repeated token."""

    size: int

    def __call__(self, logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]]) -> Tensor:
        return forbid(logprobs_RV, [(r, token) for r, ids in enumerate(ids_R) for token in self._repeats(ids)])

    def _repeats(self, ids: tuple[int, ...]) -> Iterable[int]:
        start = len(ids) - self.size + 1
        if start < 0:
            return
        for i in range(start):
            if ids[i : i + self.size - 1] == ids[start:]:
                yield ids[i + self.size - 1]


@dataclass
class TrieNode:
    """Where a prefix can go: the node of each next token, and whether the prefix is itself one of the texts."""

    children: dict[int, TrieNode] = field(default_factory=dict)
    complete: bool = False

    @classmethod
    def of(cls, texts: Iterable[Sequence[int]]) -> TrieNode:
        """The root of the trie of `texts`, each a sequence of token ids without [SEP]."""
        root = cls()
        for text in texts:
            node = root
            for token in text:
                node = node.children.setdefault(token, cls())
            node.complete = True
        return root

    def find(self, ids: Iterable[int]) -> TrieNode | None:
        """The node that `ids` lead to from here, or None where they leave the trie."""
        node: TrieNode | None = self
        for token in ids:
            if node is None:
                return None
            node = node.children.get(token)
        return node


@dataclass(frozen=True)
class TrieConstraint:
    """Only texts of the trie at `root` (`TrieNode.of`): the next token continues one of them, [SEP] follows whole ones.

    After the authors' trie_decoder.py, but the rest is forbidden rather than outweighed, and a token may follow itself.
    """

    root: TrieNode
    sep_id: int

    def __call__(self, logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]]) -> Tensor:
        pairs = [(r, token) for r, ids in enumerate(ids_R) for token in self._allowed(ids)]
        kept_RV = torch.full_like(logprobs_RV, FORBIDDEN)
        if pairs:
            place_2N = torch.tensor(pairs, device=logprobs_RV.device).T
            kept_RV[place_2N[0], place_2N[1]] = logprobs_RV[place_2N[0], place_2N[1]]
        return kept_RV

    def _allowed(self, ids: tuple[int, ...]) -> list[int]:
        node = self.root.find(ids)
        if node is None:
            return []
        return [*node.children, self.sep_id] if node.complete else list(node.children)
