"""How many documents each n-gram is in, a document being all references of one picture.

In: references, or a file: our own, or a pickle of self-critical training such as `coco-train-words.p`. Out: frequencies
for CIDEr.

The surprising thing: those pickles are what the field passes round, and a pickle can run any program when it is read.
So it is read by an unpickler that knows nothing but strings, numbers, containers and `defaultdict`.
"""

from __future__ import annotations

import os
import pickle
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from pixtell.errors import InputError
from pixtell.evaluation.metrics.measure import Floats
from pixtell.evaluation.metrics.ngrams import ORDERS, WORDS, NgramIndex, distinct

FORMAT = "pixtell document frequencies 1"
# What a pickle may ask for by name; Python 2 called the module of built-in names otherwise.
ALLOWED: dict[tuple[str, str], type[Any]] = {
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "int"): int,
    ("builtins", "float"): float,
    ("__builtin__", "int"): int,
    ("__builtin__", "float"): float,
}
SHOWN = 60  # characters of what a bad file holds that a message repeats


@dataclass(frozen=True, eq=False)
class DocumentFrequencies:
    """For each order the number of documents that each n-gram of the index is in, out of `documents`."""

    documents: float
    index: NgramIndex = field(repr=False)
    counts: tuple[Floats, ...] = field(repr=False)

    @classmethod
    def of(cls, references: Sequence[Sequence[str]]) -> DocumentFrequencies:
        """The frequencies in the references of each picture."""
        texts = list(chain.from_iterable(references))
        document_R = np.repeat(np.arange(len(references)), np.array([len(some) for some in references], dtype=np.int64))
        index = NgramIndex.of(texts)
        found = []
        for keys, counts in zip(index.keys, index.count(texts), strict=True):
            size = max(1, len(keys))
            # Several references of one document are one document.
            pairs, _ = distinct(document_R[counts.text_M] * size + counts.ngram_M)
            found.append(np.bincount(pairs % size, minlength=len(keys)).astype(np.float64)[: len(keys)])
        return cls(float(len(references)), index, tuple(found))

    def knowing(self, texts: Sequence[str]) -> DocumentFrequencies:
        """The same frequencies with an index that knows all n-grams of `texts` too, as being in no document."""
        index, moves = self.index.extended(texts)
        found = [np.zeros(len(keys)) for keys in index.keys]
        for new, old, moved in zip(found, self.counts, moves, strict=True):
            new[moved] = old
        return DocumentFrequencies(self.documents, index, tuple(found))

    def frequency(self, ngram: str) -> float:
        """How many documents hold the n-gram, whose words, one to four, are parted by spaces."""
        order = len(ngram.split()) - 1
        assert 0 <= order < ORDERS, f"{ngram!r} is of {order + 1} words"
        number = self.index.count([ngram])[order].ngram_M[0]
        return float(self.counts[order][number]) if number < len(self.counts[order]) else 0.0

    def idf(self) -> list[Floats]:
        """The weight of each n-gram, order by order, and at the end of each the weight of one that is not known."""
        most = np.log(max(1.0, self.documents))
        return [np.append(most - np.log(np.maximum(1.0, counts)), most) for counts in self.counts]

    def save(self, path: str | Path) -> None:
        """Write an npz file, whole or not at all."""
        arrays = {"format": _bytes(FORMAT), "words": _bytes("\n".join(self.index.words))}
        arrays["documents"] = np.array(self.documents)
        for order in range(ORDERS):
            arrays[f"keys{order + 1}"] = self.index.keys[order]
            arrays[f"counts{order + 1}"] = self.counts[order]
        path = Path(path)
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> DocumentFrequencies:
        """Read what `save` wrote, or a pickle of self-critical training. Raises `InputError` for any other file."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                ours = file.read(2) == b"PK"
                file.seek(0)
                return _from_npz(path, file) if ours else _from_pickle(path, file)
        except FileNotFoundError:
            raise InputError("missing", f"{path}: there is no such file") from None
        except OSError as error:
            raise InputError("unreadable", f"{path}: can't be read ({error.strerror})") from error


def _bytes(text: str) -> Any:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _from_npz(path: Path, file: IO[bytes]) -> DocumentFrequencies:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            if arrays["format"].tobytes() != FORMAT.encode():
                raise ValueError(f"its format is not {FORMAT!r}")
            words = arrays["words"].tobytes().decode().split("\n")
            keys = tuple(arrays[f"keys{order + 1}"] for order in range(ORDERS))
            counts = tuple(arrays[f"counts{order + 1}"] for order in range(ORDERS))
            documents = float(arrays["documents"])
    except Exception as error:  # of zipfile, zlib and NumPy, none of which says what a broken file raises
        raise InputError("broken", f"{path}: not document frequencies ({str(error)[:SHOWN]})") from error
    index = NgramIndex({word: place for place, word in enumerate(words) if word}, keys)
    found = DocumentFrequencies(documents, index, counts)
    if problem := _problem(found):
        raise InputError("broken", f"{path}: document frequencies that contradict themselves: {problem}")
    return found


def _problem(found: DocumentFrequencies) -> str:
    """What is wrong with frequencies, if anything: every number an n-gram refers to must be there."""
    if not 1 <= found.documents < np.inf:
        return f"of {found.documents} documents"
    beginnings = 1
    for order, (keys, counts) in enumerate(zip(found.index.keys, found.counts, strict=True), 1):
        if keys.dtype != np.int64 or counts.dtype != np.float64 or keys.ndim != 1 or keys.shape != counts.shape:
            return f"{order}-grams of {keys.dtype} {keys.shape} with counts of {counts.dtype} {counts.shape}"
        if len(keys):
            if keys[0] < 0 or (np.diff(keys) <= 0).any() or keys[-1] // WORDS >= beginnings:
                return f"keys of {order}-grams that are not sorted, or begin with what is not there"
            if (keys % WORDS).max() >= len(found.index.words):
                return f"{order}-grams of more than its {len(found.index.words):,} words"
            # A NaN fails both.
            if not (counts.min() >= 0 and counts.max() <= found.documents):
                return f"{order}-grams in {counts.min():g} to {counts.max():g} of {found.documents:g} documents"
        beginnings = len(keys)
    return ""


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, numbers, strings and `defaultdict`; whatever else a file asks for is refused by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a table of numbers has no use for")
        return ALLOWED[module, name]


def _from_pickle(path: Path, file: IO[bytes]) -> DocumentFrequencies:
    try:
        # Python 2 wrote some of them, whose strings were bytes.
        content = _PlainUnpickler(file, encoding="utf-8", errors="replace").load()
    except Exception as error:  # a broken pickle may raise anything, says the pickle module's documentation
        raise InputError("broken", f"{path}: not a pickle of document frequencies ({str(error)[:200]})") from error
    if not isinstance(content, dict) or not {"document_frequency", "ref_len"} <= content.keys():
        raise InputError("broken", f"{path}: holds no 'document_frequency' with its 'ref_len' ({_shown(content)})")
    table, documents = content["document_frequency"], content["ref_len"]
    if not isinstance(table, dict) or not _is_number(documents):
        raise InputError("broken", f"{path}: 'document_frequency' is {_shown(table)}, 'ref_len' {_shown(documents)}")
    for ngram, count in table.items():
        if not _is_ngram(ngram) or not _is_number(count):
            raise InputError("broken", f"{path}: {_shown(ngram)} with {_shown(count)} is not an n-gram and its count")
    found = _of_table(table, float(documents))
    if problem := _problem(found):
        raise InputError("broken", f"{path}: document frequencies that contradict themselves: {problem}")
    return found


def _of_table(table: dict[tuple[str, ...], float], documents: float) -> DocumentFrequencies:
    texts = [" ".join(ngram) for ngram in table]
    index = NgramIndex.of(texts)
    words_T = np.array([len(ngram) for ngram in table], dtype=np.int64)
    value_T = np.array(list(table.values()), dtype=np.float64)
    found = []
    for order, (keys, counts) in enumerate(zip(index.keys, index.count(texts), strict=True)):
        whole = words_T[counts.text_M] == order + 1
        frequencies = np.zeros(len(keys))
        frequencies[counts.ngram_M[whole]] = value_T[counts.text_M[whole]]
        found.append(frequencies)
    return DocumentFrequencies(documents, index, tuple(found))


def _is_ngram(ngram: object) -> bool:
    """A tuple of one to four words, none of which falls apart into several."""
    if not isinstance(ngram, tuple) or not 1 <= len(ngram) <= ORDERS:
        return False
    return all(isinstance(word, str) for word in ngram) and " ".join(ngram).split() == list(ngram)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, dict | list | set) else f"a {type(value).__name__} of {len(value):,}"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
