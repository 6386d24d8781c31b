"""Every question that the captions of a picture answer: objects, numbers, colours, and yes or no.

In: the captions of one picture. Out: questions with one answer each, their kind and their pattern. Several captions
must say it, none or next to none may say otherwise, and "the dog" must be the only one.

The surprising thing: that nobody mentions something proves little. "No" is the answer only about what people do mention
when it is there, and only where no caption has a word that may go with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pixtell.data import lexicon
from pixtell.data.phrases import Phrase, Said, said
from pixtell.data.relations import Relation, relations_of

AGREE = 2  # captions that must say it

_COUNTED = ("dog", "man", "woman", "boy", "girl", "child", "horse", "player")
_COLORED = sorted(
    lexicon.words("dog horse cat bird ball bike car truck boat motorcycle kayak canoe umbrella couch bench frisbee")
)
_ATTIRE = lexicon.COLORS.keys() | lexicon.ADJECTIVES | lexicon.words("in wearing wears with has is dressed and , a an")
_UNCOUNTED = (lexicon.GROUPS - {"people"}) | {"several", "many", "some", "others"}
_WHERE = lexicon.words("in on through across into along down over at")


T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A question with its answer. `pattern` is the question without what differs from picture to picture."""

    kind: str
    pattern: str
    question: str
    answer: str


def askable(captions: Sequence[str]) -> list[Asked]:
    """Every question that the captions answer, none twice and none with two answers."""
    saids = [said(caption) for caption in captions]
    answers: dict[str, Asked | None] = {}
    for make in _MAKERS:
        for asked in make(saids):
            before = answers.setdefault(asked.question, asked)
            if before is None or before.answer != asked.answer:
                answers[asked.question] = None
    return [asked for asked in answers.values() if asked is not None]


def numbers(saids: Sequence[Said]) -> Iterator[Asked]:
    """How many there are of a kind; one only where nearly all captions say so, since others may go unmentioned.

    Digits answer, as in VQAv2 and DAQUAR, so that a model may learn from all of them.
    """
    crowd = any(said.known & _UNCOUNTED for said in saids)
    for noun in _COUNTED:
        if noun in lexicon.ANIMALS or not crowd:
            yield from _number(saids, frozenset({noun}), noun)
    if not crowd:
        yield from _number(saids, lexicon.PEOPLE, "person")


def _number(saids: Sequence[Said], nouns: frozenset[str], noun: str) -> Iterator[Asked]:
    told = [number for said in saids if (number := told_number(said, nouns)) != 0]
    numbers = [one for one in told if one]
    number = agreed(numbers)
    if number is None or number != max(numbers) or number > lexicon.COUNTABLE:
        return  # who tells of more has seen more
    agree, open_ = told.count(number), told.count(None)
    if (agree >= max(3, len(saids) - 1) and not open_) if number == 1 else agree > open_:
        yield Asked("number", f"number {noun}", f"how many {plural(noun)} are there?", str(number))


def told_number(said: Said, nouns: frozenset[str]) -> int | None:
    """How many of some nouns a caption tells of: 0 when it doesn't, None when it leaves it open.

    Of several mentions those with "the" or "his" are of somebody told of before, where there was one to tell of.
    """
    found = [phrase for phrase in said.phrases if phrase.word in nouns or phrase.noun in nouns]
    if any(phrase.number is None for phrase in found):
        return None
    again = [phrase for phrase in found[1:] if not phrase.new]
    if again and (len(again) < len(found) - 1 or found[0].number != 1):
        return None
    return sum(phrase.number or 0 for phrase in found if phrase not in again)


def agreed(told: Sequence[T]) -> T | None:
    """What two captions tell and none contradicts, or three and at most one does; None without."""
    if not told:
        return None
    ((first, count), *_) = Counter(told).most_common(1)
    others = len(told) - count
    return first if count >= AGREE + (others > 0) and others <= 1 else None


def colors(saids: Sequence[Said]) -> Iterator[Asked]:
    """The colour of a thing of which there is one, where the captions that tell one tell the same."""
    for noun in _COLORED:
        told = [next((p.color for p in said.phrases if p.noun == noun and p.color), "") for said in saids]
        color = agreed([color for color in told if color])
        if color and all(told_number(said, frozenset({noun})) in (0, 1) for said in saids):
            yield Asked("color", f"color {noun}", f"what color is the {noun}?", color)


