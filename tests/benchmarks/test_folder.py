"""The folder benchmark runs in its tiny mode, and its numbers hang together."""

from __future__ import annotations

import pytest

from .conftest import ran


def test_a_tiny_run_ends_with_json() -> None:
    pytest.importorskip("transformers")
    words = ("--beams", "1", "--ours", "float32", "--theirs", "float32", "--workers", "1")
    report, _ = ran("folder.py", "--size", "tiny", "--pictures", "6", *words)
    rates = {one["side"]: one["median"] for one in report["pictures_a_second"]}
    assert set(rates) == {"transformers", "pixtell", "pixtell, model alone"} and min(rates.values()) > 0
    assert report["pictures"] == 6 and report["kilobytes_a_picture"] > 20
    assert report["faster_1_beams"] == pytest.approx(rates["pixtell"] / rates["transformers"], abs=0.01)
    assert report["of_model_alone_1_beams"] == pytest.approx(rates["pixtell"] / rates["pixtell, model alone"], abs=0.01)
