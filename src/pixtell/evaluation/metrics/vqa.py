"""VQA accuracy (Antol et al. 2015): an answer is right as far as three of ten people gave it.

In: answers generated, and for each question the answers of people. Out: one measure, the mean over questions. Tables
and rules are those of the evaluation code of VQA v2: github.com/GT-Vision-Lab/VQA, commit a013f004,
PythonEvaluationTools/vqaEvaluation/vqaEval.py.

The surprising thing: where all ten people wrote the very same, nothing is normalised, and "Yes" is not "yes". The
authors meant it so (issue 14 there): such questions ask for text in the picture. Their slips are kept as well, since
all published numbers have them, and are marked below as slips.

Other versions differ: the code before that commit normalised the generated answer always and of people's answers only
the punctuation, so that "the cat" could never be matched; the first of all (07aecec5) also wrote most of the
contractions with typographic apostrophes; Pythia's (mmf, m4c_evaluators.py) parts "'s" from its word and always
normalises both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixtell.evaluation.metrics.measure import Measure, mean_of

PEOPLE, AGREED = 10, 3

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
DIGITS_COMMA = re.compile(r"\d,\d")
# A slip: the authors' "(?!<=\d)" before the period was to look back for a digit, and holds always.
PERIOD = re.compile(r"\.(?!\d)")
# A slip: the flag re.UNICODE is passed where the number of replacements belongs, and is 32.
MOST_PERIODS = 32

ARTICLES = frozenset(["a", "an", "the"])
_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: str(number) for number, word in enumerate(_COUNTED)} | {"none": "0"}
# Each line: what is meant, and the spellings that are read as it. A slip: "somebodyd" lacks the apostrophe where it is
# meant. Spellings of the authors' table with a capital ("Im", "Ive", "Id've", "I'dve") are left out: words are
# lower-cased before they are looked up, so nothing ever was found by them.
CONTRACTIONS = {
    spelling: meant
    for meant, *spellings in map(
        str.split,
        """
        'ow's'at ow's'at 'ows'at 'ow'sat
        'twas twas
        ain't aint
        aren't arent
        can't cant
        could've couldve
        couldn't couldnt
        couldn't've couldn'tve couldnt've
        didn't didnt
        doesn't doesnt
        don't dont
        hadn't hadnt
        hadn't've hadnt've hadn'tve
        hasn't hasnt
        haven't havent
        he'd hed
        he'd've hed've he'dve
        he's hes
        how'd howd
        how'll howll
        how's hows
        isn't isnt
        it'd itd
        it'd've itd've it'dve
        it'll itll
        ma'am maam
        might've mightve
        mightn't mightnt
        mightn't've mightnt've mightn'tve
        must've mustve
        mustn't mustnt
        needn't neednt
        not've notve
        o'clock oclock
        oughtn't oughtnt
        shan't shant
        she'd've shed've she'dve
        should've shouldve
        shouldn't shouldnt
        shouldn't've shouldnt've shouldn'tve
        somebody'd've somebodyd've somebody'dve
        somebody'll somebodyll
        somebody's somebodys
        somebodyd somebody'd
        someone'd someoned
        someone'd've someoned've someone'dve
        someone'll someonell
        someone's someones
        something'd somethingd
        something'd've somethingd've something'dve
        something'll somethingll
        that's thats
        there'd thered
        there'd've thered've there'dve
        there're therere
        there's theres
        they'd theyd
        they'd've theyd've they'dve
        they'll theyll
        they're theyre
        they've theyve
        wasn't wasnt
        we'd've wed've we'dve
        we've weve
        weren't werent
        what'll whatll
        what're whatre
        what's whats
        what've whatve
        when's whens
        where'd whered
        where's wheres
        where've whereve
        who'd whod
        who'd've whod've who'dve
        who'll wholl
        who's whos
        who've whove
        why'll whyll
        why're whyre
        why's whys
        won't wont
        would've wouldve
        wouldn't wouldnt
        wouldn't've wouldnt've wouldn'tve
        y'all yall
        y'all'd've yall'd've y'alld've y'all'dve
        y'all'll yall'll y'allll
        you'd youd
        you'd've youd've you'dve
        you'll youll
        you're youre
        you've youve
        """.strip().splitlines(),
    )
    for spelling in spellings
}


def vqa_accuracy(candidates: Sequence[str], answers: Sequence[Sequence[str]]) -> Measure:
    """VQA accuracy of generated answers, each against what people answered to its question.

    With ten answers it is the official score: the mean, over the ten ways to leave one person out, of
    min(1, people of the other nine who gave the answer / 3). More than ten are scored in the same way.

    Fewer stand for ten: each of n counts 10 / n times, since three of ten is a share, and one person out of one has
    no others to agree with. For five it is what OK-VQA does, which writes each of its five answers twice. A single
    answer is always normalised: nothing follows from its agreeing with itself.
    """
    return mean_of("VQA accuracy", [_score(*pair) for pair in zip(candidates, answers, strict=True)])


def normalize(answer: str) -> str:
    """An answer as it is compared: without punctuation, capitals and articles, with digits and apostrophes."""
    words = [NUMBERS.get(word, word) for word in _without_punctuation(_on_one_line(answer)).lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _score(candidate: str, answers: Sequence[str]) -> float:
    assert answers, "a question without answers can't be scored"
    said, given = _on_one_line(candidate), [_on_one_line(answer) for answer in answers]
    if len(given) == 1 or len(set(given)) > 1:
        said, given = normalize(said), [normalize(answer) for answer in given]
    people = max(PEOPLE, len(given))
    matches = given.count(said) * people / len(given)
    # Who gave the answer has one match less among the others than who did not.
    with_one_less = matches * min(1.0, max(0.0, matches - 1) / AGREED)
    return (with_one_less + (people - matches) * min(1.0, matches / AGREED)) / people


def _on_one_line(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def _without_punctuation(answer: str) -> str:
    """A mark beside a space goes, another becomes a space; beside a number like 1,000 all marks go.

    A slip: one such place decides for every mark of its kind, and one such number for every mark of the answer.
    """
    found = answer
    number = DIGITS_COMMA.search(answer)
    for mark in PUNCTUATION:
        goes = number or f"{mark} " in answer or f" {mark}" in answer
        found = found.replace(mark, "" if goes else " ")
    return PERIOD.sub("", found, count=MOST_PERIODS)
