"""The lists of words agree with each other."""

from __future__ import annotations

from pixtell.data import lexicon

NOUNS = lexicon.PEOPLE | lexicon.ANIMALS | lexicon.CLOTHES | lexicon.THINGS | lexicon.PLACES


def test_what_is_asked_about_is_known() -> None:
    assert lexicon.IS_THERE.keys() <= NOUNS
    assert set(lexicon.SAME) | set(lexicon.SAME.values()) <= NOUNS | {"infant"}
    assert lexicon.GROUPS <= lexicon.PEOPLE and set(lexicon.IRREGULAR.values()) <= NOUNS
    assert not lexicon.PEOPLE & lexicon.ANIMALS and not NOUNS & lexicon.COLORS.keys()


def test_the_common_word_is_final() -> None:
    assert not [word for word, common in lexicon.SAME.items() if lexicon.SAME.get(common, common) != common]


def test_nothing_excludes_itself() -> None:
    verbs = set(lexicon.VERBS.values())
    for verb, others in lexicon.NOT_WHILE.items():
        assert verb in verbs and set(others.split()) <= verbs | {"ride"} - {verb}
        assert verb in lexicon.GERUNDS and verb in lexicon.MAY_BE
    young = lexicon.words(lexicon._YOUNG)
    assert not lexicon.MALE & lexicon.FEMALE and not (lexicon.MALE | lexicon.FEMALE) & young


def test_a_form_is_of_one_verb_and_one_sport() -> None:
    assert len(lexicon.SPORT_OF) == sum(len(forms.split()) for forms in lexicon.SPORTS.values())
    assert all(lexicon.VERBS[gerund.split()[0]] == verb for verb, gerund in lexicon.GERUNDS.items())
