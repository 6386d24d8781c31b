"""A checkpoint's word pieces: a line of `vocab.txt` each, whose place is the piece's id.

In: a folder or a file. Out: the pieces as a tuple. Where a folder has no `vocab.txt`, they come out of the
`tokenizer.json` that newer tools write instead. The surprising thing: lines end at a newline and nowhere else, since
some vocabularies hold pieces that Python counts as line breaks (U+0085, U+2028).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtell.checkpoint.weights import MAX_JSON, read_object
from pixtell.config import TextConfig
from pixtell.errors import CheckpointError

VOCAB, TOKENIZER, TOKENIZER_CONFIG = "vocab.txt", "tokenizer.json", "tokenizer_config.json"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def read_vocab(folder: Path, vocab: Path | None) -> tuple[str, ...]:
    """The pieces in the file `vocab` when it is given, else in the folder's `vocab.txt` or `tokenizer.json`.

    Raises `CheckpointError` when there is none, or when the folder's tokenizer is not lower-casing WordPiece.
    """
    if vocab is not None:
        return _read_lines(vocab / VOCAB if vocab.is_dir() else vocab)
    if (folder / TOKENIZER_CONFIG).is_file():
        _check_tokenizer(folder / TOKENIZER_CONFIG)
    if (folder / VOCAB).is_file():
        return _read_lines(folder / VOCAB)
    if (folder / TOKENIZER).is_file():
        return _read_tokenizer_json(folder / TOKENIZER)
    raise CheckpointError(
        f"{folder}: has no {VOCAB}. Released GIT models use the vocabulary of bert-base-uncased (30,522 lines; any GIT "
        f"checkpoint on the hub has it): put it there, or name it (vocab=, --vocab)"
    )


def write_vocab(vocab: tuple[str, ...], folder: Path) -> None:
    """Write `vocab.txt`."""
    (folder / VOCAB).write_bytes("".join(f"{piece}\n" for piece in vocab).encode("utf-8"))


def check_vocab(vocab: tuple[str, ...], text: TextConfig, where: str) -> None:
    """Raise `CheckpointError` unless the pieces fit the model: their number, no repeats, special ones at their ids."""
    ids = {piece: number for number, piece in enumerate(vocab)}
    problems = []
    if len(vocab) != text.vocab_size:
        problems.append(f"{len(vocab):,} pieces, but the model has {text.vocab_size:,}")
    if len(ids) != len(vocab):
        problems.append(f"{len(vocab) - len(ids):,} pieces stand there twice")
    if any("\n" in piece for piece in vocab):
        problems.append("pieces hold line breaks")
    missing = [piece for piece in SPECIAL if piece not in ids]
    if missing:
        problems.append(f"no {', '.join(missing)}")
    for piece, number in (("[CLS]", text.cls_id), ("[SEP]", text.sep_id), ("[PAD]", text.pad_id)):
        if ids.get(piece, number) != number:
            problems.append(f"{piece} is piece {ids[piece]}, but the model's is {number}")
    if problems:
        raise CheckpointError(f"{where}: the vocabulary does not fit the model: {'; '.join(problems)}")


def _read_lines(path: Path) -> tuple[str, ...]:
    try:
        if path.stat().st_size > MAX_JSON:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes is no vocabulary")
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such vocabulary file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: can't be read as a vocabulary, one UTF-8 piece a line ({error})") from error
    return tuple(line.removesuffix("\r") for line in lines)


def _read_tokenizer_json(path: Path) -> tuple[str, ...]:
    content = read_object(path)
    model, added = content.get("model"), content.get("added_tokens") or []
    if not isinstance(model, dict) or model.get("type", "WordPiece") != "WordPiece":
        raise CheckpointError(f"{path}: not a WordPiece tokenizer, which GIT needs")
    pieces: dict[Any, Any] = dict(model.get("vocab") or {})
    pieces.update((token["content"], token["id"]) for token in added if isinstance(token, dict))
    by_id = {number: piece for piece, number in pieces.items()}
    if len(by_id) != len(pieces) or sorted(by_id, key=str) != sorted(range(len(pieces)), key=str):
        raise CheckpointError(f"{path}: the ids of its {len(pieces):,} pieces are not 0 to {len(pieces) - 1:,}")
    return tuple(by_id[number] for number in range(len(pieces)))


def _check_tokenizer(path: Path) -> None:
    """Refuse settings that tokenise otherwise than bert-base-uncased, which every GIT model was trained with."""
    content = read_object(path)
    allowed: dict[str, tuple[Any, ...]] = {
        "do_lower_case": (True,),
        "strip_accents": (None, True),
        "tokenize_chinese_chars": (True,),
    }
    wrong = [
        f"{name} {content[name]!r}"
        for name, values in allowed.items()
        if name in content and content[name] not in values
    ]
    if wrong:
        raise CheckpointError(f"{path}: not the tokenizer of bert-base-uncased: {', '.join(wrong)}")
