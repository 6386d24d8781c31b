"""The benchmark of scoring runs on few captions, its sides agree, and its numbers hang together."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from .conftest import ran


def run(*words: str) -> tuple[dict[str, Any], str]:
    return ran("score.py", "--items", "40", "--repeats", "1", *words)


def test_a_small_run_ends_with_json() -> None:
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed: nothing to compare with")
    if shutil.which("java") is None:
        pytest.skip("pycocoevalcap's tokeniser needs Java, which is not here")
    report, table = run()
    assert report["equal_to_pycocoevalcap"] is True and report["items"] == 40
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert list(stages) == ["tokens", "BLEU", "ROUGE-L", "CIDEr", "all"]
    for side in ("ours", "theirs"):
        parts = [stage[side] for name, stage in stages.items() if name != "all"]
        assert min(parts) >= 0 and stages["all"][side] == pytest.approx(sum(parts), abs=0.001)
    assert stages["tokens"]["ratio"] > 1, "theirs starts Java"
    assert 0.2 < report["scores"]["BLEU-1"] < 1 and 0.2 < report["scores"]["CIDEr"] < 5
    assert 7 < report["words_a_caption"] < 14, "about as long as people's captions"
    assert len(table.splitlines()) >= 8, "a table for people"


def test_ours_alone() -> None:
    report, _ = run("--alone", "--references", "2")
    assert report["equal_to_pycocoevalcap"] is None and report["references"] == 2
    assert {stage["theirs"] for stage in report["stages"]} == {None}
    assert set(report["rewards_per_second"]) == {"160", "40"} and min(report["rewards_per_second"].values()) > 1000