def clothes(saids: Sequence[Said]) -> Iterator[Asked]:
    """The colour of what somebody wears, where it is clear who that is."""
    worn = [[phrase for phrase in said.phrases if phrase.word in lexicon.CLOTHES and phrase.color] for said in saids]
    for noun in sorted({phrase.noun for phrases in worn for phrase in phrases}):
        told = [next((phrase for phrase in phrases if phrase.noun == noun), None) for phrases in worn]
        color = agreed([phrase.color for phrase in told if phrase])
        wearers = [who for said, phrase in zip(saids, told, strict=True) if phrase and (who := _wearer(said, phrase))]
        owner = called(wearers)
        if color and owner and len(wearers) >= AGREE and is_alone(saids, owner):
            yield Asked("color", f"color of {noun}", f"what color is the {owner}'s {noun.replace('-', ' ')}?", color)


def _wearer(said: Said, clothing: Phrase) -> Phrase | None:
    """Who wears it: the person or animal before it, where nothing but clothes and their colours comes between."""
    agents = said.before(clothing.start)
    if not agents or not agents[-1].one:
        return None
    between = said.words[agents[-1].end : clothing.start]
    attire = all(word in _ATTIRE or word in lexicon.CLOTHES for word in between)
    return agents[-1] if between == () or between == ("'s",) or attire else None


def called(phrases: Sequence[Phrase]) -> str:
    """What to call somebody whom captions name in several ways: the word of most, or "person"; empty for two beings."""
    nouns = Counter(phrase.noun for phrase in phrases)
    if not nouns:
        return ""
    if not all(noun in lexicon.PEOPLE for noun in nouns):
        return next(iter(nouns)) if len(nouns) == 1 else ""
    word, count = nouns.most_common(1)[0]
    if nouns.keys() & lexicon.MALE and nouns.keys() & lexicon.FEMALE:
        return "person"
    clear = count > len(phrases) / 2 and word not in lexicon.GROUPS
    return word if clear else "person"


def is_alone(saids: Sequence[Said], noun: str) -> bool:
    """Whether "the" with this noun can be only one in this picture."""
    same = frozenset({noun}) if noun not in lexicon.PEOPLE or _is_told_apart(saids, noun) else lexicon.PEOPLE
    return all(told_number(said, same) in (0, 1) for said in saids)


def _is_told_apart(saids: Sequence[Said], noun: str) -> bool:
    """Whether every caption tells of one of them, whoever else there is."""
    return noun != "person" and all(told_number(said, frozenset({noun})) == 1 for said in saids)


def objects(saids: Sequence[Said]) -> Iterator[Asked]:
    """What somebody holds, rides, throws, sits on, where one caption says it, others mention it, and none differs."""
    relations = [relation for said in saids for relation in relations_of(said)]
    for way in sorted({relation.way for relation in relations}, key=lambda way: way.question):
        some = [relation for relation in relations if relation.way == way]
        named = {relation.object.noun for relation in some if relation.object.word not in lexicon.VAGUE}
        subject = called([relation.subject for relation in some])
        if len(named) == 1 and subject and is_alone(saids, subject):
            noun = named.pop()
            mentions = sum(any(phrase.noun == noun for phrase in said.phrases) for said in saids)
            if len(_telling(some, noun)) >= AGREE or mentions >= AGREE + 1:
                whose = "person" if subject in lexicon.PEOPLE else subject
                yield Asked("object", way.question.format(whose), way.question.format(subject), noun.replace("-", " "))


def _telling(relations: Sequence[Relation], noun: str) -> list[Relation]:
    return [relation for relation in relations if relation.object.noun == noun]


def sports(saids: Sequence[Said]) -> Iterator[Asked]:
    """The only sport that captions speak of."""
    every = {lexicon.SPORT_OF[word] for said in saids for word in said.words if word in lexicon.SPORT_OF}
    if len(every) == 1 and sum(map(_is_of_sport, saids)) >= AGREE:
        yield Asked("object", "sport", "what sport is this?", every.pop())


