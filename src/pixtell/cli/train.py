"""`pixtell train`: better weights, as a run file says.

In: a run file in TOML and a folder. Out: states, log and the finished model in that folder; of several stages each has
a folder in it. What only a command can bring together is wired here: the trainer's rewards and scores are CIDEr-D, as
the evaluator has it.

The surprising thing: the end of a text is a word of it, "<eos>", when texts are rewarded (authors' `decoder.py`), or
texts that never end would be rewarded like whole ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixtell.cli.output import INTERRUPTED, put, say
from pixtell.config import BUNDLED
from pixtell.errors import ConfigError

if TYPE_CHECKING:
    from pixtell.training.config import RunConfig
    from pixtell.training.run import Judges
    from pixtell.training.scst import Reward, Said

EXAMPLE = (
    "Example:  pixtell train --data photos -o runs/photos   or   pixtell train RUN.toml runs/mini --set optim.lr=2e-4"
)
END = "<eos>"
RUN_FILE = "run.toml"  # in the folder of a run that has none of its own
FOLDER_PANEL = "From a folder to a model"

RunFile = Annotated[
    str | None, typer.Argument(metavar="RUN.toml", help="Data, model, learning rates, length: all of it.")
]
Folder = Annotated[str | None, typer.Argument(metavar="FOLDER", help="Where states, log and the finished model go.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Instead of a run file: pictures with texts, or any data set that pixtell eval reads; its files one by "
        "one, each after a --data.",
        rich_help_panel=FOLDER_PANEL,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="MODEL",
        help=f"The model to go on from, or a run's folder, for what it saved last; {BUNDLED} when not given.",
        rich_help_panel=FOLDER_PANEL,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FOLDER",
        help="Where the run file, states, log and the finished model go; runs/NAME of the data when not given.",
        rich_help_panel=FOLDER_PANEL,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Overrule a setting of the run file, such as optim.lr=2e-5."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Insist that there is a state to go on from.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would learn, for how long, in how much memory; write nothing.")
]


def train(
    run: RunFile = None,
    folder: Folder = None,
    data: Data = None,
    model: From = None,
    output: Output = None,
    overrides: Overrides = None,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> int:
    """Train a model on a folder of pictures with texts, or as a run file says.

    Progress goes to stderr. A run that was stopped or killed goes on where it last saved, with the same command; the
    finished model is FOLDER/model. Several processes: torchrun --nproc-per-node 2 -m pixtell train RUN.toml FOLDER
    """
    _check_words(run, folder, data, model, output, dry_run)
    if data:
        folder_of_run = Path("runs", _name_of(data[0])) if output is None else Path(output)
        return _train_on(data, model or BUNDLED, folder_of_run, overrides or [], resume, dry_run)
    if dry_run:
        from pixtell.training.run_file import load_stages

        return _tell(load_stages(Path(run or ""), overrides or []), Path(run or ""))
    return _train(Path(run or ""), Path(folder or ""), overrides or [], resume)


def _check_words(
    run: str | None, folder: str | None, data: list[str] | None, model: str | None, output: str | None, dry_run: bool
) -> None:
    """Data, or a run file and a folder for the run, which a dry run doesn't need."""
    problems = []
    if data:
        if run is not None:
            problems.append(f"{run}: a run file names its data, so --data doesn't go with it")
    else:
        if run is None or (folder is None and not dry_run):
            problems.append("name a run file and a folder for the run, or --data FOLDER")
        given = {"--from": model, "-o": output}
        problems += [f"{name} goes with --data" for name, value in given.items() if value is not None]
    if problems:
        raise ConfigError.listing("pixtell train", problems)


def _name_of(data: str) -> str:
    """What a data set is called where it gives its name to a run: that of its folder, or of its files without marks."""
    path = Path(data).absolute()
    return re.sub(r"[*?\[\]]+", "", path.name if path.is_dir() else path.stem).strip("-_. ") or "data"


