"""Exact log-probabilities of given texts: what classification by generation ranks labels by.

In: one medium, a prompt and any number of continuations. Out: the log-probability of each of their tokens and of the
[SEP] behind them, as a teacher-forced pass over each would give.

Texts share their beginnings: they are laid out as a trie, and every prefix is stepped once, whatever the number of
texts that begin with it. Prefixes of one length share a batch of at most `max_rows`; the trie is walked depth first in
such batches, so that memory is bounded by the length of the texts and not by their number.

    R rows, V vocabulary, E edges of the trie that leave the rows of a batch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixtell.cache import KVCache
from pixtell.decoding.filters import TrieNode
from pixtell.decoding.loop import Prompt, StepModel, check_room

Ids = tuple[int, ...]


@dataclass(frozen=True)
class _Edge:
    """The step from row `parent` of a batch, whose text is `prefix[:-1]`, by the token `prefix[-1]` to `node`."""

    parent: int
    prefix: Ids
    node: TrieNode


@torch.inference_mode()
def score_continuations(
    model: StepModel,
    cache: KVCache,
    media_index: int,
    prompt_ids: Ids,
    continuations: Sequence[Ids],
    max_rows: int = 256,
) -> list[tuple[float, ...]]:
    """Log-probabilities of each continuation's tokens and of [SEP] after them, natural logarithm, float32 sums.

    `prompt_ids` are [CLS] and the question, `continuations` token ids without [SEP] (one may be empty, and may come
    twice). At most `max_rows` rows (at least 2) are stepped at once. `cache` holds the media and is not changed.

    Raises `ConfigError` when the longest continuation does not fit behind the prompt.
    """
    if not continuations:
        return []
    prompt = Prompt(media_index, prompt_ids)
    longest = max(len(ids) for ids in continuations)
    check_room([prompt], longest, model.config.text.max_positions)
    sep_id = model.config.text.sep_id
    max_rows = max(2, max_rows)

    known: dict[Ids, float] = {}
    rows = cache.select_media([prompt.media]).rows([0], len(prompt.ids) + longest)
    logits_RV = model.step(torch.tensor([prompt.ids], device=rows.lengths_R.device), rows)
    nodes: list[tuple[Ids, TrieNode]] = [((), TrieNode.of(continuations))]
    stack: list[tuple[KVCache, list[_Edge]]] = []
    while True:
        known.update(_known_after(logits_RV, nodes, sep_id))
        stack += [(rows, edges) for edges in _batches(nodes, max_rows)]
        if not stack:
            break
        before, edges = stack.pop()
        rows = before.reorder([edge.parent for edge in edges])
        nodes = [(edge.prefix, edge.node) for edge in edges]
        ids_R1 = torch.tensor([[edge.prefix[-1]] for edge in edges], device=rows.lengths_R.device)
        logits_RV = model.step(ids_R1, rows)
    texts = [(*ids, sep_id) for ids in continuations]
    return [tuple(known[text[:length]] for length in range(1, len(text) + 1)) for text in texts]


def _known_after(logits_RV: Tensor, nodes: Sequence[tuple[Ids, TrieNode]], sep_id: int) -> dict[Ids, float]:
    """The log-probability of the last token of every prefix that goes on from `nodes`, [SEP] after complete ones."""
    goals = [(r, (*prefix, token)) for r, (prefix, node) in enumerate(nodes) for token in node.children]
    goals += [(r, (*prefix, sep_id)) for r, (prefix, node) in enumerate(nodes) if node.complete]
    place_2E = torch.tensor([(r, prefix[-1]) for r, prefix in goals], device=logits_RV.device).T
    logprob_E = logits_RV.float().log_softmax(dim=-1)[place_2E[0], place_2E[1]]
    return {prefix: logprob for (_, prefix), logprob in zip(goals, logprob_E.tolist(), strict=True)}


def _batches(nodes: Sequence[tuple[Ids, TrieNode]], max_rows: int) -> list[list[_Edge]]:
    """The edges that leave `nodes`, in batches of at most `max_rows`."""
    edges = [
        _Edge(r, (*prefix, token), child)
        for r, (prefix, node) in enumerate(nodes)
        for token, child in node.children.items()
    ]
    batches = [edges[start : start + max_rows] for start in range(0, len(edges), max_rows)]
    # A reorder that keeps every row in its place may hand back the very cache, which the next step then writes to. So
    # such a batch (there is at most one) is put at the bottom, to be taken when no other batch needs that cache.
    return sorted(batches, key=lambda batch: [edge.parent for edge in batch] != list(range(len(nodes))))
