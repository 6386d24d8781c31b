"""What a caption says of things: each noun with its number, its colour, and whose it is; and who does what.

In: a caption, tokenised or not. Out: a `Said`. No parser: an article or a number, adjectives, and nouns in a row are a
phrase, and its last noun is what it is about ("a soccer ball" is a ball).

The surprising thing: a word that the lexicon doesn't know ends what can be said. "A brown and grey something dog" has
no colour here: what is missed costs a question, what is misread makes a wrong answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pixtell.data import lexicon

_WORD = re.compile(r"'s\b|[a-z0-9]+(?:-[a-z0-9]+)*|[,;.:]")
_NOUNS = lexicon.PEOPLE | lexicon.ANIMALS | lexicon.CLOTHES | lexicon.THINGS | lexicon.PLACES
_PAIRS = frozenset(noun for noun in _NOUNS if "-" in noun)  # nouns of two words: "life jacket"
_KNOWN_BEFORE = lexicon.words("the his her its their this that these those")
_NEW_BEFORE = lexicon.words("a an some several many another")
_DESCRIBING = lexicon.ADJECTIVES | lexicon.COLORS.keys()
_OF_AGENTS = lexicon.words("toy bowl collar house leash food bone carriage stroller uniform suit pool park")
# After a noun these make it a name for something else: a football game is no ball.
_TAILS = lexicon.words("game match practice gear equipment course lesson house trick show bowl competition fight")
# After these a noun may stand without an article; elsewhere "swings" or "rock" may be a verb.
_LEADS = lexicon.words(
    "in on of with at by near through into onto over across from along and behind under wearing playing"
) | frozenset(lexicon.VERBS)
_PAIR_OF = {"couple": 2, "pair": 2}


@dataclass(frozen=True)
class Phrase:
    """A noun and what stands before it; `start` and `end` are places among the caption's words.

    `word` is the noun's singular as it was said, `noun` the common word for it. `number` is None where the caption
    leaves it open. `new` is False after "the" or "other", where it may have been told of before. `color` may be
    two ("black and white").
    """

    word: str
    noun: str
    number: int | None
    new: bool
    color: str
    start: int
    end: int

    @property
    def one(self) -> bool:
        """Whether it is a single thing."""
        return self.number == 1


@dataclass(frozen=True)
class Said:
    """A caption: its words, these and their singulars and common forms (`known`), and its phrases in order."""

    words: tuple[str, ...]
    known: frozenset[str]
    phrases: tuple[Phrase, ...]

    def before(self, place: int) -> tuple[Phrase, ...]:
        """The people and animals that are named before a place."""
        return tuple(phrase for phrase in self.phrases if phrase.end <= place and phrase.word in lexicon.AGENTS)

    def after(self, place: int) -> Phrase | None:
        """The phrase that starts at a place."""
        return next((phrase for phrase in self.phrases if phrase.start == place), None)

    def actor(self, place: int) -> Phrase | None:
        """Who does what the verb at a place says: the phrase right before it, or the only one before it."""
        agents = self.before(place)
        if not agents:
            return None
        between = [word for word in self.words[agents[-1].end : place] if word not in ("is", "are")]
        return agents[-1] if not between or len(agents) == 1 else None


def said(caption: str) -> Said:
    """Read a caption."""
    words = _joined(tuple(_WORD.findall(caption.lower())))
    phrases: list[Phrase] = []
    place = 0
    while place < len(words):
        phrase = _phrase(words, place)
        if phrase is None:
            place += 1
        else:
            phrases.append(phrase)
            place = phrase.end
    singulars = {singular(word)[0] for word in words}
    known = singulars | set(words) | {lexicon.SAME.get(word, word) for word in singulars}
    return Said(words, frozenset(known), tuple(phrases))


def singular(word: str) -> tuple[str, bool]:
    """A known noun's singular and whether the word was its plural; another word as it is."""
    if word in lexicon.IRREGULAR:
        return lexicon.IRREGULAR[word], True
    if word in _NOUNS:
        return word, False
    for ending, put in (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f")):
        if word.endswith(ending) and word[: -len(ending)] + put in _NOUNS:
            return word[: -len(ending)] + put, True
    return word, False


def _joined(words: tuple[str, ...]) -> tuple[str, ...]:
    """Nouns of two words become one with a hyphen."""
    found: list[str] = []
    for word in words:
        if found and f"{found[-1]}-{word.removesuffix('s')}" in _PAIRS:
            found[-1] = f"{found[-1]}-{word}"
        else:
            found.append(word)
    return tuple(found)


def _phrase(words: tuple[str, ...], start: int) -> Phrase | None:
    """The phrase that starts at a place, if any: [article] [number] [adjectives and colours] noun... ."""
    place, told, new, other = start, 0, True, False
    colors: list[str] = []
    while place < len(words):
        word = words[place]
        if word in _PAIR_OF and words[place + 1 : place + 2] == ("of",):
            told = _PAIR_OF[word]
            place += 1
        elif word in lexicon.NUMBERS:
            told = lexicon.NUMBERS[word]
        elif word in _KNOWN_BEFORE:
            new = False
        elif word in _NEW_BEFORE:
            pass
        elif word in _DESCRIBING and _leads_on(words, place + 1):
            other = other or word in ("other", "same")
            colors += [lexicon.COLORS[word]] if word in lexicon.COLORS else []
        elif not (word in ("and", ",") and words[place - 1] in _DESCRIBING and place > start):
            break
        place += 1
    found = _noun(words, place)
    if found is None:
        return None
    word, plural, end = found
    bare = end == start + 1
    if bare and word not in lexicon.AGENTS and (start == 0 or words[start - 1] not in _LEADS):
        return None
    # "two dog" and "a dogs" are slips, of which nothing is concluded.
    number = (told if told > 1 else None) if plural else (1 if told < 2 else None)
    if other or (word in lexicon.GROUPS and word != "people"):
        number = None
    color = " and ".join(sorted(set(colors))) if len(set(colors)) < 3 else ""
    return Phrase(word, lexicon.SAME.get(word, word), number, new, color, start, end)


def _leads_on(words: tuple[str, ...], place: int) -> bool:
    """Whether what stands here goes on with a phrase: another such word, or a noun."""
    if words[place : place + 1] in (("and",), (",",)):
        place += 1
        return words[place : place + 1] != () and words[place] in _DESCRIBING
    return place < len(words) and (words[place] in _DESCRIBING or singular(words[place])[0] in _NOUNS)


def _noun(words: tuple[str, ...], place: int) -> tuple[str, bool, int] | None:
    """The last of the nouns in a row, whether it is plural, and where it ends. A person or animal ends the row."""
    found: tuple[str, bool, int] | None = None
    while place < len(words):
        word, plural = singular(words[place])
        if word not in _NOUNS or (found is not None and found[1]):
            break
        if found and found[0] in lexicon.AGENTS and word not in lexicon.AGENTS | _OF_AGENTS:
            break
        place += 1
        found = word, plural, place
    return None if found and words[place : place + 1] and words[place] in _TAILS else found
