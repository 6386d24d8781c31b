"""`pixtell train`: better weights, as a run file says.

In: a run file in TOML and a folder. Out: state, log and the finished model in that folder. The surprising thing: there
are no options, so that the run file alone tells how a model was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "Example:  pixtell train examples/pixtell-mini.toml runs/mini"

RunFile = Annotated[str, typer.Argument(metavar="RUN.toml", help="Data, model, learning rates, length: all of it.")]
Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="Where state, log and the finished model go.")]


def train(run: RunFile, folder: Folder) -> int:
    """Train a model as a run file says.

    Progress goes to stderr. A run that was stopped goes on where it last saved, with the same command; the finished
    model is FOLDER/model.
    """
    from pixtell.training.__main__ import run_training

    run_training(Path(run), Path(folder))
    return 0
