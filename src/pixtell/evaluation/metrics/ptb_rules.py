"""What a token is: the kinds of characters, and the rules of which the longest match makes the next token.

In: a text. Out: `kinds(text)`, as long as the text, in which one character stands for every kind that the lexer tells
apart; and `RULES`, whose patterns are matched on kinds and whose spellings are applied to the text itself.

The surprising thing: nearly everything is about full stops and apostrophes. Most rules exist so that a longer match
takes one along ("u.s.", "rock'n'roll"), or leaves one behind ("dog" before "'s", "inc." before a capital).

Behaviour: Stanford CoreNLP 3.4.1, found by experiment with its jar and by what its automaton accepts; word lists and
code points are its facts, rules and code our own.
"""
# ruff: noqa: RUF001 (look-alike characters are the subject)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

# --- characters -------------------------------------------------------------------------------------------------------


def _spread(ranges: str) -> Iterator[int]:
    """The code points of "00B2-00B3 00B9"."""
    for part in ranges.split():
        first, _, last = part.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


UNKNOWN = "\x01"  # no rule begins with it: such characters vanish
# What each kind is called by; ASCII characters, and the few not listed here nor found by category, are of their own.
_LISTED = {
    "\v": "000B 2028-2029",
    "\u2003": "2000-200A 3000",
    "’": "0092 2019",
    "‘": "0091 2018 201B",
    "“": "0093-0094 00AB 00BB 201A 201C-201F 2039-203A",
    "—": "0096-0097 2013-2015",
    "‐": "058A 2010-2011",
    "…": "2026",
    "€": "0080 00A2-00A5 060B 0E3F 20A0 20A4 20AC FFE0-FFE1 FFE5-FFE6",
    "½": "00BC-00BE 2153-215E",
    "²": "00B2-00B3 00B9 2070 2074-2079",
    "₂": "2080-2089",
    "⁺": "207A-207B 208A-208B",
    "٫": "066B-066C",
    # Combining marks and the like that are read as part of a word.
    "\u0301": """
        02C2-02C5 02D2-02DF 02E5-02EB 02ED 02EF-036F 0375 0378-0379 0384-0385 03F6 0483-0487 055A-055F 0591-05BD 05BF
        05C1-05C2 05C4-05C5 05C7 0615-061A 064B-065E 0670 06D6-06E4 06E7-06ED 06FD-06FE 070F 0711 0730-074C 07A6-07B0
        07EB-07F3 0900-0903 093C 093E-094E 0951-0955 0962-0963 0981-0983 09BC 09BE-09C4 09C7-09C8 09CB-09CD 09D7
        09E2-09E3 0A01-0A03 0A3C 0A3E-0A4F 0A81-0A83 0ABC 0ABE-0ACF 0B82 0BBE-0BC2 0BC6-0BC8 0BCA-0BCD 0C01-0C03
        0C3E-0C56 0D3E-0D44 0D46-0D48 0E31 0E34-0E3A 0E47-0E4E 0EB1 0EB4-0EBC 0EC8-0ECD""",
    # Symbols that are tokens of one character.
    "¶": """
        00A1 00A6-00A9 00AC 00AE-00B1 00B4 00B6-00B8 00BF 00D7 00F7 037E 0387 0589 05BE 05C0 05C3 05C6 05F3-05F4
        0600-0603 0606-060A 060C 0614 061B 061E-061F 066A 066D 06D4 0700-070D 07F6-07F8 0964-0965 0E4F 1FBD 2016-2017
        2020-2023 2030-2038 203B 203E-2042 207C-207E 208C-208E 2100-2101 2103-2106 2108-2109 2114 2116-2118 211E-2123
        2125 2127 2129 212E 213A-213B 2140-2144 214A-214D 214F 2190-2BFF 3002 3012 30FB FF01-FF0F FF1A-FF20
        FF3B-FF40 FF5B-FF65""",
    # Letters and digits to today's Unicode, but not to that of 2014 (6.1 or so).
    UNKNOWN: """
        037F 0528-052F 0560 0588 05EF 0860-088E 08A1 08AD-08C9 0978 0980 09FC 0AF9 0C34 0C5A-0C5D 0C80 0CDD 0D04
        0D54-0D5F 0DE6-0DEF 0E86 0E89 0E8C 0E8E-0E93 0E98 0EA0 0EA8-0EA9 0EAC 13F5-13FD 16F1-16F8 170D 171F 1878
        191D-191E 19B0-19C0 19C8-19C9 1B4C 1C80-1CBF 1CF2-1CF3 1CFA 2C2F 2C5F 312E-312F 31BB-31BF 4DB6-4DBF 9FCD-9FFF
        A698-A69D A78F A794-A79F A7AB-A7F7 A8FD-A8FE A9E0-A9FE AA7E-AA7F AB30-ABBF""",
    "é": "1885-1886",  # letters then, marks since
}
_OWN = "\x85\xa0\xad⁄、ſıİ\u212a"  # the last four are what (?i:s), (?i:i) and (?i:k) match besides ASCII


