"""`pixtell train`: better weights, as a run file says.

In: a run file in TOML and a folder. Out: states, log and the finished model in that folder. What only a command can
bring together is wired here: the trainer's rewards and scores are CIDEr-D, as the evaluator has it.

The surprising thing: the end of a text is a word of it, "<eos>", when texts are rewarded (authors' `decoder.py`), or
texts that never end would be rewarded like whole ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pixtell.training.scst import Reward, Said

EXAMPLE = "Example:  pixtell train examples/pixtell-mini.toml runs/mini --set optim.lr=2e-4"
END = "<eos>"
STOPPED = 130  # as a shell reports what was interrupted

RunFile = Annotated[str, typer.Argument(metavar="RUN.toml", help="Data, model, learning rates, length: all of it.")]
Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="Where states, log and the finished model go.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Overrule a setting of the run file, such as optim.lr=2e-5."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Insist that there is a state to go on from.")]


def train(run: RunFile, folder: Folder, overrides: Overrides = None, resume: Resume = False) -> int:
    """Train a model as a run file says.

    Progress goes to stderr. A run that was stopped or killed goes on where it last saved, with the same command; the
    finished model is FOLDER/model. Several processes: torchrun --nproc-per-node 2 -m pixtell train RUN.toml FOLDER
    """
    from pixtell.training.__main__ import say
    from pixtell.training.run import Judges, run_training

    judges = Judges(score_by_cider, reward_by_cider)
    finished = run_training(Path(run), Path(folder), say, overrides=overrides or [], resume=resume, judges=judges)
    return 0 if finished else STOPPED


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


def _tokens(texts: Sequence[str]) -> list[str]:
    from pixtell.evaluation.metrics.ptb import tokenize_all

    return tokenize_all(texts)
