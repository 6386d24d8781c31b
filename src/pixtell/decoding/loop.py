"""The decoding loop, the only one: prompts in, texts out, one token for every live row at each turn.

A turn reads top to bottom: log-probabilities in float32, filters, the strategy's choice, the cache reordered to follow
the choice, one step of the model. Rows that have finished leave the batch with the reorder, so that the last texts of a
batch cost no more than if they were alone.

The surprising thing: prompts of different length share a batch by right padding. Each row counts its own positions, so
that a row never sees the padding, and a batch gives what one prompt at a time gives.

    R rows, T prompt tokens, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pixtell.cache import KVCache
from pixtell.config import DecodeOptions, ModelConfig
from pixtell.decoding.beams import Beam, choose_rules
from pixtell.decoding.filters import Filter, MinLength, NoRepeatNgram
from pixtell.decoding.strategies import Greedy, Hypothesis, Sample, Scores, Search, Strategy
from pixtell.errors import ConfigError


class StepModel(Protocol):
    """What decoding needs of a model: its numbers, and one step over rows of a cache."""

    @property
    def config(self) -> ModelConfig: ...

    def step(self, ids_RT: Tensor, cache: KVCache, lengths_R: Tensor | None = None) -> Tensor:
        """Append T tokens to each row of `cache` (row r has `lengths_R[r]` valid ones); logits_RV after the last."""
        ...


@dataclass(frozen=True)
class Prompt:
    """What a text starts from: a medium of the cache, by its index, and [CLS] with a question's pieces, no [SEP]."""

    media: int
    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.ids:
            raise ConfigError("prompt: it has no tokens; it needs at least [CLS]")


def generate(
    model: StepModel,
    cache: KVCache,
    prompts: Sequence[Prompt],
    options: DecodeOptions,
    filters: Sequence[Filter] = (),
    on_token: Callable[[int, int], None] | None = None,
) -> list[list[Hypothesis]]:
    """Search texts for all prompts at once: for each, up to `options.results` hypotheses, best first.

    `cache` holds the media (`GitModel.prefill`); it is not changed. `options.min_new_tokens` and `no_repeat_ngram` are
    obeyed here; `options.banned` is text, so the caller passes it as `words.BannedWords` among `filters`.
    `on_token(prompt_index, token_id)` is told of each token as soon as it is settled, [SEP] excepted.

    Raises `ConfigError` for prompts that leave no room for `max_new_tokens`, and for `on_token` with beams or with
    several results, where nothing is settled before the end.
    """
    if on_token is not None:
        _check_streams(options)
    searches: Sequence[Search] = ()
    told = [0] * len(prompts)
    for searches in _turns(model, cache, prompts, options, filters):
        if on_token is not None:
            for index, token in _news(searches, told):
                on_token(index, token)
    return [list(search.closed) for search in searches]


def stream(
    model: StepModel,
    cache: KVCache,
    prompts: Sequence[Prompt],
    options: DecodeOptions,
    filters: Sequence[Filter] = (),
) -> Iterator[tuple[int, int]]:
    """The tokens of `generate` as they are settled, as (prompt_index, token_id); the next step waits to be asked for.

    Raises as `generate` does with `on_token`.
    """
    _check_streams(options)
    told = [0] * len(prompts)
    turns = _turns(model, cache, prompts, options, filters)
    return (news for searches in turns for news in _news(searches, told))


