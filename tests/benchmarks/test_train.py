"""The training benchmark runs in its tiny mode, and its numbers hang together."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .conftest import ROOT, ran


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module; scripts of that folder import each other."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("benchmark_train", ROOT / "benchmarks" / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_train", module)
    spec.loader.exec_module(module)
    return module


def test_a_tiny_run_ends_with_json() -> None:
    pytest.importorskip("transformers")
    words = ("--images", "2", "--texts", "1", "3", "--threads", "1")
    report, table = ran("train.py", "--size", "tiny", "--repeats", "3", *words)
    assert report["losses_agree"] is True and report["threads"] == 1
    assert [(case["images"], case["texts"]) for case in report["cases"]] == [(2, 1), (2, 3)]
    for case in report["cases"]:
        ours, theirs = case["ours"], case["transformers"]
        assert case["losses_apart"] <= 1e-5 and ours.keys() == theirs.keys() == {"fp32", "bf16"}
        for one in (*ours.values(), *theirs.values()):
            assert 0 < one["wall_quickest"] <= one["wall"] and 0 < one["cpu_quickest"] <= one["cpu"]
            # As seconds: they are told to a tenth of a millisecond, which is much of a tiny step.
            assert 2 * case["texts"] / one["texts_per_second"] == pytest.approx(one["wall"], abs=1e-4)
            assert one["memory_mib"] > 50, "a process that has imported torch is larger"
        best = min(t["cpu"] for t in theirs.values()) / min(t["cpu"] for t in ours.values())
        assert case["ratios"]["best_cpu"] == pytest.approx(best, rel=0.01)
        assert case["ratios"]["bf16_wall"] == pytest.approx(theirs["bf16"]["wall"] / ours["bf16"]["wall"], rel=0.01)
    one, three = (case["ours"]["fp32"]["texts_per_second"] for case in report["cases"])
    assert report["captions_a_second_last_to_first"]["fp32"] == pytest.approx(three / one, abs=1e-3)
    assert len(table.splitlines()) >= 11, "a table for people"


def test_sides_that_differ_are_not_timed(train: ModuleType) -> None:
    losses = {"ours": 2.0, "transformers": 2.0001}
    with pytest.raises(SystemExit, match=r"losses 2\.0000000 and 2\.0001000 differ"):
        train.losses_apart(lambda side, work: train.Done(losses[side], 1.0, 1.0, 1.0), 2, 1)


def test_sides_take_turns_and_the_first_steps_do_not_count(train: ModuleType) -> None:
    asked: list[tuple[str, str]] = []

    def ask(side: str, work: object) -> object:
        assert isinstance(work, train.Work) and work.learn and (work.images, work.texts) == (2, 5)
        asked.append((side, work.type))
        warm = len(asked) <= 4
        return train.Done(1.0, 99.0 if warm else {"ours": 1.0, "transformers": 3.0}[side], 2.0, 7.0)

    case = train.measure(ask, 2, 5, 0.0, ("fp32", "bf16"), 3)
    turn = [("ours", "fp32"), ("transformers", "fp32"), ("ours", "bf16"), ("transformers", "bf16")]
    assert asked == [*turn, *turn, *turn[::-1], *turn]
    assert case.ratios["best_wall"] == 3.0 and case.ratios["best_cpu"] == 1.0 and case.ratios["memory"] == 1.0
    assert case.ours["fp32"].texts_per_second == 10.0


def test_a_peak_is_forgotten_and_found(train: ModuleType) -> None:
    """Freed memory counts while it is held, and after the peak was forgotten no more (where Linux lets it be)."""
    held = bytearray(b"x" * 200 * train.MIB)
    high = train.peak()
    del held
    assert train.peak() == pytest.approx(high, rel=0.05)
    train.forget_peak()
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux forgets a peak")
    assert train.peak() < high - 100
