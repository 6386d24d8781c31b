"""METEOR against pycocoevalcap and its jar, and what is said where Java or a jar is missing or fails.

SPICE's real program was not run: CoreNLP's jars are not here. A `java` that writes its JSON stands for it.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixtell.errors import ConfigError, MissingExtraError, PixtellError
from pixtell.evaluation.metrics import official
from pixtell.evaluation.metrics.measure import Measure
from pixtell.evaluation.metrics.official import CHUNKS, CORENLP, COUNTS, MATCHED, STAGES, meteor, spice

CANDIDATES = [
    "a dog runs on the grass",
    "a man is riding a bicycle down the street",
    "two kids playing football in the park",
    "a black and white cat",
    "a a a a",
    "",
    "café au lait , s'il vous plaît",
    "zebra",
    "the dog is running on grass",
]
REFERENCES = [
    ["a dog runs on the grass", "the dog is running"],
    ["a person rides a bike on a road", "a man rides his bicycle along the street", "cyclist in town"],
    ["children play soccer", "two children are playing a game of football in a park"],
    ["the white and black cat sleeps", "a cat"],
    ["a", "a a"],
    ["a boat on a lake", "a long boat"],
    ["café au lait"],
    ["", "a plane"],
    ["a dog runs on the grass", "grass"],
]
ODD, ODD_REFERENCES = "a ||| dog\nruns |||| on\rthe\u2028grass \ud800\x00", ["EVAL |||\n1", "a dog runs on the grass"]
# What pycocoevalcap makes of texts, then what its jar makes of counts, each line's items and then their sums.
PYCOCOEVALCAP = """
import json, sys
from pycocoevalcap.meteor.meteor import Meteor
asked = json.load(sys.stdin)
scorer = Meteor()
texts = dict(enumerate(asked["references"])), {n: [text] for n, text in enumerate(asked["candidates"])}
answered = [scorer.compute_score(*texts)]
for lines in asked["counts"]:
    scorer.meteor_p.stdin.write(("EVAL ||| " + " ||| ".join(lines) + "\\n").encode())
    scorer.meteor_p.stdin.flush()
    *items, value = [float(scorer.meteor_p.stdout.readline()) for _ in range(len(lines) + 1)]
    answered.append((value, items))
json.dump(answered, sys.stdout)
"""
# Answers as SPICE does: an item's F is the share of its words that the first reference has. `HOW` makes it fail.
FAKE_JAVA = """#!{python}
import json, os, sys, time
how, arguments = os.environ.get("HOW", ""), sys.argv[1:]
if arguments == ["-version"]:
    sys.exit(print('openjdk version "' + os.environ.get("VERSION", "1.8.0_101") + '"', file=sys.stderr))
open(os.environ["LOG"], "w").write(json.dumps([os.getpid(), arguments]))
if how == "hang":
    time.sleep(60)
if how == "fail":
    print("Error: Could not score\\njava.lang.NullPointerException: no engine\\n\\tat edu.anu.X", file=sys.stderr)
    sys.exit(1)
