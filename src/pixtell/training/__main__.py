"""`python -m pixtell.training RUN.toml FOLDER`: train as a run file says, or go on where a killed run stopped.

It is `pixtell train` without CIDEr, which only the command wires: for self-critical training, and for CIDEr at
evaluations, start processes as `torchrun ... -m pixtell train RUN.toml FOLDER` (see `dist.py`). Progress goes to
stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pixtell.errors import PixtellError
from pixtell.training.run import run_training

STOPPED = 130  # as a shell reports what was interrupted


def say(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run one training; returns the exit code."""
    parser = argparse.ArgumentParser("python -m pixtell.training", description="Train as a run file says.")
    parser.add_argument("run", type=Path, metavar="RUN.toml", help="data, model, learning rates, length: all of it")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where states, log and the finished model go")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="overrule a setting, such as optim.lr=2e-5"
    )
    parser.add_argument("--resume", action="store_true", help="insist that there is a state to go on from")
    chosen = parser.parse_args(arguments)
    try:
        finished = run_training(chosen.run, chosen.folder, say, overrides=chosen.set, resume=chosen.resume)
    except PixtellError as error:
        say(f"error: {error}")
        return 1
    return 0 if finished else STOPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
