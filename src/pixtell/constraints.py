"""What a text must and must not hold: words and phrases become filters over tokens.

In: search options and a tokenizer. Out: filters for the decoding loop; an error where they leave nothing to say. The
surprising thing: a text that must begin with given words is not a longer prompt. Its words are found by the same
search, with nothing else allowed, so they have log-probabilities and count as part of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from pixtell.config import DecodeOptions
from pixtell.decoding.filters import Banned, Filter, Opening, TrieConstraint, TrieNode
from pixtell.decoding.words import BannedWords, Piece, Spellings
from pixtell.errors import ConfigError
from pixtell.tokenizer import CLS, MASK, PAD, SEP, UNKNOWN, Tokenizer

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
    """The filters that `options` ask for. Raises `ConfigError` for words that are none to the model, and for options
    that leave nothing to say."""
    return list(_filters(options, tokenizer))


@lru_cache(maxsize=8)  # of every batch of a job the same, and tables over the vocabulary
def _filters(options: DecodeOptions, tokenizer: Tokenizer) -> tuple[Filter, ...]:
    filters: list[Filter] = []
    if phrases := [*options.banned, *(READING_OUT if options.no_text else ())]:
        filters.append(banned_words(phrases, tokenizer))
    if options.no_text:
        filters.append(Banned(tuple(writing(tokenizer))))
    if options.start_with:
        first = opening(options.start_with, tokenizer)
        _check_opening(options, first, tokenizer)
        filters.append(first)
    if options.choices:
        listed = closed_list("choices", options.choices, tokenizer)
        _check_choices(options, listed, tokenizer)
        filters.append(TrieConstraint(TrieNode.of(listed), tokenizer.sep_id))
    return tuple(filters)


def banned_words(phrases: Sequence[str], tokenizer: Tokenizer) -> BannedWords:
    """The filter that keeps words and phrases out, in whatever pieces they could be spelled."""
    return BannedWords([way for phrase in phrases for way in _ways(tokenizer.words(phrase))], spellings(tokenizer))


def _ways(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The words of a phrase; and, since `do n ' t` is read as `don't`, those that would be read as this phrase."""
    yield tuple(words)
    for place, word in enumerate(words):
        after = tuple(words[place + 1 :]) or ("'",)
        if len(word) > 1 and word.endswith("n") and after[0] == "'":
            yield from ((*words[:place], word[:-1], "n", *way) for way in _ways(after))


@lru_cache(maxsize=4)
def spellings(tokenizer: Tokenizer) -> Spellings:
    """What each token of a vocabulary adds to a text."""
    return Spellings(_piece(piece, tokenizer) for piece in tokenizer.vocabulary)


def _piece(piece: str, tokenizer: Tokenizer) -> Piece | None:
    if piece in (PAD, UNKNOWN, CLS, SEP, MASK):
        return None
    own = piece.removeprefix("##")
    continues = own != piece
    if own.isascii() and own.isalnum():
        return Piece(own.lower(), continues)
    words = tokenizer.words(own)
    alone = max(1, len(words))  # with a letter before or behind it, there are as many words when that joins
    before, behind = len(tokenizer.words(f"a{own}")), len(tokenizer.words(f"{own}a"))
    if not words:
        before = len(tokenizer.words(f"a{own}a"))
    return Piece(" ".join(words), continues, starts_word=before == alone, ends_word=behind == alone)


def _check_opening(options: DecodeOptions, first: Opening, tokenizer: Tokenizer) -> None:
    """Raise `ConfigError` where the words that a text must begin with may not stand there."""
    words, told = first.words, f"start_with {options.start_with!r}"
    if len(words) >= options.max_new_tokens:
        raise ConfigError(
            f"{told} takes {len(words)} pieces of max_new_tokens {options.max_new_tokens}: allow more, or begin with "
            "less"
        )
    for phrase in options.banned:
        if _stopped(words, banned_words([phrase], tokenizer)):
            raise ConfigError(f"{told} says {phrase!r}, which is banned: leave one of them out")
    if options.no_text and (
        not set(writing(tokenizer)).isdisjoint((word,) for word in words)
        or _stopped(words, banned_words(READING_OUT, tokenizer))
    ):
        raise ConfigError(f"{told} reads writing out, which no_text forbids: leave one of them out")
    size = options.no_repeat_ngram
    runs = [words[place : place + size] for place in range(len(words) - size + 1)] if size else []
    if len(set(runs)) < len(runs):
        raise ConfigError(f"{told} repeats itself, which no_repeat_ngram {size} forbids: leave one of them out")


def _check_choices(options: DecodeOptions, listed: Sequence[tuple[int, ...]], tokenizer: Tokenizer) -> None:
    """Raise `ConfigError` where none of the texts to choose among may be said."""
    phrases = [*options.banned, *(READING_OUT if options.no_text else ())]
    banned = banned_words(phrases, tokenizer)
    marks = set(writing(tokenizer)) if options.no_text else set()
    left = [ids for ids in listed if not _stopped(ids, banned) and marks.isdisjoint((token,) for token in ids)]
    if not left:
        raise ConfigError("choices: every one of them holds something banned: leave one of them out")
    if max(map(len, left)) < options.min_new_tokens:
        longest = max(map(len, left))
        raise ConfigError(f"choices take up to {longest} pieces, min_new_tokens {options.min_new_tokens}: allow less")


def _stopped(ids: Sequence[int], banned: BannedWords) -> bool:
    return any(token in banned.forbidden(ids[:place]) for place, token in enumerate(ids))


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
