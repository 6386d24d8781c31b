"""What goes through a cluster together: parts that are the same after a kill, and what machines do with them."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixtell.batch.decode import Seen, Wish
from pixtell.batch.inputs import list_items
from pixtell.batch.item import Item
from pixtell.batch.ray_parts import ATTEMPTS, Part, Plan, Site, Telling, opened, told_once
from pixtell.batch.row import Row
from pixtell.config import PixelConfig
from pixtell.data.opened import Looks
from pixtell.errors import InputError, PixtellError
from pixtell.media import Media

WISH = Wish(Looks(frames=2), PixelConfig(size=32))
PICTURE = Media((Image.new("RGB", (1, 1)),), "", (0.0,))


@dataclass(frozen=True)
class Deadly:
    """A place that kills whoever reads it."""

    def read(self) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    def stamp(self) -> tuple[int, int]:
        return 1, 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "marks").mkdir()
    return Site(Path.cwd(), tmp_path / "marks")


def items_of(folder: Path) -> tuple[Item, ...]:
    return list_items([str(folder)]).items


def parts_of(folder: Path, asked: Sequence[Item] | None = None, settings: str = "{}") -> list[Part]:
    items = items_of(folder)
    return Plan(items, 4, settings, folder.parent / "parts.json").parts(items if asked is None else asked)


def names(parts: Sequence[Part]) -> list[list[str]]:
    return [[item.relative for item in part.items] for part in parts]


# ---- the parts


def test_parts_are_the_same_when_some_of_their_items_are_known(folder: Path) -> None:
    whole = parts_of(folder)
    assert names(whole) == [[f"{n}.png" for n in part] for part in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9])]
    assert len({part.key for part in whole}) == 3
    assert parts_of(folder, asked=items_of(folder)[6:]) == whole[1:]
    assert parts_of(folder, asked=items_of(folder)[6:]) == whole[1:], "and again"


def test_a_file_that_changed_or_came_is_cut_anew(folder: Path) -> None:
    whole = parts_of(folder)
    Image.new("RGB", (50, 50)).save(folder / "5.png")
    Image.new("RGB", (50, 50)).save(folder / "3b.png")
    again = parts_of(folder)
    assert again[0] == whole[0] and again[-1] == whole[2]
    assert names(again[1:-1]) == [["3b.png", "4.png", "5.png", "6.png"], ["7.png"]]
    (folder / "8.png").unlink()
    assert names(parts_of(folder)) == [*names(again[:-1]), ["9.png"]]


def test_a_part_that_vanished_is_another_when_it_is_back(folder: Path) -> None:
    items = items_of(folder)
    content = (folder / "9.png").read_bytes()
    (folder / "9.png").unlink()
    plan = Plan(items, 4, "{}", folder.parent / "parts.json")
    gone = plan.parts(items)
    (folder / "9.png").write_bytes(content)
    back = plan.parts(items)
    assert back[:2] == gone[:2] and back[2].key != gone[2].key and back[2].items == gone[2].items


def test_other_settings_are_other_parts(folder: Path) -> None:
    one, other = parts_of(folder), parts_of(folder, settings='{"beams": 1}')
    assert names(one) == names(other) and not {part.key for part in one} & {part.key for part in other}


# ---- on the machines


def test_a_medium_that_kills_its_reader_becomes_a_row(folder: Path, site: Site) -> None:
    items = (*items_of(folder)[:2], Item("deadly.jpg", Deadly(), "deadly.jpg"))
    with site.attempt("key.opened", items) as died:  # as a process that died leaves it
        assert died == 0
        (site.marks / "key.opened").rename(site.marks / "kept")
    (site.marks / "kept").rename(site.marks / "key.opened")
    seen = pickle.loads(opened({"part": "key", "items": pickle.dumps(items)}, WISH, site)["seen"])
    assert [one.item for one in seen] == list(items)
    assert [isinstance(one.outcome, Media) for one in seen] == [True, True, False]
    assert seen[2].outcome.code == "crashed"
    assert not list(site.marks.iterdir()), "what is done leaves no mark"


def test_a_model_that_dies_again_and_again_ends_the_job(site: Site) -> None:
    telling = Telling(lambda device: Asked(), "cpu", 8, Teller(), site)  # type: ignore[arg-type, return-value]
    row = {"part": "key", "seen": pickle.dumps([Seen(Item("a.jpg", Deadly(), "a.jpg"), PICTURE, "1")])}
    (site.marks / "key.told").write_bytes(b"." * (ATTEMPTS - 1))
    assert '"text": "1"' in telling(row)["outcomes"]
    (site.marks / "key.told").write_bytes(b"." * ATTEMPTS)
    with pytest.raises(PixtellError, match=r"^4 processes died at the 1 inputs from 'a.jpg' on"):
        telling(row)


def test_a_machine_without_the_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(PixtellError, match=r"nowhere: No such file .* a cluster's machines must share the folder"):
        Site(tmp_path / "nowhere", tmp_path).enter()


class Asked:
    """Stands for a model."""

    batch_size = 1


class Teller:
    """Tells a medium's digest; the content `bad` fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def rows(self, captioner: Any, seen: Sequence[Seen]) -> list[Row]:
        self.asked += [one.item.name for one in seen]
        return [
            Row(one.item.name, "error", code="frames", message=f"{one.item.name}: too many", sha256="bad")
            if one.sha256 == "bad"
            else Row(one.item.name, text=one.sha256, sha256=one.sha256)
            for one in seen
        ]


def test_equal_contents_are_told_once_but_fail_by_their_own_names() -> None:
    digests = {"a": "1", "b": "bad", "c": "1", "d": "bad", "e": "2"}
    seen = [Seen(Item(name, Deadly(), name), PICTURE, digest) for name, digest in digests.items()]
    seen.insert(2, Seen(Item("broken", Deadly(), "broken"), InputError("broken", "broken: it is"), "3"))
    teller = Teller()
    rows = list(told_once(teller, Asked(), seen))  # type: ignore[arg-type]
    assert teller.asked == ["a", "b", "e", "d"]
    assert [(row.name, row.text or row.message) for row in rows] == [
        ("a", "1"),
        ("b", "b: too many"),
        ("broken", "broken: it is"),
        ("c", "1"),
        ("d", "d: too many"),
        ("e", "2"),
    ]
