"""What a text becomes: the table of git-facts 1.5, and the same prompt that inference builds."""

from __future__ import annotations

import pytest
from tiny_data import tokenizer

from pixtell.data.example import TextPair, sequence, switch_mark

TOKENIZER = tokenizer()


def words(count: int, start: int = 0) -> str:
    return " ".join(f"word{(start + number) % 10}" for number in range(count))


def authors_sequence(prompt: str, target: str) -> tuple[list[int], list[int]]:
    """`get_data` of the authors' train.py, told step by step (git-facts 1.5)."""
    payload, need_predict = [], []
    for text, learnt in ((prompt, 0), (target, 1)):
        for number, piece in enumerate(TOKENIZER.encode(text)):
            if number < 40:
                payload.append(piece)
                need_predict.append(learnt)
    if len(payload) > 40:
        while len(payload) > 38:
            payload.pop(0)
            need_predict.pop(0)
    return [TOKENIZER.cls_id, *payload, TOKENIZER.sep_id], [0, *need_predict, 1]


@pytest.mark.parametrize(
    ("prompt", "target", "length"),
    [
        (0, 0, 2),  # an empty caption is [CLS] [SEP], which learns to say nothing
        (0, 5, 7),
        (3, 2, 7),
        (0, 38, 40),
        (0, 39, 41),  # 39 and 40 are kept whole
        (0, 40, 42),
        (0, 41, 42),  # the target alone is cut to its first 40
        (0, 90, 42),
        (20, 18, 40),
        (20, 20, 42),
        (21, 20, 40),  # 41 together: the last 38
        (40, 1, 40),
        (50, 1, 40),  # the prompt's first 40, then of 41 the last 38
        (40, 40, 40),
        (90, 90, 40),
    ],
)
def test_the_authors_lengths(prompt: int, target: int, length: int) -> None:
    pair = TextPair(words(prompt), words(target, start=3))
    ids, need_predict = sequence(TOKENIZER, pair)
    assert len(ids) == len(need_predict) == length
    assert (ids, [int(learnt) for learnt in need_predict]) == authors_sequence(pair.prompt, pair.target)


def test_the_target_and_sep_are_learnt_and_nothing_else() -> None:
    ids, need_predict = sequence(TOKENIZER, TextPair("what colour is it?", "red, blue"))
    assert [TOKENIZER.vocabulary[number] for number in ids] == [
        "[CLS]", "what", "colour", "is", "it", "?", "red", ",", "blue", "[SEP]",
    ]  # fmt: skip
    assert need_predict == [False] * 6 + [True] * 4


def test_of_a_long_whole_the_end_is_kept() -> None:
    ids, need_predict = sequence(TOKENIZER, TextPair(words(30), words(20)))
    assert ids[1:-1] == (TOKENIZER.encode(words(30)) + TOKENIZER.encode(words(20)))[-38:]
    assert need_predict == [False] + [False] * 18 + [True] * 20 + [True]


@pytest.mark.parametrize("pieces", [0, 1, 37])
def test_training_reads_the_prompt_that_inference_builds(pieces: int) -> None:
    ids, _ = sequence(TOKENIZER, TextPair(words(pieces), "red"))
    assert tuple(ids[: pieces + 1]) == TOKENIZER.prompt(words(pieces))


@pytest.mark.parametrize(
    ("question", "switched"),
    [("what is it", "what is it?"), ("what is it?", "what is it"), ("what is it ? ", "what is it"), ("", "")],
)
def test_a_questions_mark_is_switched_and_its_answer_kept(question: str, switched: str) -> None:
    assert switch_mark(TextPair(question, "red")) == TextPair(switched, "red")
