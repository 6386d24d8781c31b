"""The speed benchmark runs in its tiny mode, and its numbers hang together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_a_tiny_run_ends_with_json() -> None:
    pytest.importorskip("transformers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "benchmarks" / "generate.py"), "--size", "tiny", "--repeats", "1"]
    command += ["--images", "1", "3", "--threads", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["fp32_greedy_tokens_agree"] is True and report["threads"] == 1
    assert [(case["images"], case["beams"]) for case in report["cases"]] == [(1, 1), (1, 4), (3, 1), (3, 4)]
    for case in report["cases"]:
        ours, theirs = case["ours"], case["transformers"]
        assert theirs.keys() == {"fp32", "bf16"} == ours.keys() - {"int8"} and min(*ours.values(), *theirs.values()) > 0
        assert case["ratios"]["bf16"] == pytest.approx(theirs["bf16"] / ours["bf16"], abs=0.01)
        assert case["agree"]["fp32"] == 1 and case["agree"].keys() == ours.keys()
        assert all(case["ours_quickest"][name] <= ours[name] for name in ours)
        assert case["ratios"]["bf16_to_their_best"] == pytest.approx(min(theirs.values()) / ours["bf16"], abs=0.01)
        assert case["ratios"]["best"] == pytest.approx(min(theirs.values()) / min(ours.values()), abs=0.01)
    assert len(done.stderr.splitlines()) >= 5, "a table for people"
