"""Document frequencies: counted, written, read back, and read from pickles that must not run anything."""

from __future__ import annotations

import io
import os
import pickle
import random
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixtell.errors import InputError
from pixtell.evaluation.metrics.cider import cider_d
from pixtell.evaluation.metrics.frequencies import DocumentFrequencies

DOCUMENTS = [["a dog runs", "the dog , a big dog"], ["a cat sits on the mat"], ["café au lait", "a café"]]
CANDIDATES = ["a big dog", "the cat sits", "a café au lait"]


def table() -> dict[tuple[str, ...], float]:
    """The same frequencies by a loop, as self-critical training stores them."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for texts in DOCUMENTS:
        words = [text.split() for text in texts]
        for ngram in {tuple(w[at : at + n]) for w in words for n in range(1, 5) for at in range(len(w) - n + 1)}:
            found[ngram] += 1.0
    return found


def assert_right(frequencies: DocumentFrequencies) -> None:
    assert frequencies.documents == len(DOCUMENTS)
    expected = table()
    assert {ngram: frequencies.frequency(" ".join(ngram)) for ngram in expected} == expected
    assert sum(int((counts > 0).sum()) for counts in frequencies.counts) == len(expected)
    assert frequencies.frequency("big cat") == frequencies.frequency("bird") == 0.0
    scores = cider_d(CANDIDATES, DOCUMENTS, frequencies).items_N
    assert scores.tolist() == pytest.approx(cider_d(CANDIDATES, DOCUMENTS).items_N.tolist(), abs=1e-12)


def pickled(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def test_counted() -> None:
    assert_right(DocumentFrequencies.of(DOCUMENTS))
    assert DocumentFrequencies.of(DOCUMENTS).frequency("dog") == 1, "twice in a document is one document"


def test_ours_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "frequencies.npz"
    DocumentFrequencies.of(DOCUMENTS).save(path)
    assert_right(DocumentFrequencies.load(path))
    assert [file.name for file in tmp_path.iterdir()] == ["frequencies.npz"]


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize("kind", [dict, lambda found: defaultdict(float, found)])
def test_pickles_of_self_critical_training(tmp_path: Path, protocol: int, kind: Any) -> None:
    content = {"document_frequency": kind(table()), "ref_len": len(DOCUMENTS)}
    assert_right(DocumentFrequencies.load(str(pickled(tmp_path / "coco-train-words.p", content, protocol))))


def test_strings_of_python_2(tmp_path: Path) -> None:
    # What Python 2 writes for {'document_frequency': {('caf\xc3\xa9',): 1.0}, 'ref_len': 2}: byte strings.
    data = (
        b"\x80\x02}(U\x12document_frequency}U\x05caf\xc3\xa9\x85G\x3f\xf0\x00\x00\x00\x00\x00\x00sU\x07ref_lenK\x02u."
    )
    (tmp_path / "old.p").write_bytes(data)
    assert DocumentFrequencies.load(tmp_path / "old.p").frequency("café") == 1.0


def test_a_table_without_the_parts_of_its_ngrams(tmp_path: Path) -> None:
    content = {"document_frequency": {("a", "b", "c"): 2, ("b",): 3}, "ref_len": 5}
    found = DocumentFrequencies.load(pickled(tmp_path / "x.p", content))
    assert [found.frequency(ngram) for ngram in ("a b c", "b", "a b", "a")] == [2, 3, 0, 0]


def test_other_texts_are_known_as_being_nowhere() -> None:
    found = DocumentFrequencies.of(DOCUMENTS).knowing(["a dog flies", "the end"])
    assert [found.frequency(ngram) for ngram in ("a dog", "flies", "dog flies", "dog")] == [1, 0, 0, 1]
    assert_right(found)


class Evil:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("call", [(os.system, "touch ran"), (eval, "open('ran', 'w')"), (getattr, dict, "fromkeys")])
def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    path = pickled(tmp_path / "evil.p", {"document_frequency": Evil(*call), "ref_len": 1}, protocol)
    with pytest.raises(InputError, match=r"evil\.p: not a pickle of document frequencies \(it asks for \w+\.\w+"):
        DocumentFrequencies.load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no 'document_frequency' with its 'ref_len' .a list of 2"),
        ({("a",): 1.0}, "holds no 'document_frequency'"),
        ({"document_frequency": [], "ref_len": 3}, "'document_frequency' is a list of 0, 'ref_len' 3"),
        ({"document_frequency": {}, "ref_len": "3"}, "'ref_len' '3'"),
        ({"document_frequency": {("a",): 1.0}, "ref_len": 0}, "of 0.0 documents"),
        ({"document_frequency": {("a",): 1.0}, "ref_len": float("nan")}, "of nan documents"),
        ({"document_frequency": {("a",): 4.0}, "ref_len": 3}, "1-grams in 4 to 4 of 3 documents"),
        ({"document_frequency": {("a",): -1}, "ref_len": 3}, "1-grams in -1 to -1 of 3 documents"),
        ({"document_frequency": {("a",): float("nan")}, "ref_len": 3}, "contradict themselves"),
        ({"document_frequency": {"a": 1.0}, "ref_len": 3}, "'a' with 1.0 is not an n-gram and its count"),
        ({"document_frequency": {("a b",): 1.0}, "ref_len": 3}, "is not an n-gram"),
        ({"document_frequency": {("",): 1.0}, "ref_len": 3}, "is not an n-gram"),
        ({"document_frequency": {tuple("abcde"): 1.0}, "ref_len": 3}, "is not an n-gram"),
        ({"document_frequency": {(1,): 1.0}, "ref_len": 3}, "is not an n-gram"),
        ({"document_frequency": {("a",): "many"}, "ref_len": 3}, "with 'many' is not"),
    ],
)
def test_pickles_of_something_else(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        DocumentFrequencies.load(pickled(tmp_path / "bad.p", content))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path / "bad.p"))
    assert caught.value.code == "broken"


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"PK", b"PK\x03\x04" + b"\0" * 60, b"\x80\x02}(U", b"\x80\x05."])
def test_files_of_something_else(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(InputError, match=r"not .*document frequencies"):
        DocumentFrequencies.load(tmp_path / "bad")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz: there is no such file"):
        DocumentFrequencies.load(tmp_path / "none.npz")
    with pytest.raises(InputError, match="can't be read"):
        DocumentFrequencies.load(tmp_path)


def test_an_npz_of_something_else_or_cut_short(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    with pytest.raises(InputError, match="not document frequencies"):
        DocumentFrequencies.load(tmp_path / "other.npz")
    DocumentFrequencies.of(DOCUMENTS).save(tmp_path / "whole.npz")
    data = (tmp_path / "whole.npz").read_bytes()
    for size in (30, len(data) // 2, len(data) - 10):
        (tmp_path / "cut.npz").write_bytes(data[:size])
        with pytest.raises(InputError, match="not document frequencies"):
            DocumentFrequencies.load(tmp_path / "cut.npz")


@pytest.mark.parametrize("name", ["x.npz", "x.p"])
def test_a_changed_byte_is_never_a_traceback(tmp_path: Path, name: str) -> None:
    DocumentFrequencies.of(DOCUMENTS).save(tmp_path / "x.npz")
    pickled(tmp_path / "x.p", {"document_frequency": table(), "ref_len": len(DOCUMENTS)})
    whole = (tmp_path / name).read_bytes()
    draw = random.Random(1)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        data[draw.randrange(len(data))] = draw.randrange(256)
        (tmp_path / "bad").write_bytes(data)
        try:
            DocumentFrequencies.load(tmp_path / "bad")
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > 100


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("keys1", lambda keys: keys[::-1], "1-grams that are not sorted"),
        ("keys2", lambda keys: keys + 2**40, "begin with what is not there"),
        ("keys1", lambda keys: keys + 100, "1-grams of more than its 13 words"),
        ("counts3", lambda counts: counts[:-1], "3-grams of int64"),
        ("counts2", lambda counts: counts * 9, "2-grams in 9 to"),
        ("keys4", lambda keys: keys.astype(np.float64), "4-grams of float64"),
        ("documents", lambda _: np.array(np.inf), "of inf documents"),
    ],
)
def test_an_npz_that_contradicts_itself(tmp_path: Path, name: str, change: Any, message: str) -> None:
    DocumentFrequencies.of(DOCUMENTS).save(tmp_path / "whole.npz")
    with np.load(tmp_path / "whole.npz") as arrays:
        content = dict(arrays.items())
    assert len(content["words"].tobytes().split(b"\n")) == 13
    np.savez(tmp_path / "bad.npz", **{**content, name: change(content[name])})
    with pytest.raises(InputError, match=message):
        DocumentFrequencies.load(tmp_path / "bad.npz")


def test_an_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    DocumentFrequencies.of(DOCUMENTS).save(tmp_path / "whole.npz")
    held = io.BytesIO()
    np.save(held, np.array([Evil(os.system, "true")], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(tmp_path / "bad.npz", "w") as bad:
        for name, count in Counter(whole.namelist()).items():
            assert count == 1
            bad.writestr(name, held.getvalue() if name == "words.npy" else whole.read(name))
    with pytest.raises(InputError, match="not document frequencies"):
        DocumentFrequencies.load(tmp_path / "bad.npz")
