"""What is told of a long run: one line that holds its pace, its counts and its latest result."""

from __future__ import annotations

import json

import pytest

from pixtell.cli import progress as module
from pixtell.cli.progress import Pace, State, clock, line, progress


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3600, "1:00:00"), (90061, "25:01:01")],
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_line_holds_everything() -> None:
    state = State(1200, 50_000, (("ok", 1190), ("skipped", 0), ("failed", 10)), ("a\tb.jpg", "a dog"))
    assert line(state, 4.0) == "1,200 of 50,000, 4.0 a second, 3:23:20 left, 1,190 ok, 10 failed; a?b.jpg: a dog"
    assert line(State(0, 5), 0.0) == "0 of 5"


def test_the_pace_forgets_what_is_long_ago_and_what_was_there() -> None:
    pace = Pace()
    assert pace.add(1000, 10.0) == 0.0
    assert pace.add(1010, 20.0) == 1.0
    assert pace.add(1010 + 500, 120.0) == pytest.approx(510 / 110)
    assert pace.add(1510 + 500, 220.0) == pytest.approx(1000 / 200), "from the last moment before the two minutes"


def test_lines_come_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with progress() as tell:
        for done in range(40):
            now += 1.0
            tell(State(done, 40))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"pixtell: {done} of 40, 1.0 a second, 0:{40 - done:02} left" for done in (9, 19, 29, 39)]


def test_json_is_a_line_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with progress(as_json=True) as tell:
        tell(State(0, 4, (("ok", 0),)))
        now = 2.0
        tell(State(1, 4, (("ok", 1),), ("ä.jpg", "a dog")))
    first, second = (json.loads(one)["progress"] for one in capsys.readouterr().err.splitlines())
    assert first == {"done": 0, "total": 4, "ok": 0, "a_second": 0.0}
    assert second == {
        "done": 1,
        "total": 4,
        "ok": 1,
        "a_second": 0.5,
        "seconds_left": 6,
        "latest": {"name": "ä.jpg", "text": "a dog"},
    }


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as tell:
        tell(State(1, 2))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_one_live_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    with progress() as tell:
        tell(State(1, 2, (), ("photo.jpg", "a very long caption that does not fit the line")))
    *_, shown = (part.strip() for part in capsys.readouterr().err.splitlines() if part.strip("\x1b[?25hl "))
    assert "1 of 2; photo.jpg: a very long" in shown and "does not fit" not in shown and "…" in shown
