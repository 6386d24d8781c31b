"""METEOR 1.5 (Denkowski and Lavie 2014) and SPICE 1.0 (Anderson et al. 2016) by their authors' Java programs.

In: tokenised texts. Out: one measure each. The programs come with the package pycocoevalcap, of which only the jars are
used: each is started once, gets all texts, and has ended when the measure is there.

The surprising thing: METEOR of a corpus is not the mean of its items' scores, but made of the sums of what was counted
in them, like BLEU. Java does the matching and the counting; `_meteor` turns counts into scores, to the last digits of
the jar's own.

What pycocoevalcap lacks for SPICE is Stanford CoreNLP 3.6.0, two jars of which must be got by hand. And SPICE writes
its scores by the JavaScript engine that Java 15 dropped. Its cache of parses, which fails from Java 16 on and is kept
in the package's own folder, is not used: the scores are the same without it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pixtell.errors import ConfigError, MissingExtraError, PixtellError
from pixtell.evaluation.metrics.measure import Floats, Measure, mean_of

INSTALL = "pip install 'pixtell[official]'"
CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
CORENLP_SOURCE = "stanford-corenlp-full-2015-12-09.zip of nlp.stanford.edu/software"
LAST_JAVA_WITH_JAVASCRIPT = 14
# What a run may take before it counts as hung: in all, and for each item. METEOR was measured to need 12 s and 4 ms an
# item on two cores. SPICE's parser was not measured: its limit is meant to be far beyond what it needs.
METEOR_SECONDS, SPICE_SECONDS, VERSION_SECONDS = (600.0, 0.5), (1800.0, 10.0), (60.0, 0.0)

# METEOR's parameters for English: Denkowski and Lavie 2014, and `Constants` in the jar.
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
STAGE_WEIGHTS = (1.0, 0.6, 0.8, 0.6)  # words that match exactly, by stem, as synonyms, as paraphrases
# What METEOR counts, in the jar's order (`MeteorStats`), by twos: of the candidate, of the reference. First words and
# function words; from STAGES on, for each stage, content words and function words that match; then the chunks that
# they form, and how many words match.
WORDS, FUNCTION, STAGES, CHUNKS, MATCHED, COUNTS = 0, 2, 4, 20, 21, 23


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    """METEOR of tokenised texts, each against its item's references.

    Raises `MissingExtraError` where pycocoevalcap or Java is missing, and `PixtellError` where Java fails.
    """
    jar = _jar("METEOR", "meteor/meteor-1.5.jar")
    java = _java("METEOR")
    # The jar cuts a line at "|||", trims the parts and takes the last for the candidate; the others are references.
    lines = [
        " ||| ".join(["SCORE", *map(_on_one_line, several), _on_one_line(candidate)])
        for candidate, several in zip(candidates, references, strict=True)
    ]
    output = ""
    if lines:
        # The options are pycocoevalcap's; "- -" are the files that are not read.
        command = [java, "-Xmx2G", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]
        output, _ = _run("METEOR", command, METEOR_SECONDS, len(lines), "".join(f"{line}\n" for line in lines))
    counts_NK = _counts(output, len(lines))
    return Measure("METEOR", _meteor(counts_NK), counts_NK, _meteor)


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]], jars: Path | None = None) -> Measure:
    """SPICE of tokenised texts, each against its item's references: the mean of the items' F-scores.

    `jars` is the folder of CoreNLP's jars, where they are not in pycocoevalcap's. A text without words scores 0, as
    SPICE counts it, and is not given to it. Raises `MissingExtraError` where something is missing, `ConfigError`
    where it is missing from `jars`, and `PixtellError` where Java fails.
    """
    jar = _jar("SPICE", "spice/spice-1.0.jar")
    folder = _corenlp(jar, jars)
    java = _java("SPICE")
    _check_javascript(java, folder)
    items = []
    for place, (candidate, several) in enumerate(zip(candidates, references, strict=True)):
        texts = [reference for reference in several if reference.strip()]
        if candidate.strip() and texts:
            items.append({"image_id": place, "test": candidate, "refs": texts})
    scores = np.zeros(len(candidates))
    if items:
        with tempfile.TemporaryDirectory(prefix="pixtell-spice-") as scratch:
            asked, answered = Path(scratch) / "items.json", Path(scratch) / "scores.json"
            asked.write_text(json.dumps(items), encoding="ascii")
            classes = os.pathsep.join([str(jar), str(folder / "*")])
            command = [java, "-Xmx8G", "-cp", classes, "edu.anu.spice.SpiceScorer"]
            command += [str(asked), "-out", str(answered), "-silent"]
            _, errors = _run("SPICE", command, SPICE_SECONDS, len(items))
            found = _spice_scores(answered, errors)
        if sorted(found) != [item["image_id"] for item in items]:
            raise PixtellError(f"SPICE: Java scored {len(found)} items of {len(items)}")
        scores[list(found)] = list(found.values())
    return mean_of("SPICE", scores)


def _counts(output: str, items: int) -> Floats:
    """What METEOR counted of each item (N, K), from a line for each.

    Where candidate and reference match one for one and in order, they form one chunk, for which the jar fines neither
    the item nor the corpus (`computeMetrics`, `addStats`): it is not counted.
    """
    try:
        counts_NK = np.array([line.split() for line in output.splitlines()], dtype=np.float64).reshape(items, COUNTS)
    except ValueError:
        raise PixtellError(f"METEOR: Java answered {_shortened(output)} to {items} items") from None
    matches = [counts_NK[:, STAGES + side : CHUNKS : 2].sum(1) for side in (0, 1)]
    in_one_piece = (matches[0] == counts_NK[:, WORDS]) & (matches[1] == counts_NK[:, WORDS + 1])
    counts_NK[in_one_piece & (counts_NK[:, CHUNKS] == 1), CHUNKS] = 0
    return counts_NK


def _meteor(sums: Floats) -> Floats:
    """METEOR from sums of counts (..., K). What divides by zero in the jar does so here, and scores 0 in both."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = 1 / ((1 - ALPHA) / _matched_share(sums, 0) + ALPHA / _matched_share(sums, 1))
        fragmentation = sums[..., CHUNKS] / ((sums[..., MATCHED] + sums[..., MATCHED + 1]) / 2)
        score = mean * (1 - GAMMA * fragmentation**BETA)
    return np.where(np.isnan(score), 0.0, np.maximum(score, 0.0))


