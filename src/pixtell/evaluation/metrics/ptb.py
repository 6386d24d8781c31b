"""Texts as the tokens that caption metrics are computed on, without Java: those of pycocoevalcap 1.2's `PTBTokenizer`.

In: captions. Out: their tokens parted by single spaces, in lower case and without punctuation: what
stanford-corenlp 3.4.1's `edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase` and pycocoevalcap's list of
punctuation leave of them. Contractions are cut ("do n't", "can not"), emoji and characters newer than 2014 vanish.

The surprising thing: Java reads all captions as one text, so that one which ends in a single letter and a full stop
("vitamin c.") keeps the stop or not by the first word of the next. Hence `tokenize_all([a, b])` need not be
`[tokenize(a), tokenize(b)]`. And brackets survive ("-lrb-"): the list of punctuation has them in capitals.

What differs from Java:
* A line separator that isn't "\\n" (carriage return, form feed, U+2028) is a space here. Java prints a line more for
  it, and pycocoevalcap then gives every later caption its neighbour's tokens.
* A tag or a smiley that is opened in one caption and closed in another is none here.
* A capital's small letter may be another one: of a Greek sigma inside an e-mail address, or before a hyphen and a
  script without capitals; and of a capital that the Java at hand doesn't know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pixtell.evaluation.metrics.ptb_rules import RULES, TAKES_STOP, TWO_IN_ONE, Rule, kinds

# pycocoevalcap's list, capitals and all.
PUNCTUATION = frozenset(
    ("''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";")
)
# How far the rules look beyond a caption: characters, and captions (any of them may be empty).
CONTEXT, NEXT = 64, 8

# Nearly all captions are plain words with commas and full stops, and need no rules unless one of the words is special.
_PLAIN = re.compile(r"(?: *[a-zA-Z]+[,.]?(?= |\Z)| +[,.](?= |\Z))* *")
_WORD = re.compile(r" *([a-zA-Z]+)(?=,?(?:[ \n]|\Z))")
_SPECIAL = TWO_IN_ONE | {f"{word}." for word in TWO_IN_ONE | TAKES_STOP}
# To Java, a sigma before these is within a word and not at its end, as Python has it.
_INNER_SIGMA = re.compile(r"Σ(?=(?:[-_\u2010]|\d+)[^\W\d_])")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def tokenize(text: str) -> str:
    """The tokens of one caption alone, parted by single spaces."""
    return tokenize_all([text])[0]


def tokenize_all(texts: Sequence[str]) -> list[str]:
    """The tokens of each caption, parted by single spaces."""
    lines = [text.replace("\n", " ") for text in texts]
    return [_of_plain_words(line) or _by_rules(lines, place) for place, line in enumerate(lines)]


def _of_plain_words(line: str) -> str:
    """What the rules would make of `line`, if it is so plain that it needs none; else nothing."""
    if not _PLAIN.fullmatch(line):
        return ""
    words = line.lower().replace(",", "").split()
    return " ".join(" ".join(words).replace(".", "").split()) if _SPECIAL.isdisjoint(words) else ""


def _by_rules(lines: Sequence[str], place: int) -> str:
    """The tokens of one line, which is followed by others."""
    line = _java_characters(lines[place])
    after = _java_characters("\n".join(("", *lines[place + 1 : place + 1 + NEXT])))[:CONTEXT]
    printed = " ".join(_read(line + after, len(line))).encode("utf-16-le", "surrogatepass")
    text = _INNER_SIGMA.sub("\N{GREEK SMALL LETTER SIGMA}", printed.decode("utf-16-le", "surrogatepass"))
    tokens = text.lower().rstrip().split(" ")
    return " ".join(token for token in tokens if token not in PUNCTUATION)


def _java_characters(text: str) -> str:
    """`text` in UTF-16: an emoji is two characters to Java, and some rules count them."""
    return _ASTRAL.sub(lambda found: "".join(map(chr, memoryview(found[0].encode("utf-16-le")).cast("H"))), text)


def _read(text: str, end: int) -> Iterator[str]:
    """The tokens that begin before `end`, spelled."""
    shape = kinds(text)
    at = 0
    while at < end:
        if (word := _WORD.match(shape, at)) and word[1].lower() not in TWO_IN_ONE:
            yield word[1]
            at = word.end()
        elif longest := _longest(shape, at):
            rule, match = longest
            if token := rule.spell(text[at : match.end(1)]):
                yield token
            at = match.end(1) - rule.again
        else:
            at += 1  # a character of no rule


def _longest(shape: str, at: int) -> tuple[Rule, re.Match[str]] | None:
    """The rule that matches most, counting what must follow its token; the first of several."""
    found: tuple[Rule, re.Match[str]] | None = None
    reach = at
    for rule in RULES:
        match = rule.pattern.match(shape, at)
        if match and match.end() > reach:
            found, reach = (rule, match), match.end()
    return found