class _Kinds(dict[int, str]):
    """The table of `str.translate`: listed characters at once, all others when they are met."""

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code)) if code <= 0xFFFF else ""
        self[code] = kind = "é" if category[:1] == "L" else "٠" if category == "Nd" else UNKNOWN
        return kind


_KINDS = _Kinds({code: chr(code) for code in (*range(128), *map(ord, _OWN))})
_KINDS.update({code: kind for kind, ranges in _LISTED.items() for code in _spread(ranges)})


def kinds(text: str) -> str:
    """`text` with every character replaced by the one that stands for its kind."""
    return text if text.isascii() else text.translate(_KINDS)


# --- spellings --------------------------------------------------------------------------------------------------------


def _as_is(token: str) -> str:
    return token


def _joined(token: str) -> str:
    """Without soft hyphens; a token of nothing else is a hyphen."""
    return token.replace("\xad", "") or "-"


def _unbroken(token: str) -> str:
    """With unbreakable spaces, so that it stays one token."""
    return token.replace(" ", "\xa0")


def _face(token: str) -> str:
    return token.replace("(", "-LRB-").replace(")", "-RRB-")


def _phone(token: str) -> str:
    return _face(_unbroken(token))


def _ampersand(token: str) -> str:
    return re.sub("(?i:&amp;)", "&", token)


_QUOTES = {"&apos;": "'", "&quot;": "''", '"': "''"}
_QUOTES |= dict.fromkeys("\x91‘‛‹", "`") | dict.fromkeys("\x92’›", "'")
_QUOTES |= dict.fromkeys("\x93“«", "``") | dict.fromkeys("\x94”»", "''")


def _quotes(token: str) -> str:
    return re.sub("&apos;|&quot;|.", lambda found: _QUOTES.get(found[0], found[0]), token)


def _dashes(token: str) -> str:
    return "--" if len(token) in (3, 4) else token