def _matched_share(sums: Floats, side: int) -> Floats:
    """Which share of a side's words (0 the candidate's, 1 the reference's) matches: precision or recall, weighted."""
    matched = np.zeros(sums.shape[:-1])
    for kind, weight_of_kind in ((0, DELTA), (2, 1 - DELTA)):  # content words, function words
        for stage, weight in enumerate(STAGE_WEIGHTS):
            matched = matched + sums[..., STAGES + 4 * stage + kind + side] * weight * weight_of_kind
    words, function = sums[..., WORDS + side], sums[..., FUNCTION + side]
    return np.asarray(matched / (DELTA * (words - function) + (1 - DELTA) * function), dtype=np.float64)


def _on_one_line(text: str) -> str:
    """The text without what METEOR's lines are made of: line ends, and bars in threes or more."""
    return " ".join(re.sub(r"\|{3,}", " ", text).split())


def _spice_scores(path: Path, errors: str) -> dict[int, float]:
    """SPICE's F-score of each item by its number; 0 where it is not a number."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        scores = {int(row["image_id"]): float(row["scores"]["All"]["f"] or 0) for row in rows}
    except FileNotFoundError:
        raise PixtellError(f"SPICE: Java wrote no scores: {_complaint(errors)}") from None
    except (ValueError, TypeError, LookupError) as error:
        raise PixtellError(f"SPICE: Java wrote scores that can't be read ({error})") from None
    return {number: 0.0 if np.isnan(score) else score for number, score in scores.items()}


def _jar(metric: str, name: str) -> Path:
    """A jar that comes with pycocoevalcap, which is looked for but not imported."""
    package = importlib.util.find_spec("pycocoevalcap")
    if package is None:
        raise MissingExtraError(f"{metric} needs the package pycocoevalcap, which is not installed: {INSTALL}")
    # It is a namespace package: a folder without an __init__.py, so that it has no file of its own.
    folders = [Path(folder) for folder in package.submodule_search_locations or ()]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise MissingExtraError(
        f"{metric}: {name} is missing from pycocoevalcap in {folders[0] if folders else '?'}: "
        f"{INSTALL} --force-reinstall"
    )


def _java(metric: str) -> str:
    java = shutil.which("java")
    if java is None:
        raise MissingExtraError(
            f"{metric} runs in Java, and there is no `java` on the PATH: install one (apt install default-jre-headless)"
        )
    return java


def _corenlp(jar: Path, jars: Path | None) -> Path:
    """The folder of CoreNLP's jars: the one named, or pycocoevalcap's own."""
    folder = jars if jars is not None else jar.parent / "lib"
    if missing := [name for name in CORENLP if not (folder / name).is_file()]:
        what = f"SPICE needs {' and '.join(missing)} ({CORENLP_SOURCE})"
        if jars is not None:
            raise ConfigError(f"{jars}: {'lacks these' if jars.is_dir() else 'is not a folder'}: {what}")
        raise MissingExtraError(f"{what}: get them and name their folder with --spice-jars FOLDER")
    return folder


def _check_javascript(java: str, folder: Path) -> None:
    """SPICE prints its JSON by Java's JavaScript engine, and fails after all the parsing where there is none."""
    _, errors = _run("SPICE", [java, "-version"], VERSION_SECONDS, 0)
    found = re.search(r'version "(\d+)', errors)
    version = int(found[1]) if found else 0  # 1 up to Java 8; one that doesn't say is given the benefit of the doubt
    if version > LAST_JAVA_WITH_JAVASCRIPT and not list(folder.glob("nashorn-core*.jar")):
        raise MissingExtraError(
            f"SPICE writes its scores by the JavaScript engine of Java up to {LAST_JAVA_WITH_JAVASCRIPT}, and {java} "
            f"is {version}: put an older `java` (8 to {LAST_JAVA_WITH_JAVASCRIPT}) first on the PATH, or the jars of "
            f"nashorn-core and asm into {folder}"
        )


def _run(
    metric: str, command: Sequence[str], seconds: tuple[float, float], items: int, lines: str = ""
) -> tuple[str, str]:
    """What the program wrote to its stdout and stderr. It has ended on return, however it went."""
    limit = seconds[0] + seconds[1] * items
    try:
        # A lone surrogate can't be written as UTF-8: it becomes "?".
        done = subprocess.run(command, input=lines.encode(errors="replace"), capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise PixtellError(f"{metric}: Java took more than {limit:.0f} s for {items} items and was stopped") from None
    except OSError as error:
        raise PixtellError(f"{metric}: {command[0]} can't be started ({error.strerror or error})") from None
    errors = done.stderr.decode(errors="replace")
    if done.returncode:
        raise PixtellError(f"{metric}: Java failed with status {done.returncode}: {_complaint(errors)}")
    return done.stdout.decode(errors="replace"), errors


def _complaint(errors: str) -> str:
    """The line of Java's messages that names the cause: the last exception or error, or the last line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    named = [line for line in lines if re.search(r"(Exception|Error)\b", line) and not line.startswith("at ")]
    return _shortened((named or lines or ["it said nothing"])[-1])


def _shortened(text: str, letters: int = 200) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= letters else one_line[:letters] + "..."
