"""From a filled cache to token ids: the loop, its strategies and filters, and the scoring of given texts.

    loop.py         generate, stream: logits -> filters -> strategy -> reorder -> step, until no row is left
    strategies.py   what a search is; greedy and sampling
    beams.py        beam search by the authors' rules or those of `transformers`
    largest.py      the few largest of a vocabulary of numbers
    filters.py      minimum length, banned tokens, n-grams, a trie of allowed texts
    words.py        banned words, in whatever pieces
    scoring.py      exact log-probabilities of thousands of given texts

The surprising thing: all strategies are one loop. A strategy only says which old row each new row continues.
"""

from pixtell.decoding.filters import Banned, Filter, MinLength, NoRepeatNgram, TrieConstraint, TrieNode
from pixtell.decoding.loop import Prompt, StepModel, generate, stream
from pixtell.decoding.scoring import score_continuations
from pixtell.decoding.strategies import Hypothesis

__all__ = [
    "Banned",
    "Filter",
    "Hypothesis",
    "MinLength",
    "NoRepeatNgram",
    "Prompt",
    "StepModel",
    "TrieConstraint",
    "TrieNode",
    "generate",
    "score_continuations",
    "stream",
]
