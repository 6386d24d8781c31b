"""PTB tokens: telling cases by hand, and everything else against the Java tokeniser itself.

Java is asked through pycocoevalcap, all captions of a test in one call, and where it isn't there, those tests are
skipped. Captions of the bundled data are read from beside the project, never copied into it.
"""

from __future__ import annotations

import json
import random
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pixtell.evaluation.metrics.ptb import tokenize, tokenize_all

FLICKR = Path(__file__).resolve().parents[4] / "shared" / "data" / "flickr8k"
SHARDS = ("train-000", "train-001", "train-002", "train-003", "train-004", "train-005", "val-000")

# What Java gives, looked at one by one.
CASES = {
    "": "",
    "   ": "",
    "...": "",
    " . a dog .": "a dog",
    "two  men\tand\na dog": "two men and a dog",
    "A man isn't riding a horse.": "a man is n't riding a horse",
    "We cannot, I can't and won't go": "we can not i ca n't and wo n't go",
    "gonna wanna gotta gimme lemme": "gon na wan na got ta gim me lem me",
    "'tis what 'twas": "'t is what 't was",
    "d'you see y'all": "d'you see y' all",
    "get 'em, o'clock": "get 'em o'clock",
    "rock'n'roll and rock 'n' roll": "rock 'n' roll and rock 'n' roll",
    "the '90s and 90's": "the '90s and 90 's",
    "O'Brien's dogs' toys": "o'brien 's dogs toys",
    "the colour grey": "the colour grey",
    "the U.S. flag, torn in the u.s.": "the u.s. flag torn in the u.s.",
    "He sees Mr. Smith and Dr. Who.": "he sees mr. smith and dr. who",
    "Jones & Sons Inc.": "jones & sons inc.",
    "inc. a shop at 5 p.m. today": "inc. a shop at 5 p.m. today",
    "in the state of Mass.": "in the state of mass.",
    "a mass.": "a mass",
    "no. 5 on a shirt": "no. 5 on a shirt",
    "he says no.": "he says no",
    "etc., e.g., so": "etc. e.g. so",
    "Ph.D. of Sino-U.S. law": "ph.d. of sino-u.s. law",
    "U.S.-U.K. talks": "u.s.-u.k. talks",
    "(a) [b] {c}": "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-",
    "a t-shirt, well-known - and -- more": "a t-shirt well-known and more",
    "anti-war, anti- and pro-": "anti-war anti- and pro-",
    "and/or black/white": "and/or black/white",
    "1,000 and 3.5 at 10:30": "1,000 and 3.5 at 10:30",
    "1/2 of 1 1/2 and ½": "1/2 of 1\xa01/2 and 1/2",
    "a 2nd, 3-D, 4x4 on 12/25/2014": "a 2nd 3-d 4x4 on 12/25/2014",
    "call (555) 123-4567": "call -lrb-555-rrb-\xa0123-4567",
    "$5, US$5, £3, €2, 5¢, 50%": "$ 5 us$ 5 # 3 $ 2 5 cents 50 %",
    "AT&T, AT&amp;T, R&D, C++ and C#": "at&t at&t r&d c++ and c#",
    "&lt;b&gt; &quot;x&quot; &apos;y&apos;&nbsp;": "< b > x y",
    '<b>bold</b> <a href="x y">': '<b> bold </b> <a\xa0href="x\xa0y">',
    "mail joe@a.com and see http://a.com/b?c, www.x.org.": "mail joe@a.com and see http://a.com/b?c www.x.org",
    "#hash @user a_b photo.jpg, or img.png": "#hash @user a_b photo.jpg or img.png",
    "so nice :) ;-) :D now": "so nice :-rrb- ;--rrb- :d now",
    "“Hello,” it’s ‘fine’": "hello it 's fine",
    "``quoted'' text": "quoted text",
    "wait… what—no – yes": "wait what no yes",
    "what?! no!! **bold** ~": "what ?! no !! ** bold ** ~",
    "café naïve ÉCOLE e\u0301": "café naïve école e\u0301",
    "日本語 😀 ok": "日本語 ok",
    "soft\xadhyphen non\xa0breaking\u2003space zero\u200bwidth": "softhyphen non breaking space zero width",
    "H₂O, m²": "h ₂ o m ²",
    "d's and 12.txt, AT&T., a t.x-shirt.; x.yz., so": "d 's and 12.txt at&t. a t.x-shirt. x.yz. so",
    "the Canada-U.S border on ١/٣/٢٠١٤": "the canada-u.s border on ١/٣/٢٠١٤",
}


@pytest.mark.parametrize("text", CASES)
def test_a_caption_alone(text: str) -> None:
    assert tokenize(text) == CASES[text]


def test_the_next_caption_decides_about_a_single_letter() -> None:
    assert tokenize_all(["vitamin c.", "A dog"]) == ["vitamin c", "a dog"]
    assert tokenize_all(["vitamin c.", "", "A dog"]) == ["vitamin c", "", "a dog"]
    assert tokenize_all(["vitamin c.", "a dog"]) == ["vitamin c.", "a dog"]
    assert tokenize_all(["he says no.", "5 dogs"]) == ["he says no.", "5 dogs"]


def test_line_separators_are_spaces() -> None:
    assert tokenize_all(["a\rb\u2028c\vd", "e\r\nf\fg"]) == ["a b c d", "e f g"]


# --- against Java -----------------------------------------------------------------------------------------------------


