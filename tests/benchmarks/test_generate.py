"""The speed benchmark runs in its tiny mode, and its numbers hang together."""

from __future__ import annotations

import pytest

from .conftest import ran


def test_a_tiny_run_ends_with_json() -> None:
    pytest.importorskip("transformers")
    report, table = ran("generate.py", "--size", "tiny", "--repeats", "1", "--images", "1", "3", "--threads", "1")
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
    assert len(table.splitlines()) >= 5, "a table for people"
