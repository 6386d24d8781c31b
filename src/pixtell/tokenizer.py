"""WordPiece: text <-> ids, as bert-base-uncased does it, and the one place where a prompt is built.

In: a vocabulary (a piece a line). The surprising thing: a GIT prompt is `[CLS] question` *without* a closing [SEP],
which would be the end of the answer; and a long question loses its beginning, as in the authors' `inference.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as WordPieceTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers

from pixtell.errors import CheckpointError

PAD, UNKNOWN, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
MAX_TEXT = 40  # pieces; authors' `train.py` and `inference.py`
MAX_PROMPT = 38  # of those, what is kept in front of an answer: 40 less [CLS] and [SEP]
# What the authors' tokenizer closes up in a decoded text, in its order.
CLOSE_UP = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 's", "'s"))
# What of it the next piece may close up with, too: "dog '" becomes "dog's", and "do n '" becomes "don't".
UNSETTLED = re.compile(r"(?: n)?(?: ')?$")


class Tokenizer:
    """A lower-casing WordPiece tokenizer over `vocabulary`, whose line numbers are the ids.

    Raises `CheckpointError` when a special piece is missing or a piece stands there twice.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        ids = {piece: number for number, piece in enumerate(vocabulary)}
        missing = [piece for piece in (PAD, UNKNOWN, CLS, SEP) if piece not in ids]
        if missing or len(ids) != len(vocabulary):
            raise CheckpointError(
                f"vocabulary of {len(vocabulary)} lines: {len(vocabulary) - len(ids)} are repeated, "
                f"special pieces missing: {', '.join(missing) or 'none'}"
            )
        self.vocabulary = tuple(vocabulary)
        self.pad_id, self.unknown_id, self.cls_id, self.sep_id = (ids[piece] for piece in (PAD, UNKNOWN, CLS, SEP))
        self._wordpiece = WordPieceTokenizer(models.WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
        self._wordpiece.normalizer = normalizers.BertNormalizer(lowercase=True)
        self._wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._wordpiece.decoder = decoders.WordPiece(cleanup=False)
        self._specials = {number for piece, number in ids.items() if piece in (PAD, UNKNOWN, CLS, SEP, MASK)}

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a `vocab.txt`. Raises `CheckpointError` when it can't be read or is no vocabulary."""
        try:
            lines = Path(path).read_bytes().decode("utf-8").removesuffix("\n").split("\n")  # no other line breaks
        except FileNotFoundError:
            raise CheckpointError(f"{path}: there is no such vocabulary file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: can't be read as a vocabulary, one UTF-8 piece a line ({error})") from None
        return cls([line.removesuffix("\r") for line in lines])

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """The pieces of `text`, without special tokens."""
        return list(self._wordpiece.encode(text, add_special_tokens=False).ids)

    def words(self, text: str) -> list[str]:
        """The words of `text` as pieces are made of them: in lower case, without accents, each mark for itself."""
        normalizer, splitter = self._wordpiece.normalizer, self._wordpiece.pre_tokenizer
        return [word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`: special tokens left out, spaces before punctuation and around apostrophes closed."""
        text = str(self._wordpiece.decode([number for number in ids if number not in self._specials]))
        for spaced, closed in CLOSE_UP:
            text = text.replace(spaced, closed)
        return text

    def settled(self, ids: Sequence[int]) -> str:
        """The beginning of `decode(ids)` that stays, whatever pieces follow."""
        return UNSETTLED.sub("", self.decode(ids))

    def prompt(self, question: str = "") -> tuple[int, ...]:
        """`[CLS]` and the question's pieces: its first 40, and of those the last 38. No question asks for a caption."""
        return (self.cls_id, *self.encode(question)[:MAX_TEXT][-MAX_PROMPT:])