def _is_of_sport(said: Said) -> bool:
    """Whether a caption tells of a sport, not only of its things."""
    following = zip(said.words, (*said.words[1:], ""), strict=True)
    return any(word in lexicon.SPORT_OF and after not in lexicon.SPORT_THINGS for word, after in following)


def animals(saids: Sequence[Said]) -> Iterator[Asked]:
    """The only kind of animal."""
    told = [{phrase.noun for phrase in said.phrases if phrase.word in lexicon.ANIMALS} for said in saids]
    every = set[str]().union(*told)
    if len(every) == 1 and sum(map(bool, told)) > AGREE:
        yield Asked("object", "animal", "what animal is in the picture?", every.pop())


def places(saids: Sequence[Said]) -> Iterator[Asked]:
    """Where the only person or animal is, by most captions and against none."""
    agents = [phrase for said in saids for phrase in said.phrases if phrase.word in lexicon.AGENTS]
    subject = called(agents)
    told = [{p.noun for p in said.phrases if p.word in lexicon.PLACES and _is_inside(said, p)} for said in saids]
    every = Counter(noun for nouns in told for noun in nouns)
    if subject and len(every) == 1 and is_alone(saids, subject) and every.total() > AGREE:
        whose = "person" if subject in lexicon.PEOPLE else subject
        yield Asked("object", f"where {whose}", f"where is the {subject}?", next(iter(every)))


def _is_inside(said: Said, phrase: Phrase) -> bool:
    return phrase.start > 0 and said.words[phrase.start - 1] in _WHERE


def plural(noun: str) -> str:
    """A counted noun's plural."""
    irregular = {"man": "men", "woman": "women", "child": "children", "person": "people"}
    return irregular.get(noun, f"{noun}s")


def presences(saids: Sequence[Said]) -> Iterator[Asked]:
    """Is there one: yes by two captions; no where no caption has the word or anything that may go with it."""
    words = frozenset[str]().union(*(said.known for said in saids))
    for noun, relatives in lexicon.IS_THERE.items():
        article = "" if noun in lexicon.MASS else "an " if noun[0] in "aeiou" else "a "
        question = f"is there {article}{noun}?"
        if sum(any(phrase.noun == noun for phrase in said.phrases) for said in saids) >= AGREE:
            yield Asked("yes/no", question, question, "yes")
        elif noun not in words and words.isdisjoint(_people_like(noun) or relatives.split()):
            yield Asked("yes/no", question, question, "no")


def _people_like(noun: str) -> frozenset[str]:
    """The people who may be whom the noun says: for a boy every word but those for women."""
    if noun not in lexicon.PEOPLE:
        return frozenset()
    others = lexicon.FEMALE if noun in lexicon.MALE else lexicon.MALE if noun in lexicon.FEMALE else frozenset[str]()
    return (lexicon.PEOPLE - others) | {"he", "she", "him", "they", "them", "who"}


def actions(saids: Sequence[Said]) -> Iterator[Asked]:
    """Is the only person or animal doing it: yes by two captions; no where two say what can't be at the same time."""
    agents = [phrase for said in saids for phrase in said.phrases if phrase.word in lexicon.AGENTS]
    subject = called(agents)
    if not subject or not is_alone(saids, subject):
        return
    words = frozenset[str]().union(*(said.words for said in saids))
    told = Counter(verb for said in saids for verb in {lexicon.VERBS[w] for w in said.words if w in lexicon.VERBS})
    for verb, others in lexicon.NOT_WHILE.items():
        question = f"is the {subject} {lexicon.GERUNDS[verb]}?"
        against = any(told[other] >= AGREE for other in others.split())
        if told[verb] >= AGREE and not any(told[other] for other in others.split()):
            yield Asked("yes/no", question, question, "yes")
        elif against and not told[verb] and words.isdisjoint(lexicon.MAY_BE[verb].split()):
            yield Asked("yes/no", question, question, "no")


_MAKERS: tuple[Callable[[Sequence[Said]], Iterator[Asked]], ...] = (
    numbers,
    colors,
    clothes,
    objects,
    sports,
    animals,
    places,
    presences,
    actions,
)
