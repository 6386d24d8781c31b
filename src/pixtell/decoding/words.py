"""Words and phrases that must not be read in a text, in whatever pieces they are spelled: `dog`, `do ##g`, `d ##og`.

In: what each token adds to a text, and words and phrases. Out: a filter that forbids every token with which one of them
would stand there.

The surprising thing: no text is put together while it grows. For each phrase, and each token that can bring its last
character, it is found out beforehand what the text must end with for that; then a few looks at the last characters of a
row tell its forbidden tokens, whatever the size of the vocabulary.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from pixtell.decoding.filters import forbid

NOTHING = " # #"  # what a continuing piece follows where no text is: `##s` at the very beginning is read as `##s`


@dataclass(frozen=True)
class Piece:
    """What a token adds to a text: its words, with a space between them; none where it adds nothing to be read.

    One that `continues` is written right behind the text. It makes one word with what is there when it `starts_word`
    (it is no mark, like a hyphen) and what is there `ends_word`.
    """

    text: str
    continues: bool = False
    starts_word: bool = True
    ends_word: bool = True

    @property
    def joins(self) -> bool:
        return self.continues and self.starts_word


class Spellings:
    """The pieces of a vocabulary by their text. None is a token that isn't shown, like [PAD]."""

    def __init__(self, pieces: Iterable[Piece | None]) -> None:
        self.pieces = tuple(pieces)
        self.apart: dict[str, list[int]] = defaultdict(list)  # that begin a word, by all their text
        self.joining: dict[str, list[int]] = defaultdict(list)  # that may go on with one
        self.several: list[int] = []  # that hold more than one word
        for token, piece in enumerate(self.pieces):
            if piece and piece.text:
                (self.joining if piece.joins else self.apart)[piece.text].append(token)
                if " " in piece.text:
                    self.several.append(token)


@dataclass
class _Table:
    """Tokens by what the text must end with for them to be forbidden."""

    tokens: dict[str, set[int]] = field(default_factory=dict)
    lengths: set[int] = field(default_factory=set)

    def add(self, needed: str, tokens: Iterable[int]) -> None:
        if found := set(tokens):
            self.tokens.setdefault(needed, set()).update(found)
            self.lengths.add(len(needed))

    def forbidden(self, text: str) -> set[int]:
        ends = [text[len(text) - length :] for length in self.lengths if length <= len(text)]
        return set().union(*(self.tokens.get(end, ()) for end in ends))


class BannedWords:
    """None of `phrases`, each a sequence of words, in any spelling. A word that goes on is another one (`dogs` in one
    piece), but `dog` is stopped before it is known whether it will."""

    def __init__(self, phrases: Iterable[Sequence[str]], spellings: Spellings) -> None:
        self._spellings = spellings
        self._phrases = [f" {' '.join(words)}" for words in phrases if words]
        self._longest = max(map(len, self._phrases), default=0)
        self._apart, self._in_word, self._behind_mark = _Table(), _Table(), _Table()
        for phrase in self._phrases:
            for length in range(1, len(phrase)):
                last = phrase[-length:]
                self._note(phrase, last, spellings.apart.get(last, ()), joins=False)
                self._note(phrase, last, spellings.joining.get(last, ()), joins=True)
            for token in spellings.several:
                self._look_into(phrase, token)

    def __call__(self, logprobs_RV: Tensor, ids_R: Sequence[tuple[int, ...]]) -> Tensor:
        return forbid(logprobs_RV, [(r, token) for r, ids in enumerate(ids_R) for token in self.forbidden(ids)])

    def forbidden(self, ids: Sequence[int]) -> set[int]:
        """The tokens that would complete a phrase behind `ids`."""
        if not self._phrases:
            return set()
        pieces = self._spellings.pieces
        text, in_word = self._end_of(ids)
        found = self._apart.forbidden(text)
        if text or any(pieces[token] for token in ids):
            return found | (self._in_word if in_word else self._behind_mark).forbidden(text)
        if any(f"{phrase} " in f"{NOTHING} " for phrase in self._phrases):
            return found | {token for token, piece in enumerate(pieces) if piece and piece.continues}
        behind = self._apart.forbidden(NOTHING) | self._behind_mark.forbidden(NOTHING)
        return found | {token for token in behind if (piece := pieces[token]) and piece.continues}

    def _note(self, phrase: str, last: str, tokens: Iterable[int], *, joins: bool) -> None:
        """These tokens bring the `last` characters of a phrase, which the text must hold the rest of."""
        needed = phrase[: -len(last)]
        if not needed.endswith(" "):
            if joins:
                self._in_word.add(needed, tokens)
        elif joins:
            self._behind_mark.add(needed[:-1], tokens)
        else:
            self._apart.add(needed[:-1], tokens)

    def _look_into(self, phrase: str, token: int) -> None:
        """Note a token of several words, of which one that is not the last ends the phrase."""
        piece = self._spellings.pieces[token]
        assert piece is not None
        if f"{phrase} " in f"{piece.text} ":
            for table in (self._in_word, self._behind_mark) if piece.joins else (self._apart,):
                table.add("", [token])
        for place, character in enumerate(piece.text):
            if character == " " and place < len(phrase) and phrase.endswith(piece.text[:place]):
                self._note(phrase, piece.text[:place], [token], joins=piece.joins)

    def _end_of(self, ids: Sequence[int]) -> tuple[str, bool]:
        """The end of the text of `ids`, at least as long as any phrase where it is, with a space before each word; and
        whether a piece that joins would go on with its last word."""
        text, joined = "", False
        in_word: bool | None = None
        first: Piece | None = None
        for token in reversed(ids):
            piece = self._spellings.pieces[token]
            if piece is None:
                continue
            first = piece
            if piece.text:
                text = piece.text + ("" if not text or (joined and piece.ends_word) else " ") + text
                in_word = piece.ends_word if in_word is None else in_word
                joined = piece.joins
            elif not piece.joins:  # nothing to read, but what follows is another word
                in_word, joined = bool(in_word), False
            if len(text) > self._longest:
                return text, bool(in_word)
        if first is not None and first.continues:
            return NOTHING + (f" {text}" if text else ""), bool(in_word)
        return f" {text}" if text else "", bool(in_word)
