"""Who does what with what thing, as a caption says it: "a dog is carrying a stick" -> dog, carry, stick.

In: a caption that was read. Out: its relations. The surprising thing: "in its mouth" says more than any verb; what a
dog has there is what it holds, bites, chews and fetches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pixtell.data import lexicon
from pixtell.data.phrases import Phrase, Said


@dataclass(frozen=True)
class Way:
    """How a subject and a thing belong together: the verbs, the words between verb and thing, and the question."""

    verbs: frozenset[str]
    between: tuple[tuple[str, ...], ...]
    question: str


def _way(verbs: str, question: str, *between: str) -> Way:
    return Way(frozenset(verbs.split()), tuple(tuple(words.split()) for words in between or ("",)), question)


MOUTH = _way("", "what is in the {}'s mouth?")
WAYS = (
    _way("hold carry", "what is the {} holding?", "", "up"),
    _way("throw", "what is the {} throwing?"),
    _way("kick", "what is the {} kicking?"),
    _way("catch", "what is the {} catching?"),
    _way("chase", "what is the {} chasing?", "", "after"),
    _way("ride", "what is the {} riding?", "", "on"),
    _way("eat", "what is the {} eating?"),
    _way("read", "what is the {} reading?"),
    _way("push", "what is the {} pushing?"),
    _way("climb", "what is the {} climbing?", "", "up", "on"),
    _way("jump", "what is the {} jumping over?", "over"),
    _way("sit", "what is the {} sitting on?", "on", "in"),
)
_RIDDEN = lexicon.words("bike motorcycle horse skateboard surfboard snowboard sled scooter wave bull atv unicycle")
_CLOTHED = lexicon.CLOTHES - {"collar"}


@dataclass(frozen=True)
class Relation:
    """A subject and the thing it does something with."""

    way: Way
    subject: Phrase
    object: Phrase


def relations_of(said: Said) -> Iterator[Relation]:
    """All that a caption tells."""
    for place, word in enumerate(said.words):
        verb = lexicon.VERBS.get(word, "")
        for way in WAYS:
            if verb in way.verbs and (subject := said.actor(place)) and subject.one:
                yield from (Relation(way, subject, thing) for thing in _things(said, place + 1, way))
        if word in ("mouth", "mouths") and said.words[place - 1] in ("its", "his", "her", "the", "their"):
            yield from _held(said, place)


def _things(said: Said, start: int, way: Way) -> Iterator[Phrase]:
    """What stands behind a verb, with the words between that the way allows."""
    for between in way.between:
        place = start + len(between)
        thing = said.after(place)
        if thing is None or said.words[start:place] != between or thing.word in lexicon.PLACES - lexicon.THINGS:
            continue
        if "ride" in way.verbs and thing.noun not in _RIDDEN:
            continue
        if thing.word in lexicon.AGENTS and not way.verbs & {"chase", "ride", "push"}:
            continue
        if thing.word not in _CLOTHED:
            yield thing


def _held(said: Said, mouth: int) -> Iterator[Relation]:
    """What is "in its mouth": the thing right before these words, of the only animal before it."""
    if said.words[mouth - 2] not in ("in", "with"):
        return
    things = [phrase for phrase in said.phrases if phrase.end == mouth - 2 and phrase.word in lexicon.THINGS]
    for thing in things:
        animals = [one for one in said.before(thing.start) if one.word in lexicon.ANIMALS and one.one]
        if len(animals) == 1:
            yield Relation(MOUTH, animals[0], thing)
