"""The door of the command: all commands together, and how any error ends the program.

In: the words after `pixtell`. Out: an exit code: 0; 1 when an input, a model or a check failed; 2 for words or settings
that can't be meant; 70 for a fault of ours; 75 for a job of files that is not done, and that the same command goes on
with; 130 after Ctrl-C; 141 when whoever reads our output has gone.

The surprising thing: typer doesn't report errors here, so that every one of them is one plain line on stderr. The
traceback of a fault of ours is shown when PIXTELL_DEBUG is set.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextvars import copy_context
from typing import Annotated

import typer

import pixtell
from pixtell.cli import ask, caption, classify, convert, data, eval, models, predict, score, train, verify
from pixtell.cli.options import grouped
from pixtell.cli.output import INTERRUPTED, say, say_error
from pixtell.errors import PixtellError
from pixtell.threads import wait_briefly

FAULT = 70  # EX_SOFTWARE of sysexits.h

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    epilog="Example:  pixtell caption photo.jpg\n\nHelp of a command:  pixtell caption --help",
)
for name, module in {
    "caption": caption,
    "ask": ask,
    "classify": classify,
    "models": models,
    "convert": convert,
    "verify": verify,
    "train": train,
    "predict": predict,
    "score": score,
    "eval": eval,
}.items():
    app.command(name, epilog=module.EXAMPLE)(grouped(getattr(module, name)))
app.add_typer(data.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pixtell {pixtell.__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """From a photo or a clip to text: captions, answers, labels."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; `arguments` are those of the process when not given. Returns the exit code."""
    return copy_context().run(_main, arguments)  # how a command speaks is its own


def _main(arguments: Sequence[str] | None) -> int:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character still gets the rest
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="pixtell", standalone_mode=False)
    except typer.TyperException as error:
        _tell_usage(error)
        return error.exit_code
    except PixtellError as error:
        return say_error(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return _tell_fault(error)
    return code if isinstance(code, int) else 0


def run() -> None:
    """The process `pixtell`: run the command and leave.

    Everything is written by now, and taking torch down in order takes over half a second that nobody waits for gladly.
    """
    wait_briefly()  # before torch is imported
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # whoever read it has gone
            stream.flush()
    os._exit(code)


def _tell_usage(error: typer.TyperException) -> None:
    message = error.format_message().rstrip(".")
    if not message:  # help was wanted, and has been shown
        return
    context = getattr(error, "ctx", None)
    say(f"{message} (see {context.command_path} --help)" if context is not None else message, "error")


def _tell_fault(error: Exception) -> int:
    """One line about an error that nobody foresaw."""
    if os.environ.get("PIXTELL_DEBUG"):
        traceback.print_exception(error)
    reason = (str(error).strip().splitlines() or ["no message"])[0]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        say(f"out of memory ({reason}): try --batch-size 1, a smaller model or --device cpu", "error")
        return 1
    message = f"{type(error).__name__}: {reason}; this is a fault of Pixtell, please report it"
    say(f"{message} (PIXTELL_DEBUG=1 shows where)", "error")
    return FAULT
