"""Speed of scoring captions, ours beside pycocoevalcap's with its Java tokeniser, in one run; and rewards a second.

    python benchmarks/score.py                                   # 5,000 captions with 5 references each
    python benchmarks/score.py --items 40 --repeats 1            # does it work at all
    python benchmarks/score.py --alone                           # where Java or pycocoevalcap is missing

Captions are made by a small grammar with a fixed seed: a picture is a subject, an action and a place, told each time
in other words. Both sides tokenise and measure the same texts, and must agree: tokens letter by letter, scores of each
item and of all within 1e-9. Stages are timed in turn, ours and theirs, and the median of each counts. Rewards are
CIDEr-D of captions whose references are prepared, as self-critical training asks for them: 32 pictures with 5 samples,
and all captions at once. The table goes to stderr; the last line of stdout is JSON with seconds, ratios (their time
over ours) and captions a second.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import random
import shutil
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np

from pixtell.evaluation.metrics.bleu import bleu
from pixtell.evaluation.metrics.cider import PreparedCider, cider_d
from pixtell.evaluation.metrics.measure import Measure
from pixtell.evaluation.metrics.rouge import rouge_l

SEED = 5
PICTURES, SAMPLES = 32, 5  # a step of self-critical training
SAME = 1e-9
STAGES = ("tokens", "BLEU", "ROUGE-L", "CIDEr")
P = ParamSpec("P")
T = TypeVar("T")

SUBJECTS = [
    ["a man", "a young man", "someone", "a person in a {color} shirt"],
    ["two dogs", "a pair of dogs", "two {color} dogs", "the dogs"],
    ["a little girl", "a girl in a {color} dress", "the child", "a kid"],
    ["several people", "a group of people", "a crowd", "men and women"],
    ["a cat", "a {color} cat", "the kitten", "a small {color} animal"],
    ["a skier", "a person on skis", "a skier in {color}", "the man's friend"],
]
ACTIONS = [
    ["is riding a bike", "rides a bicycle", "cycles", "on a {color} bike"],
    ["is playing with a ball", "plays with a {color} ball", "chases a ball", "jumps for a ball"],
    ["is sitting and looking at the camera", "sits", "takes a rest", "looks up, sitting"],
    ["is running", "runs fast", "is in mid-air", "sprints"],
    ["is eating", "eats from a {color} plate", "doesn't look up from food", "has a meal"],
]
PLACES = [
    ["on the street", "in the middle of a street", "down a busy road", "in a town"],
    ["in the grass", "on a green lawn", "in a field", "across the field"],
    ["near the water", "on the beach", "at the sea-side", "by the ocean"],
    ["in front of a building", "outside a {color} house", "next to a wall", "near a brick building"],
    ["in the snow", "on a snowy hill", "in deep snow", "on the mountain"],
]
COLORS = ["red", "blue", "white", "black and white", "green", "yellow", "brown"]
ENDS = ["", ".", " .", " .", " while others watch .", ", and people look on.", " on a sunny day ."]


@dataclass(frozen=True)
class Stage:
    """Seconds of one step on both sides; `theirs` is None when ours ran alone."""

    name: str
    ours: float
    theirs: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.theirs is None else round(self.theirs / self.ours, 3)


@dataclass(frozen=True)
class Made:
    """Captions of pictures that were never taken, each with its references."""

    captions: list[str]
    references: list[list[str]]


def make(items: int, references: int) -> Made:
    """Captions that agree about as well as people do; one in three tells of another picture."""
    draw = random.Random(SEED)

    def tell(picture: tuple[list[str], ...]) -> str:
        words = " ".join(draw.choice(ways) for ways in picture).format(color=draw.choice(COLORS))
        return words[0].upper() + words[1:] + draw.choice(ENDS)

    pictures = [tuple(draw.choice(kinds) for kinds in (SUBJECTS, ACTIONS, PLACES)) for _ in range(items)]
    said = [tell(draw.choice(pictures) if draw.random() < 1 / 3 else picture) for picture in pictures]
    return Made(said, [[tell(picture) for _ in range(references)] for picture in pictures])


def our_tokens(made: Made) -> Made:
    from pixtell.evaluation.metrics.ptb import tokenize_all

    tokens = iter(tokenize_all([*made.captions, *(text for several in made.references for text in several)]))
    return Made([next(tokens) for _ in made.captions], [[next(tokens) for _ in several] for several in made.references])


def their_tokens(made: Made) -> Made:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tables = [dict(enumerate([text] for text in made.captions)), dict(enumerate(made.references))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves a pipe open
        said, wanted = (
            PTBTokenizer().tokenize({key: [{"caption": text} for text in texts] for key, texts in table.items()})
            for table in tables
        )
    return Made([said[key][0] for key in said], list(wanted.values()))


def our_measures(stage: str, tokens: Made) -> list[Measure]:
    if stage == "BLEU":
        return bleu(tokens.captions, tokens.references)
    return [{"ROUGE-L": rouge_l, "CIDEr": cider_d}[stage](tokens.captions, tokens.references)]


def their_measures(stage: str, tokens: Made) -> list[tuple[float, Any]]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    wanted, said = dict(enumerate(tokens.references)), {key: [text] for key, text in enumerate(tokens.captions)}
    if stage == "BLEU":
        values, items = Bleu(4).compute_score(wanted, said, verbose=0)
        return list(zip(values, items, strict=True))
    return [{"ROUGE-L": Rouge, "CIDEr": Cider}[stage]().compute_score(wanted, said)]


def timed(run: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> tuple[float, T]:
    """The seconds that a call took, and what it returned."""
    start = time.perf_counter()
    found = run(*arguments, **options)
    return time.perf_counter() - start, found


def check_tokens(ours: Made, theirs: Made) -> None:
    if ours != theirs:
        raise SystemExit("error: the tokens of both sides differ; speed means nothing until they agree")


def check_measures(ours: Sequence[Measure], theirs: Sequence[tuple[float, Any]]) -> None:
    for measure, (value, items) in zip(ours, theirs, strict=True):
        apart = max(abs(measure.value - value), float(np.abs(measure.items_N - np.asarray(items)).max()))
        if apart > SAME:
            raise SystemExit(f"error: {measure.name} differs by {apart:g}; speed means nothing until both sides agree")


def stages(made: Made, repeats: int, alone: bool) -> tuple[list[Stage], Made, dict[str, float]]:
    """Seconds of each stage on both sides, which must agree; and the tokens and scores that they found."""
    ours: dict[str, list[float]] = {name: [] for name in STAGES}
    theirs: dict[str, list[float]] = {name: [] for name in STAGES}
    values: dict[str, float] = {}
    for _ in range(repeats):
        seconds, tokens = timed(our_tokens, made)
        ours["tokens"].append(seconds)
        if not alone:
            seconds, other = timed(their_tokens, made)
            theirs["tokens"].append(seconds)
            check_tokens(tokens, other)
        for name in STAGES[1:]:
            seconds, measures = timed(our_measures, name, tokens)
            ours[name].append(seconds)
            values |= {measure.name: round(measure.value, 6) for measure in measures}
            if not alone:
                seconds, found = timed(their_measures, name, tokens)
                theirs[name].append(seconds)
                check_measures(measures, found)
    median = statistics.median
    rows = [
        Stage(name, round(median(ours[name]), 4), None if alone else round(median(theirs[name]), 4)) for name in STAGES
    ]
    total = Stage("all", round(sum(row.ours for row in rows), 4), None)
    if not alone:
        total = Stage("all", total.ours, round(sum(row.theirs or 0.0 for row in rows), 4))
    return [*rows, total], tokens, values


def rewards(tokens: Made, seconds: float) -> dict[str, int]:
    """Captions a second whose prepared CIDEr-D is known, by the size of the batch."""
    prepared = PreparedCider.of(tokens.references)
    draw = np.random.default_rng(SEED)
    found = {}
    for size in (PICTURES * SAMPLES, len(tokens.captions)):
        count, spent = 0, 0.0
        while spent < seconds:
            places = np.sort(draw.integers(len(prepared), size=size))
            captions = [tokens.captions[place] for place in draw.permutation(places)]
            spent += timed(prepared.score, places, captions)[0]
            count += size
        found[str(size)] = round(count / spent)
    return found


def line(stage: Stage) -> str:
    """A stage for a person: seconds on both sides, and how many times faster ours is."""
    theirs = "" if stage.theirs is None else f"{stage.theirs:>16.2f}{stage.ratio:>9.1f}x"
    return f"{stage.name:<10}{stage.ours:>8.2f}{theirs}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Speed of scoring captions beside pycocoevalcap.")
    parser.add_argument("--items", type=int, default=5_000, help="captions that are scored")
    parser.add_argument("--references", type=int, default=5, help="references of each")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each; the median counts")
    parser.add_argument("--alone", action="store_true", help="don't run pycocoevalcap")
    options = parser.parse_args(arguments)
    if not options.alone:
        if importlib.util.find_spec("pycocoevalcap") is None:
            print("error: pycocoevalcap is not installed: pip install pycocoevalcap==1.2", file=sys.stderr)
            return 1
        if shutil.which("java") is None:
            print("error: there is no java on the PATH, which pycocoevalcap needs; or use --alone", file=sys.stderr)
            return 1
    made = make(options.items, options.references)
    rows, tokens, values = stages(made, options.repeats, options.alone)
    print(
        f"{'seconds':<10}{'ours':>8}" + ("" if options.alone else f"{'pycocoevalcap':>16}{'faster':>10}"),
        file=sys.stderr,
    )
    for row in rows:
        print(line(row), file=sys.stderr)
    speeds = rewards(tokens, seconds=min(2.0, options.items / 1_000))
    for size, speed in speeds.items():
        print(f"{speed:,} rewards a second, {size} captions at a time", file=sys.stderr)
    words = [len(text.split()) for text in tokens.captions]
    report = {
        "benchmark": "score",
        "items": options.items,
        "references": options.references,
        "words_a_caption": round(statistics.mean(words), 2),
        "repeats": options.repeats,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "equal_to_pycocoevalcap": None if options.alone else True,
        "scores": values,
        "stages": [{**asdict(row), "ratio": row.ratio} for row in rows],
        "rewards_per_second": speeds,
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
