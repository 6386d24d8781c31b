"""Which frames are looked at: of a whole clip, and of a stretch of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixtell.errors import ConfigError
from pixtell.look import WHOLE, Look, Timeline, pick


def slow_pick(starts: Sequence[int], end: int, frames: int) -> list[int]:
    """Look at every moment in turn: which frame was the last to come on screen by then?"""
    picks = []
    for part in range(frames):
        middle = starts[0] + Fraction(2 * part + 1, 2) * Fraction(end - starts[0], frames)
        on_screen = 0
        for index, start in enumerate(starts):
            if start <= middle:
                on_screen = index
        picks.append(on_screen)
    return picks


@settings(max_examples=60)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(-100, 100), st.integers(1, 12))
def test_uniform_takes_the_frame_on_screen_in_the_middle_of_each_part(gaps: list[int], first: int, frames: int) -> None:
    starts = [first + sum(gaps[:i]) for i in range(len(gaps))]
    end = first + sum(gaps)
    picks = pick(starts, end, Look("clip", frames=frames))
    assert picks == slow_pick(starts, end, frames)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0, 0, 0, 0, 0, 0]),
        (3, [0, 0, 1, 1, 2, 2]),
        (6, [0, 1, 2, 3, 4, 5]),
        (7, [0, 1, 2, 4, 5, 6]),
        (12, [1, 3, 5, 7, 9, 11]),
        (300, [25, 75, 125, 175, 225, 275]),
    ],
)
def test_uniform_of_evenly_spaced_frames(count: int, expected: list[int]) -> None:
    assert pick(range(count), count, Look("clip")) == expected


@settings(max_examples=60)
@given(st.integers(25, 5000), st.integers(0, 2**32 - 1))
def test_a_window_is_the_hubs(count: int, seed: int) -> None:
    """As the docstring of transformers' GitForCausalLM samples six frames, written with the global random state."""
    state = np.random.get_state()
    np.random.seed(seed)
    last = np.random.randint(24, count)
    np.random.set_state(state)
    expected = np.linspace(last - 24, last, num=6).clip(last - 24, last - 1).astype(np.int64)
    assert pick(range(count), count, Look("clip", sampling="window", seed=seed)) == expected.tolist()


@pytest.mark.parametrize(
    ("count", "expected"),
    [(24, [0, 4, 9, 14, 19, 23]), (23, [0, 4, 9, 13, 18, 22]), (3, [0, 0, 1, 1, 2, 2]), (1, [0] * 6)],
)
def test_a_clip_no_longer_than_the_window_is_taken_whole(count: int, expected: list[int]) -> None:
    for seed in range(5):
        assert pick(range(count), count, Look("clip", sampling="window", seed=seed)) == expected


def test_the_window_grows_with_the_frames_wanted() -> None:
    picks = pick(range(1000), 1000, Look("clip", frames=8, sampling="window", seed=3))
    assert len(picks) == 8
    assert picks[-1] - picks[0] == 31


TICK = Fraction(1, 10)


def slow_choose(starts: Sequence[int], end: int, span: tuple[int, int], frames: int) -> list[int]:
    """Look at every moment in turn, as `slow_pick`, of a stretch given in ticks from the first frame."""
    first, last = starts[0] + span[0], min(starts[0] + span[1], end)
    picks = []
    for part in range(frames):
        middle = first + Fraction(2 * part + 1, 2) * Fraction(last - first, frames)
        picks.append(max(index for index, start in enumerate(starts) if start <= middle))
    return picks


@settings(max_examples=100)
@given(
    gaps=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    first=st.integers(-100, 100),
    frames=st.integers(1, 8),
    data=st.data(),
)
def test_a_stretch_is_looked_at_as_a_clip_of_its_own(
    gaps: list[int], first: int, frames: int, data: st.DataObject
) -> None:
    timeline = Timeline([first + sum(gaps[:i]) for i in range(len(gaps))], (), TICK)
    begin = data.draw(st.integers(0, timeline.end - first - 1))
    end = data.draw(st.integers(begin + 1, timeline.end - first + 30))
    chosen = timeline.choose((begin / 10, end / 10), Look("clip", frames=frames))
    assert chosen == slow_choose(timeline.starts, timeline.end, (begin, end), frames)
    whole = timeline.choose((0.0, timeline.duration), Look("clip", frames=frames))
    assert whole == timeline.choose(WHOLE, Look("clip", frames=frames))
    assert whole == pick(timeline.starts, timeline.end, Look("clip", frames=frames))


@pytest.mark.parametrize("seed", range(5))
def test_a_random_window_lies_in_its_stretch(seed: int) -> None:
    look = Look("clip", frames=2, sampling="window", seed=seed)
    timeline = Timeline(range(7, 1007), (), TICK)
    chosen = timeline.choose((30.0, 40.0), look)
    assert chosen == [300 + place for place in pick(range(100), 100, look)]
    assert timeline.choose(WHOLE, look) == pick(range(1000), 1000, look)
    short = Look("clip", frames=3, sampling="window", seed=seed)  # 12 frames, of a stretch that has 10: all of it
    assert timeline.choose((30.0, 31.0), short) == [300, 305, 309]


def test_a_slide_belongs_to_every_stretch_that_shows_it() -> None:
    slides = Timeline([0, 200, 400], (), TICK)  # one every 20 seconds
    shown = [slides.choose((start, start + 5.0), Look("clip", frames=2)) for start in (0.0, 15.0, 17.5, 20.0, 55.0)]
    assert shown == [[0, 0], [0, 0], [0, 1], [1, 1], [2, 2]]


def test_times_are_taken_by_their_decimals() -> None:
    """As floats, 0.3 seconds lie a little before the third tick of 0.1."""
    timeline = Timeline(range(10), (), TICK)
    assert [timeline.choose((k / 10, (k + 1) / 10), Look("clip", frames=1)) for k in range(10)] == [
        [k] for k in range(10)
    ]


def test_a_clip_is_as_long_as_its_frames_say() -> None:
    assert Timeline([50, 51, 52, 57], (), TICK).duration == 0.8  # the last stays for a typical gap, 1 tick
    assert Timeline([-3], (), TICK).duration == 0.1
    assert Timeline([20, 30], (), Fraction(1, 3)).seconds(30) == 10 / 3


def test_all_that_is_wrong_with_a_wish_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"(?s)frames.*got 0.*max_pixels.*got 0.*sampling.*'first'.*seed.*got -1"):
        Look("clip", frames=0, max_pixels=0, sampling="first", seed=-1)  # type: ignore[arg-type]
