"""One row of training data, and the token sequence that a text of it becomes.

In: a picture's bytes with texts about it. Out: `(ids, need_predict)`, the same sequence that inference builds, with a
mask that says what is learnt. The surprising thing: a caption and an answer are the same task; a caption is the answer
to an empty question.
"""

from __future__ import annotations

from dataclasses import dataclass

from pixtell.tokenizer import MAX_PROMPT, MAX_TEXT, Tokenizer


@dataclass(frozen=True)
class TextPair:
    """A prompt (empty for a caption, else a question) and the text to say after it."""

    prompt: str
    target: str


def switch_mark(pair: TextPair) -> TextPair:
    """The same pair with its question's final mark left out, or added where there is none; a caption's as it is."""
    question = pair.prompt.rstrip()
    if not question:
        return pair
    return TextPair(question.removesuffix("?").rstrip() if question.endswith("?") else f"{question}?", pair.target)


@dataclass(frozen=True)
class Example:
    """A picture as encoded bytes, the texts about it, and the key that messages name it by."""

    key: str
    image: bytes
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
