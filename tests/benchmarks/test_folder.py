"""The folder benchmark runs in its tiny mode, and its numbers hang together."""

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
    command = [sys.executable, str(ROOT / "benchmarks" / "folder.py"), "--size", "tiny", "--pictures", "6"]
    command += ["--beams", "1", "--ours", "float32", "--theirs", "float32", "--workers", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    rates = {one["side"]: one["median"] for one in report["pictures_a_second"]}
    assert set(rates) == {"transformers", "pixtell", "pixtell, model alone"} and min(rates.values()) > 0
    assert report["pictures"] == 6 and report["kilobytes_a_picture"] > 20
    assert report["faster_1_beams"] == pytest.approx(rates["pixtell"] / rates["transformers"], abs=0.01)
    assert report["of_model_alone_1_beams"] == pytest.approx(rates["pixtell"] / rates["pixtell, model alone"], abs=0.01)
