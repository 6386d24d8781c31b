"""Beam search: the authors' rules, and those of `transformers` by option.

In: the searches and the log-probabilities of all their rows. Out: the searches one token further. The best candidates
of every prompt are found on the device and fetched at once; the rules then go through 2K of them a prompt in Python,
where they read as they are stated, and never see the vocabulary.

The surprising thing: the authors score a text by its length with [CLS] and question, and close a text in the last step
with the log-probability of a word that they then drop; both are kept (git-facts.md 1.6).

    R rows, V vocabulary, C candidates a row, B prompts, K the most rows a prompt has
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from pixtell.config import DecodeOptions
from pixtell.decoding.filters import FORBIDDEN
from pixtell.decoding.largest import largest
from pixtell.decoding.strategies import Hypothesis, Row, Scores, Search


@dataclass(frozen=True)
class Candidate:
    """A way to continue: `row` of the search (row `parent` of the batch), with `token`, gives running score `total`."""

    row: Row
    parent: int
    token: int
    total: float
    logprob: float

    def grown(self) -> Row:
        """The row with the token appended."""
        return Row(self.parent, (*self.row.ids, self.token), (*self.row.logprobs, self.logprob), self.total)


class BeamRules(Protocol):
    """Whose beam search: which candidates live on, which texts are finished, with what score, and when to stop."""

    @property
    def width(self) -> int: ...

    @property
    def renormalise(self) -> bool:
        """Whether log-probabilities are normalised again after the filters."""
        ...

    def advance(self, search: Search, candidates: Sequence[Candidate]) -> Search:
        """One step of one prompt, given the best 2 * width candidates (fewer if the rest is forbidden), best first."""
        ...

    def cut_off(self, search: Search) -> tuple[Hypothesis, ...]:
        """The live rows as unfinished texts, for when nothing may follow them and nothing was finished."""
        ...


@dataclass(frozen=True)
class Beam:
    """Beam search under `rules`, keeping `results` texts a prompt (fewer if fewer were found)."""

    rules: BeamRules
    results: int

    def begin(self, prompt_length: int) -> Search:
        return Search(prompt_length, (Row(parent=0),))

    def advance(self, searches: Sequence[Search], scores: Scores) -> list[Search]:
        candidates = iter(self._best_candidates(searches, scores))
        advanced = []
        for search in searches:
            if search.rows:
                after = self.rules.advance(search, next(candidates))
                if not after.rows:
                    closed = after.closed or self.rules.cut_off(search)
                    after = replace(after, closed=closed[: self.results])
                search = after
            advanced.append(search)
        return advanced

    def _best_candidates(self, searches: Sequence[Search], scores: Scores) -> list[list[Candidate]]:
        """The best 2 * width candidates of each search that has rows, best first, without forbidden ones."""
        groups = [search.rows for search in searches if search.rows]
        rows = [row for group in groups for row in group]
        device = scores.allowed_RV.device
        normalised_RV = scores.allowed_RV
        if self.rules.renormalise and scores.allowed_RV is not scores.model_RV:
            normalised_RV = scores.allowed_RV.log_softmax(dim=-1)
        # The best 2K of a prompt are among the best 2K of each of its rows: the large part is one top-k over rows.
        step_RC, token_RC = largest(normalised_RV, min(2 * self.rules.width, normalised_RV.shape[-1]))
        total_R1 = torch.tensor([[row.total] for row in rows], device=device, dtype=torch.float32)
        total_RC = torch.where(step_RC > FORBIDDEN, step_RC + total_R1, FORBIDDEN)
        logprob_RC = scores.model_RV.gather(1, token_RC)
        # Prompts may hold different numbers of rows: lay them out as B x K, empty places dead.
        places = torch.tensor([(b, k) for b, group in enumerate(groups) for k in range(len(group))], device=device)
        width = max(len(group) for group in groups)
        total_BKC = total_RC.new_full((len(groups), width, total_RC.shape[-1]), FORBIDDEN)
        total_BKC[places[:, 0], places[:, 1]] = total_RC
        found = total_BKC.flatten(1).topk(min(2 * self.rules.width, width * total_RC.shape[-1]), dim=-1)
        first_row_B1 = torch.tensor([[start] for start in _starts(groups)], device=device)
        # Row-major places of candidates in R x C; dead ones may point anywhere and are dropped below.
        flat_BC = (found.indices + first_row_B1 * total_RC.shape[-1]).clamp(max=total_RC.numel() - 1)
        numbers = [
            flat_BC // total_RC.shape[-1],
            token_RC.flatten()[flat_BC],
            found.values,
            logprob_RC.flatten()[flat_BC],
        ]
        fetched = torch.stack([number.float() for number in numbers], dim=-1).tolist()
        return [
            [
                Candidate(rows[int(r)], int(r), int(token), total, lp)
                for r, token, total, lp in group
                if total > FORBIDDEN
            ]
            for group in fetched
        ]


def _starts(groups: Sequence[Sequence[Row]]) -> list[int]:
    starts = [0]
    for group in groups:
        starts.append(starts[-1] + len(group))
    return starts[:-1]


def choose_rules(options: DecodeOptions, sep_id: int) -> BeamRules:
    """The rules that `options.scoring` names."""
    if options.scoring == "authors":
        return AuthorsRules(options.beams, options.results, options.length_penalty, options.max_new_tokens, sep_id)
    return TransformersRules(options.beams, options.length_penalty, options.max_new_tokens, sep_id)


@dataclass(frozen=True)
class AuthorsRules:
    """The beam search of microsoft/GenerativeImage2Text (decoder.py, `GeneratorWithBeamSearch`; git-facts.md 1.6).

    score = sum / ((5 + length) / 6) ** length_penalty (GNMT, Wu et al. 2016, without the coverage term), where length
    counts [CLS], prompt and words, not [SEP], and the sum has the log-probability of [SEP], or of the word that the
    last step chose and dropped. `keep` texts are held, the authors' 1. For more than one, a text found twice (in the
    last step: once with [SEP], once cut off) is held once, with its better score.
    """

    width: int
    keep: int
    length_penalty: float
    max_new_tokens: int
    sep_id: int
    renormalise: bool = True

    def advance(self, search: Search, candidates: Sequence[Candidate]) -> Search:
        closed = search.closed
        longest = search.prompt_length + self.max_new_tokens
        if candidates and len(closed) == self.keep and closed[-1].score >= candidates[0].total / self._norm(longest):
            return replace(search, rows=())
        live: list[Row] = []
        for candidate in candidates:
            ends = candidate.token == self.sep_id
            if ends or len(candidate.row.ids) == self.max_new_tokens:
                logprobs = candidate.row.logprobs + ((candidate.logprob,) if ends else ())
                score = candidate.total / self._norm(search.prompt_length + len(candidate.row.ids))
                closed = _keep_best(closed, Hypothesis(candidate.row.ids, logprobs, score, ends), self.keep)
            else:
                live.append(candidate.grown())
            if len(live) == self.width:
                break
        return replace(search, rows=tuple(live), closed=closed)

    def cut_off(self, search: Search) -> tuple[Hypothesis, ...]:
        return tuple(
            Hypothesis(row.ids, row.logprobs, row.total / self._norm(search.prompt_length + len(row.ids)), False)
            for row in search.rows
        )

    def _norm(self, length: int) -> float:
        return float(((5 + length) / 6) ** self.length_penalty)


@dataclass(frozen=True)
class TransformersRules:
    """The beam search of `transformers` 5.23 with `early_stopping=False` (generation/utils.py, `_beam_search`).

    score = sum / length ** length_penalty, where length counts new tokens with [SEP]; [SEP] and, in the last step, any
    token closes a text, but only from a candidate among the best `width`; `width` texts are held; the end is when the
    best live row, at the present length, is no better than the worst of them. `max_new_tokens` counts [SEP] too.
    """

    width: int
    length_penalty: float
    max_new_tokens: int
    sep_id: int
    renormalise: bool = False

    def advance(self, search: Search, candidates: Sequence[Candidate]) -> Search:
        length = len(search.rows[0].ids) + 1
        live: list[Row] = []
        closed = search.closed
        for rank, candidate in enumerate(candidates):
            row, ends = candidate.grown(), candidate.token == self.sep_id
            if not ends and length < self.max_new_tokens:
                live.append(row)
            elif rank < self.width:
                text = Hypothesis(row.ids[:-1] if ends else row.ids, row.logprobs, self._score(row.total, length), ends)
                closed = _keep_best(closed, text, self.width)
        if live and len(closed) == self.width and self._score(live[0].total, length) <= closed[-1].score:
            live = []
        return replace(search, rows=tuple(live[: self.width]), closed=closed)

    def cut_off(self, search: Search) -> tuple[Hypothesis, ...]:
        return tuple(
            Hypothesis(row.ids, row.logprobs, self._score(row.total, max(1, len(row.ids))), False)
            for row in search.rows
        )

    def _score(self, total: float, length: int) -> float:
        return float(total / length**self.length_penalty)


def _keep_best(closed: tuple[Hypothesis, ...], text: Hypothesis, count: int) -> tuple[Hypothesis, ...]:
    """Add a text to those held, best first, equal scores in order of arrival, each text once, at most `count`."""
    if any(held.ids == text.ids and held.score >= text.score for held in closed):
        return closed
    others = [held for held in closed if held.ids != text.ids]
    return tuple(sorted([*others, text], key=lambda held: -held.score)[:count])
