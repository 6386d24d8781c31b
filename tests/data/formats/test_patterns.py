"""Braces and stars in names of shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.data.formats.patterns import expand
from pixtell.errors import InputError

from .made import touch


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("t-{008..011}.tar", ["t-008.tar", "t-009.tar", "t-010.tar", "t-011.tar"]),
        ("t-{8..10}.tar", ["t-8.tar", "t-9.tar", "t-10.tar"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("{train,}.json", ["train.json", ".json"]),
        ("{x}.json", ["{x}.json"]),
        ("plain.json", ["plain.json"]),
    ],
)
def test_braces(pattern: str, names: list[str]) -> None:
    assert expand([pattern]) == [Path(name) for name in names]


def test_stars_are_looked_up_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b-1.tar", "a-2.tar", "a-1.tar", "a-1.json", "sub/a-3.tar")
    assert expand([tmp_path / "b-*.tar", str(tmp_path / "a-*.tar")]) == [
        tmp_path / name for name in ("b-1.tar", "a-1.tar", "a-2.tar")
    ]
    assert expand([str(tmp_path / "**" / "*-{2..3}.tar")]) == [tmp_path / "a-2.tar", tmp_path / "sub/a-3.tar"]


def test_a_file_that_is_called_so_comes_first(tmp_path: Path) -> None:
    touch(tmp_path, "[1].tar", "{0..1}.tar", "1.tar")
    assert expand([tmp_path / "[1].tar", tmp_path / "{0..1}.tar"]) == [tmp_path / "[1].tar", tmp_path / "{0..1}.tar"]


@pytest.mark.parametrize("pattern", ["none-*.tar", "{5..3}.tar", "{0..99999999}.tar"])
def test_patterns_of_nothing(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InputError) as caught:
        expand([tmp_path / pattern])
    assert caught.value.code == "missing" and pattern in str(caught.value)
