"""Downloads: each way they fail is one line with a cure; what is cached is found without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from pixtell.checkpoint.hub import download
from pixtell.errors import CheckpointError

NAME = "microsoft/git-base-coco"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Response:
    """As much of an HTTP response as huggingface_hub's errors look at."""

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code
        self.headers: dict[str, str] = {}
        self.request = None


def raising(error: BaseException) -> Callable[..., str]:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise error

    return snapshot_download


def http_error(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    return kind("server said no\nand more", response=Response(status))  # type: ignore[arg-type]


def message(monkeypatch: pytest.MonkeyPatch, error: BaseException, **options: Any) -> str:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(error))
    with pytest.raises(CheckpointError) as caught:
        download(NAME, **options)
    text = str(caught.value)
    assert text.startswith(f"{NAME}: ") and "\n" not in text
    return text


def test_each_failure_is_one_line_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hf auth login" in message(monkeypatch, http_error(errors.GatedRepoError, 403))
    assert "terms accepted" in message(monkeypatch, http_error(errors.GatedRepoError, 403))
    assert "no such model" in message(monkeypatch, http_error(errors.RepositoryNotFoundError, 404))
    missing = http_error(errors.RevisionNotFoundError, 404)
    assert "no revision 'v9'" in message(monkeypatch, missing, revision="v9")
    assert "answered 503" in message(monkeypatch, http_error(errors.HfHubHTTPError, 503))
    assert "neither a folder" in message(monkeypatch, errors.HFValidationError("bad name"))
    unreachable = errors.LocalEntryNotFoundError("no network, no cache")
    assert "hub can't be reached" in message(monkeypatch, unreachable)
    assert "without --offline" in message(monkeypatch, unreachable, offline=True)
    assert "No space left" in message(monkeypatch, OSError(28, "No space left on device"))
    assert "download failed (ConnectError)" in message(monkeypatch, type("ConnectError", (Exception,), {})())


def test_the_environments_offline_switch_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="offline is on"):
        download(NAME, cache_dir=tmp_path)


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        download(NAME)


def cached(cache: Path, *files: str, revision: str = "main") -> Path:
    """A cache as huggingface_hub lays it out: blobs, links to them by commit, and commits by revision."""
    root = cache / "models--microsoft--git-base-coco"
    snapshot = root / "snapshots" / COMMIT
    for folder in (root / "blobs", root / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / revision).write_text(COMMIT)
    for file in files:
        (root / "blobs" / file).write_text("{}")
        (snapshot / file).symlink_to(root / "blobs" / file)
    return snapshot


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin", "model-00001-of-00002.safetensors"])
def test_a_cached_model_is_found_offline(tmp_path: Path, weights: str) -> None:
    snapshot = cached(tmp_path, "config.json", "vocab.txt", weights)
    assert download(NAME, cache_dir=tmp_path, offline=True) == snapshot
    with pytest.raises(CheckpointError, match="not \\(wholly\\) in the local cache"):
        download(NAME, cache_dir=tmp_path, offline=True, revision="older")
    cached(tmp_path, revision="older")
    assert download(NAME, cache_dir=tmp_path, offline=True, revision="older") == snapshot


def test_a_cache_without_the_weights_is_not_enough(tmp_path: Path) -> None:
    cached(tmp_path, "config.json", "vocab.txt")
    with pytest.raises(CheckpointError, match="not \\(wholly\\) in the local cache"):
        download(NAME, cache_dir=tmp_path, offline=True)


def test_a_cache_may_only_hold_the_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listing in the cache names safetensors, but another program fetched the pickle only: that will do."""
    cached(tmp_path, "config.json", "pytorch_model.bin")
    real = huggingface_hub.snapshot_download

    def snapshot_download(name: str, *, allow_patterns: list[str], **options: Any) -> str:
        if "model.safetensors" in allow_patterns:
            raise errors.LocalEntryNotFoundError("the cached snapshot is incomplete")
        return real(name, allow_patterns=allow_patterns, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert (download(NAME, cache_dir=tmp_path, offline=True) / "pytorch_model.bin").is_file()


def test_safetensors_are_asked_for_first_and_pickles_only_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def server(files: tuple[str, ...]) -> Callable[..., str]:
        def snapshot_download(name: str, *, allow_patterns: list[str], **options: Any) -> str:
            assert (name, options["revision"], options["local_files_only"]) == (NAME, "v1", False)
            asked.append(allow_patterns)
            for file in files:
                if file in allow_patterns:
                    (tmp_path / file).write_text("{}")
            return str(tmp_path)

        return snapshot_download

    monkeypatch.setattr(huggingface_hub, "snapshot_download", server(("config.json", "pytorch_model.bin")))
    assert download(NAME, revision="v1") == tmp_path
    assert ["model.safetensors" in patterns for patterns in asked] == [True, False]
    assert ["pytorch_model.bin" in patterns for patterns in asked] == [False, True]
    asked.clear()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", server(("config.json", "model.safetensors")))
    download(NAME, revision="v1")
    assert len(asked) == 1


def test_something_else_than_a_model(tmp_path: Path) -> None:
    cached(tmp_path, "model.safetensors")
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        download(NAME, cache_dir=tmp_path, offline=True)
