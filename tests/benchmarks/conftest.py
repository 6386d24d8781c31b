"""Benchmarks as their users run them: a process each, a table on stderr, JSON in the last line of stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600  # seconds; a process imports torch and transformers, on a machine that may be busy


def ran(script: str, *words: str) -> tuple[dict[str, Any], str]:
    """What a script of benchmarks/ found, and what it told."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "benchmarks" / script), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr
