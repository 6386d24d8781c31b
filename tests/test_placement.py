"""Number types and devices by name, and what a model that is ready computes in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pixtell
from pixtell import packed, placement
from pixtell.errors import ConfigError
from pixtell.placement import DTYPES, choose_dtype

CPU = torch.device("cpu")


def test_auto_on_a_cpu_is_exact() -> None:
    assert choose_dtype("auto", CPU) == torch.float32


def test_a_captioner_tells_what_it_computes_in(tiny_model: Path, photos: list[Path]) -> None:
    for dtype in DTYPES:
        try:
            captioner = pixtell.load(str(tiny_model), device="cpu", dtype=dtype)
        except ConfigError as error:
            assert dtype == "int8" and "bfloat16 or float32" in str(error)
            continue
        assert captioner.dtype == dtype
        if dtype != "float16":  # slow or missing on many processors
            captions = captioner.caption(photos, beams=2, max_new_tokens=4)
            assert [one.source for one in captions] == [str(photo) for photo in photos]
            assert captions[1].text == captioner.caption(photos[1], beams=2, max_new_tokens=4).text
            assert captioner.classify(photos[0], ["dog", "cat"]).probability > 0.5


def test_int8_elsewhere_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cuda: use bfloat16"):
        choose_dtype("int8", torch.device("cuda"))

    def none_here() -> None:
        raise ConfigError("dtype 'int8' needs an x86 processor")

    monkeypatch.setattr(placement, "require_int8", none_here)
    with pytest.raises(ConfigError, match="needs an x86 processor"):
        pixtell.load(device="cpu", dtype="int8")


def test_bfloat16_without_units_stays_plain(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "has_bfloat16_units", lambda: False)
    model = pixtell.load(str(tiny_model), device="cpu", dtype="bfloat16").model
    assert not any(isinstance(module, packed.PackedLinear) for module in model.modules())
