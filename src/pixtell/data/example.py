"""One row of training data, and the token sequence that a text of it becomes.

In: a picture's bytes with texts about it. Out: `(ids, need_predict)`, the same sequence that inference builds, with a
mask that says what is learnt. The surprising thing: a caption and an answer are the same task; a caption is the answer
to an empty question, and so is the name of a class or the word that a picture shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixtell.tokenizer import MAX_PROMPT, MAX_TEXT, Tokenizer


@dataclass(frozen=True)
class TextPair:
    """A prompt (empty for a caption, else a question) and the text to say after it.

    Of a question that several people answered, `target` is what most said, and `others` are all the other answers, each
    as often as it was given.
    """

    prompt: str
    target: str
    others: tuple[str, ...] = ()


def switch_mark(pair: TextPair) -> TextPair:
    """The same pair with its question's final mark left out, or added where there is none; a caption's as it is."""
    question = pair.prompt.rstrip()
    if not question:
        return pair
    switched = question.removesuffix("?").rstrip() if question.endswith("?") else f"{question}?"
    return TextPair(switched, pair.target, pair.others)


def drawn(pair: TextPair, random: np.random.Generator) -> TextPair:
    """The same prompt with one of its answers, drawn as often as people gave it.

    So an answer that 7 of VQAv2's 10 people gave is learnt in 7 of 10 epochs, and a model learns how sure to be.
    """
    if not pair.others:  # no random numbers are drawn where none are needed
        return pair
    answers = (pair.target, *pair.others)
    return TextPair(pair.prompt, answers[int(random.integers(len(answers)))])


@dataclass(frozen=True)
class Example:
    """A picture or clip as encoded bytes (a folder of frames: its path), the texts about it, and the key that messages
    name it by."""

    key: str
    image: bytes | Path
    texts: tuple[TextPair, ...]


def sequence(tokenizer: Tokenizer, pair: TextPair) -> tuple[list[int], list[bool]]:
    """Token ids and need_predict of one text, as the authors' `train.py` `get_data` builds them.

    Prompt and target are cut to 40 pieces each; of a longer whole the last 38 are kept; then `[CLS] ... [SEP]`. What
    is learnt is the target and [SEP]; [CLS] and the prompt are only read.
    """
    prompt = tokenizer.encode(pair.prompt)[:MAX_TEXT]
    target = tokenizer.encode(pair.target)[:MAX_TEXT]
    payload = prompt + target
    need_predict = [False] * len(prompt) + [True] * len(target)
    if len(payload) > MAX_TEXT:
        payload, need_predict = payload[-MAX_PROMPT:], need_predict[-MAX_PROMPT:]
    return [tokenizer.cls_id, *payload, tokenizer.sep_id], [False, *need_predict, True]