def _train_on(data: list[str], model: str, folder: Path, overrides: Sequence[str], resume: bool, dry_run: bool) -> int:
    """Train with settings made for the data, which are kept in the folder; those that are there already stay."""
    from pixtell.training.dist import joined
    from pixtell.training.recipe import compare, keep, recipe
    from pixtell.training.run_file import load_stages, parse_stages

    path = folder / RUN_FILE
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(
            f"--data is for one process, which writes {path}; for several: "
            f"torchrun ... -m pixtell train {path} {folder}"
        )
    if resume and not path.exists():
        raise ConfigError(f"{folder}: no run to go on from; leave --resume out to begin")
    if path.exists():
        compare(load_stages(path)[0], data, model, path)
        if dry_run:
            return _tell(load_stages(path, overrides), path)
    else:
        with joined(say) as world:
            text = recipe(data, model, path, world.device)
        runs = parse_stages(text, str(path), overrides)
        if dry_run:
            return _tell(runs, path)
        keep(text, path)
    say(f"{path}: the settings")
    return _train(path, folder, overrides, resume)


def _train(run_file: Path, folder: Path, overrides: Sequence[str], resume: bool) -> int:
    from pixtell.training.log import before_and_after
    from pixtell.training.run import run_training
    from pixtell.training.run_file import load_stages
    from pixtell.training.stages import MODEL, stages_in

    stages = stages_in(folder, load_stages(run_file, overrides))  # now: the file may be another one in hours
    finished = run_training(run_file, folder, say, overrides=overrides, resume=resume, judges=_judges())
    if finished and os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        for stage in stages:
            of_stage = f"{stage.name}, " if stage.name else ""
            for name, before, after in before_and_after(stage.folder, stage.run.validation.keep_best):
                say(f"{of_stage}{name}: {before:.3f} before, {after:.3f} after")
        say(f"{folder / MODEL}: the finished model, as in pixtell caption photo.jpg --model {folder / MODEL}")
    return 0 if finished else INTERRUPTED


def _tell(runs: Sequence[RunConfig], run_file: Path) -> int:
    from pixtell.training.dry_run import dry_run

    for line in dry_run(runs, run_file, say, _judges()):
        put(line)
    return 0


def _judges() -> Judges:
    from pixtell.training.run import Judges

    return Judges(score_by_cider, reward_by_cider, agreement_by_cider)


def score_by_cider(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D of captions as `pixtell eval` computes it, over the pictures at hand."""
    from pixtell.evaluation.metrics.cider import cider_d

    return float(cider_d(_tokens(captions), [_tokens(own) for own in references]).value)


def reward_by_cider(pictures: Sequence[tuple[str, ...]]) -> Reward:
    """A reward against references that are tokenised and counted once; n-grams are as rare as in all of them."""
    from pixtell.evaluation.metrics.cider import PreparedCider

    place = {references: number for number, references in enumerate(pictures)}
    prepared = PreparedCider.of([[f"{text} {END}" for text in _tokens(references)] for references in pictures])

    def reward(references: Sequence[tuple[str, ...]], said: Sequence[Said]) -> Sequence[float]:
        texts = _tokens([each.text for each in said])
        ended = [f"{text} {END}" if each.ended else text for text, each in zip(texts, said, strict=True)]
        scores: list[float] = prepared.score([place[own] for own in references], ended).tolist()
        return scores

    return reward


def agreement_by_cider(pictures: Sequence[Sequence[str]]) -> Sequence[Sequence[float]]:
    """CIDEr-D of each caption against its picture's other ones, at least one; n-grams are as rare as in all of them.

    Computed from the mean over all of a picture's captions, the caption itself among them, less its own part.
    """
    import numpy as np

    from pixtell.evaluation.metrics.cider import DocumentFrequencies, PreparedCider

    tokens = [[f"{text} {END}" for text in _tokens(captions)] for captions in pictures]
    texts = [text for captions in tokens for text in captions]
    many = np.array([len(captions) for captions in tokens])
    frequencies = DocumentFrequencies.of(tokens)
    all_T = PreparedCider.of(tokens, frequencies).score(np.repeat(np.arange(len(many)), many), texts)
    own_T = PreparedCider.of([[text] for text in texts], frequencies).score(np.arange(len(texts)), texts)
    many_T = np.repeat(many, many)
    others_T = np.maximum(0.0, (many_T * all_T - own_T) / (many_T - 1))
    ends = np.cumsum(many)
    return [others_T[end - size : end].tolist() for end, size in zip(ends, many, strict=True)]


def _tokens(texts: Sequence[str]) -> list[str]:
    from pixtell.evaluation.metrics.ptb import tokenize_all

    return tokenize_all(texts)