_NAMED = {"(": "-LRB-", ")": "-RRB-", "{": "-LCB-", "}": "-RCB-", "[": "-LSB-", "]": "-RSB-"}
_NAMED |= {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_NAMED |= {"¢": "cents", "£": "#"} | dict.fromkeys("\x80¤₠€", "$")


def _named(token: str) -> str:
    return _NAMED.get(token, token)


def _always(spelling: str) -> Callable[[str], str]:
    return lambda token: spelling


# --- rules ------------------------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """A pattern whose first group is the token; what follows the group must be there and is read again.

    `again` characters at the token's end are read again too.
    """

    pattern: re.Pattern[str]
    spell: Callable[[str], str]
    again: int = 0


def _rule(token: str, before: str = "", spell: Callable[[str], str] = _as_is, again: int = 0) -> Rule:
    return Rule(re.compile(f"({token})(?:{before})"), spell, again)


# Parts of patterns. In an alternation the longer choice stands first, since `re` takes the first that fits.
AN = "a-zA-Z0-9"
LETTER = "a-zA-Zéſıİ\u212a"
DIGIT = "0-9٠"
ENTITY = "&[aeiouAEIOU](?i:acute|grave|uml);"
L = f"(?:[{LETTER}\u0301\xad]|{ENTITY})"
LD = f"(?:[{LETTER}\u0301\xad{DIGIT}]|{ENTITY})"
SPACE = "[ \t\xa0\u2003]"
BREAK = "(?:\r\n|[ \t\xa0\u2003\r\n\v\f\x85])"
STOP = "[,;:、]"  # what a full stop may stand before without ending a sentence
AMP = "(?:&(?i:amp);|&)"
APOSTROPHE = "(?:['’]|&(?i:apos);)"
ANY_APOSTROPHE = "(?:['’‘`]|&(?i:apos);)"

WORD = f"{L}{LD}*(?:[.!?]{L}{LD}*)*"
NUMBER = f"[-+]?(?:[{DIGIT}]*(?:[.:,\xad٫][{DIGIT}]+)+|[{DIGIT}]+)"
VERB = f"{APOSTROPHE}(?:[msdMSD]|(?i:re|ve|ll))"
NOT = f"[nN]{ANY_APOSTROPHE}[tT]"
DOTTED = r"[a-zA-Z](?:\.[a-zA-Z])+"
COUNTRY = r"(?i:u\.s\.-u\.(?:s\.s\.r|k)|(?:canada|sino|korean|eu|japan|non)-u\.s)"
# Before these words "J." is a J that ends a sentence.
SENTENCE_STARTS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Mr. Ms. Now
    Once One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You"""
# Abbreviations that may end a sentence, some of them words unless they begin with a capital ("Mass."); and titles and
# ranks, which never end one.
ENDING = """
    al ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak dec ed.d esq est etc ext feb
    fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla penn ph.d
    plc rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo"""
ENDING_CAPITALISED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
COMPANIES = "(?i:p?pt)[ey](?i:s?)"  # pty, ppty, pte, ppte, and plurals
TITLES = """
    a.k.a adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen
    gov govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres prof profs pvt rep reps
    rev sen sens sfc sgt spc st ste supt supts treas vs wm"""
MAKERS = "(?i:m)[ft](?i:g)"  # mfg, mtg
NUMBERED = "art bldg ca fig figs no nos op pp prop"  # before a digit


def _any(words: str) -> str:
    """One of the words, whatever their case."""
    return f"(?i:{'|'.join(map(re.escape, words.split()))})"


def _any_capitalised(words: str) -> str:
    """One of the words, whatever the case of all but their first letter."""
    return "|".join(f"{word[0]}(?i:{re.escape(word[1:])})" for word in words.split())


ABBREVIATION = f"(?:{_any(ENDING)}|{_any_capitalised(ENDING_CAPITALISED)}|{COMPANIES})"
TITLE = f"(?:{_any(TITLES)}|{MAKERS})"

HYPHENATED = rf"[{AN}][{AN}.,\xad]*(?:-(?:{DOTTED}\.|[{AN}\xad]+))+"
PIECE = f"(?:[dDlLoO]{ANY_APOSTROPHE}[{LETTER}{DIGIT}])?[{LETTER}{DIGIT}]+"
PIECES = f"{PIECE}(?:[-_‐]{PIECE})*"
SIDE = f"[{AN}]+(?:-[a-zA-Z]+){{0,2}}"
FIRMS = rf"[A-Z]+(?:(?:{AMP}|\+)[A-Z]+)+"
EXTENSIONS = """bat bmp cgi class cpp c dll docx doc exe gif gz html htm h java jar jpeg jpg mov mp3 pdf php pl png ppt
    ps py sql tar txt wav xml x zip"""
FILE = rf"{LD}+(?:\.{LD}+)*\.{_any(EXTENSIONS)}"

NAME = "[A-Za-z][A-Za-z0-9_:.-]*"
ATTRIBUTE = f" +{NAME}(?: *= *(?:\"[^\"\n]*\"|'[^'\n]*'))?"
TAG = f"<(?:[!?][A-Za-z-][^>\r\n]*|/{NAME} *|{NAME}(?:{ATTRIBUTE})* */? *)>"

NO_URL = r' \t\n\f\r"<>|(){}'
URL_END = f"[^{NO_URL}.!?,-]"
HOST = rf"(?i:www)\.(?:[^{NO_URL}.!?,]+\.)+[a-zA-Z]{{2,4}}"
# The second range is that of the jar, from "," to "_": capitals and digits are in it, so only what is left is a host.
ODD_HOST = r"(?:[^ \t\n\f\r\"`'<>|.!?(){},-_$]+\.)+(?i:com|net|org|edu)"
MAIL_PART = f"[^{NO_URL}.\xa0]+"
MAIL = rf"(?:<|&(?i:lt);)?[{AN}][^{NO_URL}\xa0]*@(?:{MAIL_PART}\.)*{MAIL_PART}(?:>|&(?i:gt);)?"

GAP = "[- \xa0]"
PHONE = (
    rf"(?:\([0-9]{{2,3}}\)[ \xa0]?|(?:\+\+?)?(?:[0-9]{{2,4}}{GAP})?[0-9]{{2,4}}{GAP})[0-9]{{3,4}}{GAP}?[0-9]{{3,5}}"
    r"|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"
)
SMILEY = r"[<>]?[:;=][-o*']?[)(\[\]dDpPO{@|\\]"
EYE = "[-x^=~<>']"
# The first one is a mistake of the jar, kept: a tilde there means "anything up to".
FACES = rf"[x^=~<>]\.\[\^[xX]=[^<\n]*<>\]|{EYE}_{EYE}|\({EYE}[_.]?{EYE}\)|\([x^=~<>']-[x^=~<>'`]\)"

RULES = (
    _rule("(?i:can)", "(?i:not)"),
    _rule("(?i:'t)", "(?i:was|is)"),
    _rule("(?i:gon|wan)", "(?i:na)"),
    _rule("(?i:got)", "(?i:ta)"),
    _rule("(?i:lem|gim)", "(?i:me)"),
    _rule(TAG, spell=_unbroken),
    _rule("—|&(?i:mdash|ndash|md);", spell=_always("--")),
    _rule("[a-zA-Z\xad]*[A-MO-Za-mo-z]\xad*", NOT, _joined),
    _rule(WORD, spell=_joined),
    _rule(WORD, VERB, _joined),
    _rule(f"[{LETTER}]+[aeiouyAEIOUY]{ANY_APOSTROPHE}[aeiouA-Z][{LETTER}]*"),
    _rule(f"[A-HJ-XZn]{ANY_APOSTROPHE}[{LETTER}]{{2,}}|(?i:o){ANY_APOSTROPHE}(?i:o)"),
    _rule(rf"(?i:cont'd\.?|c'mon|ev'ry|e'er|li'l|nat'l|nor'easter|s'mores)|(?i:dunkin|somethin|ol){APOSTROPHE}"),
    _rule(f"{APOSTROPHE}(?i:cause|till?|em|[2-9]0s)|{APOSTROPHE}[nN]{APOSTROPHE}?|[lLdDjJ]{APOSTROPHE}"),
    _rule(f"[yY]{APOSTROPHE}", f"[{LETTER}]"),
    # A host may hold a slash that the path could begin with, so neither choice is always the longer.
    _rule(f"(?i:https?)://[^{NO_URL}]+{URL_END}|{HOST}|{ODD_HOST}"),
    _rule(rf"(?:{HOST}|{ODD_HOST})/[^ \t\n\f\r\"<>|()]+{URL_END}"),
    _rule(MAIL),
    _rule(f"@[a-zA-Z_][a-zA-Z_0-9]*|#{L}+"),
    _rule(f"{VERB}|{NOT}", "[^a-zA-Z]", _quotes),
    _rule(f"[{DIGIT}]{{1,2}}[-/][{DIGIT}]{{1,2}}[-/][{DIGIT}]{{2,4}}"),
    _rule(NUMBER, spell=_joined),
    _rule("&(?i:ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);|⁺?(?:²+|₂+)"),
    _rule(rf"(?:[{DIGIT}]{{1,4}}[- \xa0])?[{DIGIT}]{{1,4}}(?:\\?/|⁄)[{DIGIT}]{{1,4}}", spell=_unbroken),
    _rule("½|€", spell=_named),
    _rule(r"[A-Z]+\$|[cCfF]#|(?i:c)\+\+"),
    _rule(SMILEY, f"[^{AN}]", _face),
    _rule(FACES, spell=_face),
    _rule("#+|@+|<<|>>|[!?]+|_+"),
    _rule(r"\.{3,5}|\.[ \xa0]\.[ \xa0]\.(?:[ \xa0]\.){0,2}|[\x85…]", spell=_always("...")),
    _rule(PHONE, spell=_phone),
    _rule("-+", spell=_dashes),
    _rule(f"{SPACE}+|[\r\n\v\f]|&(?i:nbsp);", spell=_always("")),
    _rule("[a-zA-Z]", rf"\.{BREAK}+(?:{_any_capitalised(SENTENCE_STARTS)}|{TAG}){BREAK}"),
    _rule(rf"(?:{COUNTRY}|{DOTTED}|[a-zA-Z]|{TITLE})\."),
    _rule(rf"{_any(NUMBERED)}\.", f"{BREAK}?[{DIGIT}]"),
    _rule(rf"{HYPHENATED}\.", STOP, _joined),
    _rule(rf"{WORD}\.", STOP, _joined),
    _rule(rf"{PIECES}\.", STOP),
    _rule(rf"{ABBREVIATION}\.", r"[\s\S]{2}"),
    _rule(rf"{ABBREVIATION}\.", again=1),
    _rule(COUNTRY, BREAK),
    _rule(FILE, f"{BREAK}|[.?!,]"),
    _rule(HYPHENATED, spell=_joined),
    _rule(PIECES),
    _rule(rf"{SIDE}(?:\\?/{SIDE}){{1,2}}"),
    _rule(rf"{FIRMS}\.", STOP, _ampersand),
    _rule(f"{FIRMS}|&(?i:amp);", spell=_ampersand),
    _rule(f"(?i:s){AMP}(?i:ls|p-500)", spell=_ampersand),
    _rule(f"(?i:-[lr][crs]b-|(?:anti|pro)-)|(?i:cap{APOSTROPHE}n|c{APOSTROPHE}est)"),
    _rule("'", "[a-zA-Z][^ \t\n\r\xa0]"),
    _rule(f"{VERB}|{NOT}", spell=_quotes),
    _rule(f"{APOSTROPHE}[0-9]{{2}}", BREAK),
    _rule("''|[`’‘“]{1,2}|['\"]|&(?i:quot|apos);", spell=_quotes),
    _rule("<|&(?i:lt);", spell=_always("<")),
    _rule(">|&(?i:gt);", spell=_always(">")),
    _rule("[][(){}]", spell=_named),
    _rule(r"(?:\\\*){1,3}|\*+"),
    _rule(r"[¶!=&;²₂⁺\\⁄^|、~%:,+$.@/]"),
)

# The words, in lower case, that are two tokens, or that take a full stop along.
TWO_IN_ONE = frozenset(("cannot", "gonna", "gotta", "wanna", "lemme", "gimme"))
TAKES_STOP = frozenset(
    f"{ENDING} {ENDING_CAPITALISED} {TITLES} {NUMBERED} pte pty ppte ppty ptes ptys pptes pptys mfg mtg".lower().split()
) | frozenset("abcdefghijklmnopqrstuvwxyz")
