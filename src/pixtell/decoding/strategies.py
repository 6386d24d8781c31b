"""Which token comes next: what a search is, and two strategies, greedy and sampling (`beams.py` has the third).

In: one `Search` per prompt and the log-probabilities of all their live rows. Out: the searches one token further, each
row naming the old row it continues, so that the loop can reorder the cache. A search without rows has ended.

Everything is a value: a strategy holds settings only, a search holds the state. What concerns all rows is done on the
device in one go, and a few numbers a row are fetched at once.

The surprising thing: the random numbers of sampling are drawn before the first step. So what a prompt gets depends on
its seed alone, and not on its neighbours in the batch or on when they finish.

    R rows, V vocabulary, N picks: as rows, but each prompt's first row counts once for each of its samples
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from pixtell.config import DecodeOptions
from pixtell.decoding.filters import FORBIDDEN
from pixtell.decoding.largest import first_largest

# Dividing by less would overflow float32; so cold a sample is greedy anyway.
COLDEST = 1e-6
# Tokens that hold the mass of top-p in all but very flat distributions.
NUCLEUS = 512


@dataclass(frozen=True)
class Hypothesis:
    """A finished text.

    `ids` are the new tokens, without prompt and [SEP]. `logprobs` are the model's own log-probabilities, before any
    filter or temperature: one per id, and [SEP]'s when `ended`; they equal a teacher-forced re-score. `score` is what
    the strategy ranks by. `ended` is false for a text that was cut off by the token limit or by filters.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    score: float
    ended: bool


@dataclass(frozen=True)
class Row:
    """A text in the making. `parent` is the row of the last batch that it continues, `total` its running score.

    `sample` numbers the independent samples of one prompt; it is 0 elsewhere.
    """

    parent: int
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    total: float = 0.0
    sample: int = 0


@dataclass(frozen=True)
class Search:
    """What a strategy knows of one prompt: its live rows and its finished texts, best first.

    `draws` holds the random numbers of sampling, [samples, steps] in [0, 1), drawn ahead: so what a row picks depends
    on nothing but its own prompt.
    """

    prompt_length: int
    rows: tuple[Row, ...]
    closed: tuple[Hypothesis, ...] = ()
    draws: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Scores:
    """Float32 log-probabilities of the live rows: the model's own, and what filters leave of them (-inf: forbidden).

    `allowed_RV` is the same tensor as `model_RV` when there are no filters, and is not normalised again.
    """

    model_RV: Tensor
    allowed_RV: Tensor


class Strategy(Protocol):
    """Chooses how each search goes on."""

    def begin(self, prompt_length: int) -> Search:
        """The search of one prompt, with the one row that the prompt is read into; `prompt_length` counts [CLS]."""
        ...

    def advance(self, searches: Sequence[Search], scores: Scores) -> list[Search]:
        """Every search one token further. The rows of `scores` are the rows of all searches, in order."""
        ...


@dataclass(frozen=True)
class Greedy:
    """The likeliest token at every step. The score is the sum of log-probabilities."""

    max_new_tokens: int
    sep_id: int

    def begin(self, prompt_length: int) -> Search:
        return Search(prompt_length, (Row(parent=0),))

    def advance(self, searches: Sequence[Search], scores: Scores) -> list[Search]:
        rows = [row for search in searches for row in search.rows]
        token_R = first_largest(scores.allowed_RV)
        allowed_R = scores.allowed_RV.gather(1, token_R[:, None])[:, 0]
        picks = _fetch_picks(scores.model_RV, allowed_R, token_R)
        return _share_out(searches, [_take(row, i, picks[i], self) for i, row in enumerate(rows)])


