"""`pixtell convert`: a model from any layout into a folder in another.

In: a folder, a file or a name. Out: a folder, and its name on stdout. The surprising thing: the authors' layout says
nothing about pixels, so a released model read from it needs --preset to take its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pixtell.cli.options import CheckpointOptions
from pixtell.cli.output import put

EXAMPLE = "Example:  pixtell convert snapshot/model.pt my-model --to hub --preset git-base-coco"

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A folder, a model.pt, or a name as for --model.")]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="The folder to write.")]
Layout = Annotated[
    Literal["pixtell", "hub", "authors"],
    typer.Option("--to", help="Pixtell's own layout, that of transformers and the hub, or the authors' model.pt."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the target, if it is a model.")]


def convert(
    source: Source, target: Target, files: CheckpointOptions, to: Layout = "pixtell", overwrite: Overwrite = False
) -> int:
    """Write a model in another layout.

    Every tensor keeps its bytes. The folder appears whole or not at all, and its name is the output.
    """
    from pixtell.checkpoint.convert import load_checkpoint, save_checkpoint

    put(str(save_checkpoint(load_checkpoint(source, **files.keywords()), target, to, overwrite=overwrite)))
    return 0
