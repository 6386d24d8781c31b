"""`pixtell verify`: does a released model compute what was published for it?

In: a model and the picture or clip that its logits were published for. Out: both side by side, the verdict, and an
exit code that tells it too. The surprising thing: it is the converter's three logits that are published, of the word
after [CLS], so a pass says that weights, pixels and every layer are right, and nothing about beam search.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from pixtell.cli.options import AsJson, CheckpointOptions
from pixtell.cli.output import put, put_json

EXAMPLE = "Example:  pixtell verify microsoft/git-base-coco --image 000000039769.jpg"

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or a name as for --model.")]
Image = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="What the logits were published for: 000000039769.jpg of COCO val2017; bus.png for TextVQA models; "
        "eating_spaghetti.mp4 for clip models.",
    ),
]


def verify(model: Model, image: Image, files: CheckpointOptions, as_json: AsJson = False) -> int:
    """Compare a released model with its published logits.

    Prints both and the verdict; the exit code is 0 for a pass and 1 for a failure.
    """
    from pixtell.checkpoint.convert import load_checkpoint
    from pixtell.checkpoint.verify import verify as compare

    report = compare(load_checkpoint(model, **files.keywords()), image)
    if as_json:
        put_json({**asdict(report), "passed": report.passed})
    else:
        put(str(report))
    return 0 if report.passed else 1