def by_java(texts: Sequence[str]) -> list[str]:
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer").PTBTokenizer()
    tokens = tokenizer.tokenize({place: [{"caption": text}] for place, text in enumerate(texts)})
    return [tokens[place][0] for place in range(len(texts))]


def differences(texts: Sequence[str]) -> list[tuple[str, str, str]]:
    trios = zip(texts, by_java(texts), tokenize_all(texts), strict=True)
    return [(text, theirs, ours) for text, theirs, ours in trios if theirs != ours]


ODD = """
a the The A dog Dog DOG cat riding u.s. U.S. u.s p.m. a.m. e.g. i.e. dr. Dr. mr. Mrs. st. jan. Jan. inc. Inc. co. corp.
etc. no. No. fig. vs. ph.d. J. b. x X Mass. mass. wash. Ore. Miss Miss. pte. ltd. bldg. ave. gen. a.k.a. R.I.P. Mr.T
don't Don't can't won't isn't cannot CANNOT gonna wanna gotta gimme lemme 'tis 'Twas d'you y'all Y'all o'clock O'Brien
n' 'n' 'n 'em rock'n'roll ol' 'til 'cause c'mon it's dog's dogs' I'm we're they've he'd she'll ma'am cap'n c'est l'homme
s'mores ev'ry cont'd. dunkin' nothin' 90's '90s 1990s '90 1,000 3.5 .5 1. 12., 1/2 3/4 10:30 10:30pm 2nd 1st. 555-1234
555-123-4567 555.123.4567 12/25/2014 2014-12-25 $5 $5.00 £3 €10 US$5 ¢ ¥ 50% #1 #hash @user @user_1 a@b.com
joe.bloggs@mail.example.org http://a.com/b?c=d https://www.x.org www.example.com www.a.com/b.museum example.com
example.com/path/x.html file.txt photo.jpg IMG_1234.JPG a.py :) :-) ;) :D =) <3 ^_^ (^_^) (x) <b> </b> <br/> < > << >>
&amp; &lt; &gt; &quot; &apos; &nbsp; &mdash; &#39; &eacute; & AT&T R&D S&Ls S&P-500 C++ c# and/or black/white he/she/it
t-shirt T-shirt well-known x-ray one-two-three a-u.s. anti- pro- 3-D 24/7 km/h w/ 1+1 -5 +5 − 5'10" 6' 4x4 1080p
McDonald's - -- --- ---- ----- – — ― … ... .... .. . , ; : ! ? !! ?! " '' `` ` ' ‘ ’ “ ” « » ‹ › „ ‚ ( ) [ ] { } -LRB-
/ \\ * ** \\* _ __ ~ ^ | = + @ # ## % ½ ⅓ ⅛ 1½ ² m² H₂O café Café naïve ÉCOLE straße cafe\u0301 日本語 日本、語。 한국어
привет Ελλάς ΟΔΟΣ عربي हिन्दी 😀 👍🏽 👩‍👧 ❤️ ★ → • · ° © ™ № soft\xadhyphen \xad \u200b \ufeff İstanbul ſ \u212a ı don’t
it’s ’tis ‘quote’ “quote” rock’n’roll O’Brien ’90s d’Artagnan L'Oréal dog.) dog," U.S.-U.K. Sino-U.S. IV dog!cat dog.cat
dog,cat dog;cat dog_cat dog+cat dog=cat"""
BLOCKS = ODD.split()
PHRASES = ("(555) 123-4567", "+1 555 123 4567", "1 1/2", ". . .", "co. ltd", '<a href="x y">', "rock 'n' roll", "no. 5")
GAPS = (*12 * (" ",), "", "", "  ", "\t", "\xa0", "\u2003", "\n", "\x85", "-", "'", ".", ",")


def odd_captions(seed: int, count: int) -> list[str]:
    """Captions of building blocks, put together as none would: repeated, empty, glued to one another."""
    rng = random.Random(seed)
    captions = []
    for _ in range(count):
        length = rng.choice((0, 1, 1, 2, 3, 4, 5, 6, 8, 10))
        words = [rng.choice(PHRASES) if rng.random() < 0.05 else rng.choice(BLOCKS) for _ in range(length)]
        captions.append("".join(word + rng.choice(GAPS) for word in words))
    return captions


def test_odd_captions_as_java() -> None:
    assert differences(odd_captions(seed=3, count=500)) == []


def test_characters_as_java() -> None:
    """The Basic Multilingual Plane, in words and numbers, but for most of its great blocks, which are of one kind."""
    separators = {0x0A, 0x0B, 0x0C, 0x0D, 0x2028, 0x2029}
    blocks = (range(0x3410, 0x4DB0), range(0x4E10, 0x9FC0), range(0xAC10, 0xD7A0), range(0xD800, 0xF8F0))
    skipped = separators.union(*blocks)
    cases = [f"a{chr(code)}b 1{chr(code)}2" for code in range(0x10000) if code not in skipped]
    assert differences([" x ".join(cases[at : at + 8]) for at in range(0, len(cases), 8)]) == []


def test_flickr_captions_as_java() -> None:
    if not FLICKR.is_dir():
        pytest.skip(f"no captions in {FLICKR}")
    captions: list[str] = []
    for shard in SHARDS:
        with tarfile.open(FLICKR / f"{shard}.tar") as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    captions += json.loads(tar.extractfile(member).read())["captions"]
    assert len(captions) == 35_000
    assert differences(captions) == []