@dataclass(frozen=True)
class Sample:
    """Independent samples: temperature, then top-k, then top-p of what is left (Holtzman et al. 2020).

    Each of `results` samples has its own row of random numbers, from one generator per prompt seeded with `seed`: the
    same prompt gives the same samples in any batch. Without a seed they come from torch's global generator. Results
    are ranked by the sum of the model's log-probabilities.
    """

    options: DecodeOptions
    sep_id: int

    @property
    def max_new_tokens(self) -> int:
        return self.options.max_new_tokens

    def begin(self, prompt_length: int) -> Search:
        generator = None if self.options.seed is None else torch.Generator().manual_seed(self.options.seed)
        draws = torch.rand(self.options.results, self.max_new_tokens, generator=generator, dtype=torch.float32).tolist()
        return Search(prompt_length, (Row(parent=0),), draws=tuple(tuple(steps) for steps in draws))

    def advance(self, searches: Sequence[Search], scores: Scores) -> list[Search]:
        # The first step has one row per prompt, from which every sample of that prompt starts.
        pickers, parents, draws = [], [], []
        parent = 0
        for search in searches:
            for row in search.rows:
                samples = [row.sample] if row.ids else range(self.options.results)
                pickers += [replace(row, sample=sample) for sample in samples]
                parents += [parent] * len(samples)
                draws += [search.draws[sample][len(row.ids)] for sample in samples]
                parent += 1
        model_NV, allowed_NV = scores.model_RV, scores.allowed_RV
        if parents != list(range(len(model_NV))):
            model_NV, allowed_NV = model_NV[parents], allowed_NV[parents]
        token_N = self._draw(allowed_NV, torch.tensor(draws, device=allowed_NV.device, dtype=torch.float32))
        allowed_N = allowed_NV.gather(1, token_N[:, None])[:, 0]
        picks = _fetch_picks(model_NV, allowed_N, token_N)
        taken = [_take(row, parent, pick, self) for row, parent, pick in zip(pickers, parents, picks, strict=True)]
        return _share_out(searches, taken, self.options.results)

    def _draw(self, allowed_NV: Tensor, draw_N: Tensor) -> Tensor:
        """Token_N by inverting the cumulative distribution at `draw_N`; forbidden tokens have no share in it."""
        kept_NV = allowed_NV - allowed_NV.amax(dim=-1, keepdim=True)
        kept_NV = kept_NV / max(self.options.temperature, COLDEST)
        if 0 < self.options.top_k < kept_NV.shape[-1]:
            worst_N1 = kept_NV.topk(self.options.top_k, dim=-1).values[:, -1:]
            kept_NV = kept_NV.masked_fill(kept_NV < worst_N1, FORBIDDEN)
        if self.options.top_p < 1.0:
            kept_NV = _keep_nucleus(kept_NV, self.options.top_p)
        shares_NV = kept_NV.softmax(dim=-1)
        reached_NV = shares_NV.cumsum(dim=-1).masked_fill(~(shares_NV > 0), 0.0)
        # A draw is at most 1 - 2 ** -24, and so far below a float32 total the product cannot round up to it.
        aim_N1 = draw_N[:, None] * reached_NV.amax(dim=-1, keepdim=True)
        return (reached_NV > aim_N1).int().argmax(dim=-1)


def _keep_nucleus(logprobs_NV: Tensor, top_p: float) -> Tensor:
    """Forbid all but the likeliest tokens that together reach `top_p`; the first is always kept."""
    log_total_N1 = logprobs_NV.logsumexp(dim=-1, keepdim=True)
    for count in (NUCLEUS, logprobs_NV.shape[-1]):
        best_NC, token_NC = logprobs_NV.topk(min(count, logprobs_NV.shape[-1]), dim=-1)
        shares_NC = (best_NC - log_total_N1).exp()
        # Sorting a few is enough, and much cheaper, when they hold that much; otherwise sort all.
        if bool((shares_NC.sum(dim=-1) > top_p).all()):
            break
    inside_NC = shares_NC.cumsum(dim=-1) - shares_NC < top_p
    inside_NC[:, 0] = True
    kept_NC = best_NC.masked_fill(~inside_NC, FORBIDDEN)
    return torch.full_like(logprobs_NV, FORBIDDEN).scatter(1, token_NC, kept_NC)


@dataclass(frozen=True)
class Pick:
    """A token chosen for a row; `dead` says that every token was forbidden (or the model gave no numbers)."""

    token: int
    logprob: float
    dead: bool


def _fetch_picks(model_NV: Tensor, allowed_N: Tensor, token_N: Tensor) -> list[Pick]:
    """Bring the chosen tokens, their log-probabilities and whether they live to Python, in one transfer."""
    # Float32 holds every integer up to 2 ** 24, far above any vocabulary.
    logprob_N = model_NV.gather(1, token_N[:, None])[:, 0]
    fetched = torch.stack([token_N.float(), logprob_N, (allowed_N > FORBIDDEN).float()], dim=1).tolist()
    return [Pick(int(token), logprob, not alive) for token, logprob, alive in fetched]


def _take(row: Row, parent: int, pick: Pick, limits: Greedy | Sample) -> Row | Hypothesis:
    """Give `row` its token: a longer row, or a finished text."""
    if pick.dead:
        return Hypothesis(row.ids, row.logprobs, row.total, ended=False)
    logprobs, total = (*row.logprobs, pick.logprob), row.total + pick.logprob
    if pick.token == limits.sep_id:
        return Hypothesis(row.ids, logprobs, total, ended=True)
    ids = (*row.ids, pick.token)
    if len(ids) == limits.max_new_tokens:
        return Hypothesis(ids, logprobs, total, ended=False)
    return Row(parent, ids, logprobs, total, row.sample)


def _share_out(searches: Sequence[Search], taken: list[Row | Hypothesis], fan_out: int = 1) -> list[Search]:
    """Hand the rows of a batch back to their searches; a row without tokens so far stands for `fan_out` of them."""
    shared, start = [], 0
    for search in searches:
        count = sum(1 if row.ids else fan_out for row in search.rows)
        mine = taken[start : start + count]
        start += count
        closed = [*search.closed, *(text for text in mine if isinstance(text, Hypothesis))]
        closed.sort(key=lambda text: -text.score)
        rows = tuple(row for row in mine if isinstance(row, Row))
        shared.append(replace(search, rows=rows, closed=tuple(closed)))
    return shared
