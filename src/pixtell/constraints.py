"""What a text must and must not hold: words and phrases become filters over tokens.

In: search options and a tokenizer. Out: filters for the decoding loop. The surprising thing: a text that must begin
with given words is not a longer prompt. Its words are found by the same search, with nothing else allowed, so they have
log-probabilities and count as part of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.config import DecodeOptions
from pixtell.decoding.filters import Banned, Filter, Opening, TrieConstraint, TrieNode
from pixtell.errors import ConfigError
from pixtell.tokenizer import Tokenizer

# How captions that learned from TextCaps lead up to writing, real or made up (users report 6 to 18 % of pictures with
# invented words: microsoft/GenerativeImage2Text, issue 43). Quotation marks and digits go with them.
READING_OUT = (
    *("says", "saying", "reads", "that say", "that read", "which say", "which read", "reading '", "with the word"),
    *("with the words", "with the text", "with the letter", "with the letters", "with the number", "with the numbers"),
    *("with the name", "the word", "the words", "the number", "the letters", "labeled", "labelled", "titled"),
    *("entitled", "called", "named", "written on it", "written on them", "spelling", "spells"),
)
MARKS = ('"', "``", "''", "\u201c", "\u201d", "\u2018", "\u00ab", "\u00bb")


def filters_of(options: DecodeOptions, tokenizer: Tokenizer) -> list[Filter]:
    """The filters that `options` ask for. Raises `ConfigError` for words that are none to the model."""
    filters: list[Filter] = []
    phrases = [*options.banned, *(READING_OUT if options.no_text else ())]
    banned = [ids for phrase in phrases if (ids := tuple(tokenizer.encode(phrase)))]
    if options.no_text:
        banned += writing(tokenizer)
    if banned:
        filters.append(Banned(tuple(dict.fromkeys(banned))))
    if options.start_with:
        first = opening(options.start_with, tokenizer)
        if len(first.words) >= options.max_new_tokens:
            raise ConfigError(
                f"start_with {options.start_with!r} takes {len(first.words)} pieces of max_new_tokens "
                f"{options.max_new_tokens}: allow more, or begin with less"
            )
        filters.append(first)
    if options.choices:
        choices = TrieNode.of(closed_list("choices", options.choices, tokenizer))
        filters.append(TrieConstraint(choices, tokenizer.sep_id))
    return filters


def writing(tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """The pieces that spell out writing: quotation marks, and everything with a digit."""
    return [
        (number,)
        for number, piece in enumerate(tokenizer.vocabulary)
        if piece in MARKS or any(character.isdigit() for character in piece)
    ]


def opening(words: str, tokenizer: Tokenizer) -> Opening:
    """The filter that makes texts begin with `words` and go on with another word."""
    ids = tuple(tokenizer.encode(words))
    if not ids or tokenizer.unknown_id in ids:
        raise ConfigError(f"start_with {words!r}: the model can't spell it, choose other words")
    continuing = tuple(number for number, piece in enumerate(tokenizer.vocabulary) if piece.startswith("##"))
    return Opening(ids, (*continuing, tokenizer.sep_id))


def closed_list(what: str, labels: Sequence[str], tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """The token ids of texts to choose among, which must differ from each other and from nothing.

    Raises `ConfigError` that lists those that don't.
    """
    if isinstance(labels, str) or not labels:
        raise ConfigError(f"{what} must be a list of at least one text, got {labels!r}")
    ids = [tuple(tokenizer.encode(label)) for label in labels]
    first: dict[tuple[int, ...], str] = {}
    problems = []
    for label, pieces in zip(labels, ids, strict=True):
        if not pieces:
            problems.append(f"{label!r} has no letters")
        elif pieces in first:
            problems.append(f"{first[pieces]!r} and {label!r} are the same to the model")
        first.setdefault(pieces, label)
    if problems:
        raise ConfigError.listing(what, problems)
    return ids