@torch.inference_mode()
def _turns(
    model: StepModel, cache: KVCache, prompts: Sequence[Prompt], options: DecodeOptions, filters: Sequence[Filter]
) -> Iterator[Sequence[Search]]:
    """The loop: all searches after each turn, until none has rows left."""
    if not prompts:
        return
    sep_id = model.config.text.sep_id
    check_room(prompts, options.max_new_tokens, model.config.text.max_positions)
    strategy = choose_strategy(options, sep_id)
    filters = (*_option_filters(options, sep_id), *filters)

    searches: Sequence[Search] = [strategy.begin(len(prompt.ids)) for prompt in prompts]
    live = [row for search in searches for row in search.rows]
    capacity = max(len(prompt.ids) for prompt in prompts) + options.max_new_tokens
    rows = cache.rows([prompt.media for prompt in prompts], capacity)
    spare: KVCache | None = None
    logits_RV = model.step(*_pad_right(prompts, rows, model.config.text.pad_id))
    while True:
        logprobs_RV = logits_RV.float().log_softmax(dim=-1)
        scores = Scores(logprobs_RV, _filtered(logprobs_RV, [row.ids for row in live], filters))
        searches = strategy.advance(searches, scores)
        yield searches
        live = [row for search in searches for row in search.rows]
        if not live:
            return
        following = rows.reorder([row.parent for row in live], spare)
        if following is not rows:
            rows, spare = following, rows  # the next reorder writes where this one read
        logits_RV = model.step(torch.tensor([[row.ids[-1]] for row in live], device=rows.lengths_R.device), rows)


def choose_strategy(options: DecodeOptions, sep_id: int) -> Strategy:
    """The strategy that `options` describes: one beam is greedy, or sampling at a temperature above 0."""
    if options.temperature > 0:
        return Sample(options, sep_id)
    if options.beams == 1:
        return Greedy(options.max_new_tokens, sep_id)
    return Beam(choose_rules(options, sep_id), options.results)


def _option_filters(options: DecodeOptions, sep_id: int) -> list[Filter]:
    filters: list[Filter] = []
    if options.min_new_tokens:
        filters.append(MinLength(options.min_new_tokens, sep_id))
    if options.no_repeat_ngram:
        filters.append(NoRepeatNgram(options.no_repeat_ngram))
    return filters


def _filtered(logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]], filters: Sequence[Filter]) -> Tensor:
    """What filters leave of the log-probabilities; the tensor itself without filters, a copy with them."""
    if not filters:
        return logprobs_RV
    allowed_RV = logprobs_RV.clone()
    for each in filters:
        allowed_RV = each(allowed_RV, ids_R)
    return allowed_RV


def _pad_right(prompts: Sequence[Prompt], rows: KVCache, pad_id: int) -> tuple[Tensor, KVCache, Tensor | None]:
    """The arguments of the step that reads all prompts: ids_RT, the rows, and lengths_R unless all are equal."""
    device = rows.lengths_R.device
    lengths = [len(prompt.ids) for prompt in prompts]
    longest = max(lengths)
    padded = [[*prompt.ids, *[pad_id] * (longest - len(prompt.ids))] for prompt in prompts]
    ids_RT = torch.tensor(padded, device=device)
    return ids_RT, rows, None if min(lengths) == longest else torch.tensor(lengths, device=device)


def _news(searches: Sequence[Search], told: list[int]) -> Iterator[tuple[int, int]]:
    """Each prompt's token that is newer than `told`, its count of tokens told so far, which is brought up to date."""
    for index, search in enumerate(searches):
        ids = (search.rows or search.closed)[0].ids
        if len(ids) > told[index]:
            told[index] = len(ids)
            yield index, ids[-1]


def _check_streams(options: DecodeOptions) -> None:
    if options.beams > 1:
        raise ConfigError(f"streaming: {options.beams} beams settle nothing before the end; use beams=1")
    if options.results > 1:
        raise ConfigError(f"streaming: it gives one text, but results is {options.results}; use results=1")


def check_room(prompts: Sequence[Prompt], max_new_tokens: int, max_positions: int) -> None:
    """Raise `ConfigError` when a prompt and that many tokens behind it don't fit the decoder's positions."""
    longest = max(len(prompt.ids) for prompt in prompts)
    if longest + max_new_tokens > max_positions:
        raise ConfigError(
            f"decoding: a prompt of {longest} tokens with max_new_tokens {max_new_tokens} needs "
            f"{longest + max_new_tokens} positions, but the model has {max_positions}: "
            f"ask for at most {max(0, max_positions - longest)} new tokens"
        )
