"""Tensor files: what is whole is read, what is damaged or dangerous is one clear line."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pixtell.checkpoint import weights
from pixtell.checkpoint.weights import (
    MAX_HEADER,
    is_torch_file,
    open_safetensors,
    open_shards,
    open_torch,
    read_json,
    read_object,
    save_safetensors,
    save_torch,
)
from pixtell.errors import CheckpointError

STATE = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}


class RunsCode:
    """A pickle of this would call a function when loaded."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("exit 1",)


def refused(path: Path, opener: Callable[[Path], object]) -> str:
    with pytest.raises(CheckpointError) as caught:
        opener(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text
    return text.removeprefix(str(path))


def with_header(path: Path, header: dict[str, object] | bytes, body: bytes = b"") -> Path:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + body)
    return path


def test_safetensors_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_safetensors({**STATE, "turned": STATE["a"].T, "again": STATE["a"]}, path)
    file = open_safetensors(path)
    assert {name: (info.shape, info.dtype) for name, info in file.infos.items()} == {
        "a": ((2, 3), "F32"),
        "b": ((4,), "BF16"),
        "turned": ((3, 2), "F32"),
        "again": ((2, 3), "F32"),
    }
    read = file.read()
    assert all(torch.equal(read[name], tensor) for name, tensor in STATE.items())
    assert torch.equal(read["turned"], STATE["a"].T)


def test_every_truncation_of_a_safetensors_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_safetensors(STATE, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path, open_safetensors)
    path.write_bytes(whole + b"\0")
    assert "but its header promises" in refused(path, open_safetensors)


def test_no_flipped_bit_in_a_header_is_more_than_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_safetensors({"a": torch.ones(2)}, path)
    whole = path.read_bytes()
    survived = 0
    for place in range(len(whole) - 8):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                open_safetensors(path)
            except CheckpointError as error:
                assert "\n" not in str(error)
            else:
                survived += 1
    assert survived, "a changed letter in a name is for `require` to find"


def test_hostile_safetensors_headers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    body = b"\0" * 8
    path.write_bytes((MAX_HEADER + 1).to_bytes(8, "little") + b"{}" * 100)
    assert "header of 8,388,609 bytes" in refused(path, open_safetensors)
    cases: list[dict[str, object] | bytes] = [
        b"[1, 2]",
        b"{]",
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        {"a": 1},
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": {**entry, "shape": [2**40]}},
        {"a": {**entry, "shape": [-1, -2]}},
        {"a": {**entry, "shape": ["2"]}},
        {"a": {**entry, "shape": [2.0]}},
        {"a": {**entry, "shape": [float("nan")]}},
        {"a": entry, "b": {**entry, "data_offsets": [4, 12]}},
        {"a": {**entry, "data_offsets": [8, 16]}},
    ]
    for header in cases:
        assert "damaged safetensors header" in refused(with_header(path, header, body), open_safetensors)
    assert open_safetensors(with_header(path, {"a": entry}, body)).infos["a"].shape == (2,)