print("SPICE evaluation took: 1 s")
if how != "silent" and "-out" in arguments:
    items = json.load(open(arguments[arguments.index("edu.anu.spice.SpiceScorer") + 1]))
    scores = []
    for item in reversed(items):
        words = item["test"].split()
        share = sum(word in item["refs"][0].split() for word in words) / len(words)
        scores.append(dict(image_id=item["image_id"], scores=dict(All=dict(f=share or None, pr=1, re=1))))
    if how == "few":
        scores = scores[1:]
    with open(arguments[arguments.index("-out") + 1], "w") as file:
        file.write("{{" if how == "garbled" else json.dumps(scores, indent=2))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pycocoevalcap that has its jars, and CoreNLP's, all of them empty."""
    folder = tmp_path / "pycocoevalcap"
    for name in ("meteor/meteor-1.5.jar", "spice/spice-1.0.jar", *(f"spice/lib/{jar}" for jar in CORENLP)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    spec = importlib.machinery.ModuleSpec("pycocoevalcap", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    return folder


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[int, list[str]]]:
    """A `java` that is the only program on the PATH; calling it gives the last one's process and arguments."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text(FAKE_JAVA.format(python=sys.executable))
    program.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def last() -> tuple[int, list[str]]:
        process, arguments = json.loads((tmp_path / "log").read_text())
        assert list(scratch.iterdir()) == [], "files are left behind"
        return process, arguments

    return last


def made_counts(seed: int, items: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Counts as METEOR might make them: few or no matches, and some candidates that are their reference."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (items, COUNTS)).astype(np.float64)
    counts[:, :2] = rng.integers(0, 30, (items, 2))
    counts[:, 2:4] = np.minimum(counts[:, :2], counts[:, 2:4])
    same = rng.random(items) < 0.3
    counts[same, :4] = [6, 6, 2, 2]
    counts[same, STAGES:CHUNKS] = [4, 4, 2, 2] + [0] * 12
    counts[same, CHUNKS:] = [1, 6, 6]
    counts[rng.random(items) < 0.2, STAGES:] = 0
    return counts


def written(counts: np.ndarray[Any, np.dtype[np.float64]]) -> list[str]:
    """Counts as METEOR writes them, a line an item."""
    return [" ".join(map(str, row)) for row in counts.tolist()]


MADE = [made_counts(seed, items) for seed, items in [(1, 100), (2, 1), (3, 7), (4, 30)]]


@dataclass(frozen=True)
class Both:
    """METEOR of the texts by us, with an odd item at the end, and by pycocoevalcap, with the made counts after it."""

    ours: Measure
    theirs: list[tuple[float, list[float]]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    if importlib.util.find_spec("pycocoevalcap") is None:
        pytest.skip("pycocoevalcap is not installed")
    if shutil.which("java") is None:
        pytest.skip("there is no java on the PATH")
    asked, answered = (tmp_path_factory.mktemp("pycocoevalcap") / name for name in ("asked", "answered"))
    counts = [written(counts) for counts in MADE]
    asked.write_text(json.dumps({"candidates": CANDIDATES, "references": REFERENCES, "counts": counts}))
    # Java needs 7 s to start, so both start at once.
    with asked.open() as questions, answered.open("w") as answers:
        command = [sys.executable, "-W", "ignore", "-c", PYCOCOEVALCAP]
        with subprocess.Popen(command, stdin=questions, stdout=answers) as process:
            ours = meteor([*CANDIDATES, ODD], [*REFERENCES, ODD_REFERENCES])
    assert process.returncode == 0
    return Both(ours, json.loads(answered.read_text()))


def test_meteor_is_that_of_pycocoevalcap(both: Both) -> None:
    value, items = both.theirs[0]
    alike = both.ours.select(range(len(CANDIDATES)))
    assert list(alike.items_N) == pytest.approx(items, rel=1e-14, abs=0)
    assert alike.value == pytest.approx(value, rel=1e-14, abs=0)
    assert alike.value != pytest.approx(np.mean(items), rel=1e-3), "it is no mean"
    assert items[5] == 0 and items[0] == 1


def test_what_the_protocol_is_made_of_does_no_harm(both: Both) -> None:
    assert both.ours.name == "METEOR" and len(both.ours) == len(CANDIDATES) + 1
    assert 0.5 < both.ours.items_N[-1] < 1


@pytest.mark.parametrize("which", range(len(MADE)))
def test_sums_are_scored_as_the_jar_scores_them(both: Both, which: int) -> None:
    value, items = both.theirs[1 + which]
    counts_NK = official._counts("\n".join(written(MADE[which])), len(items))
    assert list(official._meteor(counts_NK)) == pytest.approx(items, rel=1e-14, abs=0)
    assert float(official._meteor(counts_NK.sum(0))) == pytest.approx(value, rel=1e-14, abs=0)


def test_meteor_of_nothing_starts_no_java(package: Path, java: Callable[[], tuple[int, list[str]]]) -> None:
    found = meteor([], [])
    assert len(found) == 0 and np.isnan(found.value)
    with pytest.raises(FileNotFoundError):
        java()


@pytest.mark.parametrize(("chunks", "score"), [(1, 1.0), (3, 0.4)])
def test_one_chunk_of_all_words_is_not_fined(chunks: int, score: float) -> None:
    """Three words that match in one piece, or (1 - gamma) each for itself."""
    counts = np.zeros((1, COUNTS))
    counts[0, [0, 1, STAGES, STAGES + 1, MATCHED, MATCHED + 1]] = 3
    counts[0, CHUNKS] = chunks
    assert official._meteor(official._counts(*written(counts), 1)) == pytest.approx([score])


def test_spice_reads_what_java_wrote(
    package: Path, java: Callable[[], tuple[int, list[str]]], capfd: pytest.CaptureFixture[str]
) -> None:
    candidates = ["a cat", "", "a dog", " ", "x", "é ||| \ud800", "cat"]
    references = [["a cat"], ["a"], ["a cat", "dog"], [""], ["y"], ["", "é"], ["", " "]]
    found = spice(candidates, references)
    assert capfd.readouterr() == ("", "")
    assert found.name == "SPICE"
    assert list(found.items_N) == pytest.approx([1, 0, 0.5, 0, 0, 1 / 3, 0])
    assert found.value == pytest.approx(found.items_N.mean())
    _, arguments = java()
    classes = os.pathsep.join([str(package / "spice" / "spice-1.0.jar"), str(package / "spice" / "lib" / "*")])
    assert arguments[:4] == ["-Xmx8G", "-cp", classes, "edu.anu.spice.SpiceScorer"]
    assert "-cache" not in arguments and arguments[-1] == "-silent"
    assert list(spice(["", " "], [["a"], ["a"]]).items_N) == [0, 0]


def test_spice_with_jars_elsewhere(
    package: Path, java: Callable[[], tuple[int, list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CORENLP:
        (package / "spice" / "lib" / name).unlink()
    with pytest.raises(MissingExtraError, match=r"SPICE needs stanford-corenlp-3\.6\.0\.jar and .*--spice-jars FOLDER"):
        spice(["a"], [["a"]])
    jars = tmp_path / "jars"
    with pytest.raises(ConfigError, match="jars: is not a folder: SPICE needs"):
        spice(["a"], [["a"]], jars)
    jars.mkdir()
    (jars / CORENLP[0]).touch()
    with pytest.raises(ConfigError, match=r"jars: lacks these: SPICE needs stanford-corenlp-3\.6\.0-models\.jar \("):
        spice(["a"], [["a"]], jars)
    (jars / CORENLP[1]).touch()
    assert spice(["a"], [["a"]], jars).value == 1
    assert str(jars / "*") in java()[1][2]
    for version, enough in (("14.0.2", True), ("15", False), ("17.0.15", False)):
        monkeypatch.setenv("VERSION", version)
        if enough:
            assert spice(["a"], [["a"]], jars).value == 1
            continue
        with pytest.raises(
            MissingExtraError, match=f"JavaScript engine of Java up to 14, .*java is {version[:2]}: put"
        ):
            spice(["a"], [["a"]], jars)
    (jars / "nashorn-core-15.4.jar").touch()
    assert spice(["a"], [["a"]], jars).value == 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("fail", "Java failed with status 1: java.lang.NullPointerException: no engine"),
        ("silent", "Java wrote no scores: it said nothing"),
        ("garbled", "Java wrote scores that can't be read"),
        ("few", "Java scored 1 items of 2"),
    ],
)
def test_spice_failing_is_one_line(
    package: Path,
    java: Callable[[], tuple[int, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    message: str,
) -> None:
    monkeypatch.setenv("HOW", how)
    with pytest.raises(PixtellError) as caught:
        spice(["a", "b"], [["a"], ["b"]])
    assert str(caught.value).startswith(f"SPICE: {message}") and "\n" not in str(caught.value)
    java()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("fail", "Java failed with status 1: java.lang.NullPointerException: no engine"),
        ("", "Java answered SPICE evaluation took: 1 s to 2 items"),
    ],
)
def test_meteor_failing_is_one_line(
    package: Path,
    java: Callable[[], tuple[int, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    how: str,
    message: str,
) -> None:
    monkeypatch.setenv("HOW", how)
    with pytest.raises(PixtellError) as caught:
        meteor(["a", "b"], [["a"], ["b"]])
    assert capfd.readouterr() == ("", "")
    assert str(caught.value) == f"METEOR: {message}"
    assert java()[1][-6:] == ["-", "-", "-stdio", "-l", "en", "-norm"]


@pytest.mark.parametrize("metric", [meteor, spice])
def test_a_java_that_hangs_is_ended(
    package: Path,
    java: Callable[[], tuple[int, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    metric: Callable[..., object],
) -> None:
    monkeypatch.setenv("HOW", "hang")
    monkeypatch.setattr(official, "METEOR_SECONDS", (1.0, 0.0))
    monkeypatch.setattr(official, "SPICE_SECONDS", (1.0, 0.0))
    with pytest.raises(PixtellError, match="Java took more than 1 s for 1 items and was stopped"):
        metric(["a"], [["a"]])
    process, _ = java()
    with pytest.raises(ProcessLookupError):  # neither running nor a zombie
        os.kill(process, 0)


@pytest.mark.parametrize(("metric", "name"), [(meteor, "METEOR"), (spice, "SPICE")])
def test_what_is_missing_is_named_with_its_cure(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: Callable[..., object], name: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtraError, match=f"^{name} runs in Java, and there is no `java` on the PATH: install"):
        metric(["a"], [["a"]])
    (tmp_path / "java").write_text("not a program")
    (tmp_path / "java").chmod(0o755)
    with pytest.raises(PixtellError, match=f"^{name}: .*java can't be started"):
        metric(["a"], [["a"]])
    (package / "meteor" / "meteor-1.5.jar").unlink()
    (package / "spice" / "spice-1.0.jar").unlink()
    with pytest.raises(MissingExtraError, match=rf"^{name}: .*\.jar is missing from .*--force-reinstall$"):
        metric(["a"], [["a"]])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"not installed: pip install 'pixtell\[official\]'$"):
        metric(["a"], [["a"]])
