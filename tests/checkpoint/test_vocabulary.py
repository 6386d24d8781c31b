"""Word pieces out of vocab.txt and tokenizer.json, and whether they fit the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pixtell.checkpoint.vocabulary import check_vocab, read_vocab, write_vocab
from pixtell.errors import CheckpointError

from .conftest import TEXT, VOCAB


def test_there_and_back_with_pieces_that_python_splits_at(tmp_path: Path) -> None:
    pieces = (*VOCAB, "\u0085", "\u2028", "\x1c", "é")
    write_vocab(pieces, tmp_path)
    assert read_vocab(tmp_path, None) == pieces
    assert read_vocab(Path("nowhere"), tmp_path / "vocab.txt") == pieces
    assert read_vocab(Path("nowhere"), tmp_path) == pieces


def test_windows_line_ends_and_no_last_newline(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\r\n[UNK]\r\nthe")
    assert read_vocab(tmp_path, None) == ("[PAD]", "[UNK]", "the")


def test_out_of_tokenizer_json(tmp_path: Path) -> None:
    content = {
        "added_tokens": [{"id": 2, "content": "new"}, {"id": 0, "content": "[PAD]"}],
        "model": {"type": "WordPiece", "vocab": {"[PAD]": 0, "the": 1}},
    }
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content))
    assert read_vocab(tmp_path, None) == ("[PAD]", "the", "new")
    path.write_text(json.dumps({"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}}))
    with pytest.raises(CheckpointError, match="the ids of its 2 pieces are not 0 to 1"):
        read_vocab(tmp_path, None)
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}}}))
    with pytest.raises(CheckpointError, match="not a WordPiece tokenizer"):
        read_vocab(tmp_path, None)


def test_none_at_all_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no vocab\.txt.*bert-base-uncased.*--vocab"):
        read_vocab(tmp_path, None)
    with pytest.raises(CheckpointError, match="there is no such vocabulary file"):
        read_vocab(tmp_path, tmp_path / "other.txt")
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CheckpointError, match="UTF-8 piece a line"):
        read_vocab(tmp_path, None)


def test_another_kind_of_tokenizer_is_refused(tmp_path: Path) -> None:
    write_vocab(VOCAB, tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(json.dumps({"do_lower_case": True, "strip_accents": None, "tokenizer_class": "BertTokenizer"}))
    assert read_vocab(tmp_path, None) == VOCAB
    settings.write_text(json.dumps({"do_lower_case": False, "strip_accents": False}))
    with pytest.raises(CheckpointError, match="do_lower_case False, strip_accents False"):
        read_vocab(tmp_path, None)


def test_what_does_not_fit_is_listed_at_once() -> None:
    check_vocab(VOCAB, TEXT, "here")
    with pytest.raises(CheckpointError) as caught:
        check_vocab(("[CLS]", "[SEP]", "a", "a\n", "a"), replace(TEXT, cls_id=1), "here")
    text = str(caught.value)
    for problem in (
        "5 pieces, but the model has 42",
        "1 pieces stand there twice",
        "line breaks",
        "no [PAD], [UNK]",
        "[CLS] is piece 0, but the model's is 1",
        "[SEP] is piece 1, but the model's is 4",
    ):
        assert problem in text