def test_a_safetensors_file_that_breaks_while_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_safetensors(STATE, path)
    file = open_safetensors(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert "can't be read" in refused(path, lambda _: file.read())


def test_things_that_are_no_weights(tmp_path: Path) -> None:
    for opener in (open_safetensors, open_torch):
        assert "no such file" in refused(tmp_path / "missing", opener)
        pointer = tmp_path / "pointer"
        pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 7\n")
        assert "git lfs pull" in refused(pointer, opener)
        assert "can't be read" in refused(tmp_path, opener)
        empty = tmp_path / "empty"
        empty.write_bytes(b"")
        refused(empty, opener)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_torch_files_there_and_back(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": STATE, "iteration": 7}, path, _use_new_zipfile_serialization=zipped)
    assert is_torch_file(path)
    file, content = open_torch(path)
    assert content["iteration"] == 7
    assert file.infos["b"].dtype == "BF16"
    assert torch.equal(file.read()["a"], STATE["a"])


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_torch_files_are_refused(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": {"a": torch.zeros(500)}}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        refused(path, open_torch)


def test_a_damaged_torch_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": {"a": torch.zeros(500)}}, path)
    whole = bytearray(path.read_bytes())
    start = whole.index(b"model")  # inside the pickle
    whole[start - 8 : start + 40] = b"\xff" * 48
    path.write_bytes(bytes(whole))
    assert "PyTorch file" in refused(path, open_torch) or "more than tensors" in refused(path, open_torch)


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    for content in ({"model": RunsCode()}, {"model": STATE, "optimizer": RunsCode()}):
        torch.save(content, path)
        assert "could run code" in refused(path, open_torch)
    path.write_bytes(pickle.dumps({"model": RunsCode()}))
    assert "not a PyTorch file" in refused(path, open_torch)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"model": STATE}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def rewrite(extra: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in {**members, **extra}.items():
                archive.writestr(name, data)

    rewrite({"model/code/evil.py": b"1"})
    assert "torch.jit or torch.export" in refused(path, open_torch)
    rewrite({"model/archive_format": b"pt2"})
    assert ".pt2" in refused(path, open_torch)
    rewrite({}, zipfile.ZIP_DEFLATED)
    assert "compressed archive" in refused(path, open_torch)
    members.clear()
    rewrite({"a.txt": b"hello"})
    assert "not one that torch.save wrote" in refused(path, open_torch)


def test_only_dicts_of_plain_tensors_are_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save([1, 2], path)
    assert "holds a list" in refused(path, open_torch)
    torch.save({"model": {"a": torch.ones(2), "b": "text"}}, path)
    assert "not tensors: b" in refused(path, open_torch)
    torch.save({"model": {"a": torch.eye(3).to_sparse()}}, path)
    assert "sparse" in refused(path, open_torch)


def test_shards(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    save_safetensors({"a": STATE["a"]}, tmp_path / "model-00001-of-00002.safetensors")
    save_safetensors({"b": STATE["b"]}, tmp_path / "model-00002-of-00002.safetensors")
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    files = open_shards(index)
    assert [sorted(file.infos) for file in files] == [["a"], ["b"]]
    index.write_text(json.dumps({"weight_map": {**places, "c": places["b"]}}))
    with pytest.raises(CheckpointError, match=r"1 tensors are not where .* such as c"):
        open_shards(index)
    for wrong in ("../model.safetensors", "/etc/passwd", "", "..", "a\\b"):
        index.write_text(json.dumps({"weight_map": {"a": wrong}}))
        assert "is not a plain file name" in refused(index, open_shards)
    index.write_text(json.dumps({"weight_map": {"a": 7}}))
    assert "no weight_map" in refused(index, open_shards)


def test_pickled_shards(tmp_path: Path) -> None:
    index = tmp_path / "pytorch_model.bin.index.json"
    save_torch(STATE, tmp_path / "pytorch_model-00001-of-00001.bin")
    index.write_text(json.dumps({"weight_map": dict.fromkeys(STATE, "pytorch_model-00001-of-00001.bin")}))
    (file,) = open_shards(index)
    assert torch.equal(file.read()["a"], STATE["a"])


def test_json_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.json"
    assert "no such file" in refused(path, read_json)
    for wrong in ("{", '{"a": NaN}', '{"a": Infinity}', "[" * 100_000, "\udcff"):
        path.write_bytes(wrong.encode("utf-8", "surrogateescape"))
        assert "not JSON" in refused(path, read_json)
    path.write_text("[1]")
    assert read_json(path) == [1]
    assert "not an object" in refused(path, read_object)
    monkeypatch.setattr(weights, "MAX_JSON", 2)
    assert "bytes of JSON" in refused(path, read_json)


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    for save in (save_safetensors, save_torch):
        with pytest.raises(OSError):
            save(STATE, tmp_path / "missing folder" / "file")
