"""`pixtell predict`: a text for every item of a data set, in a file.

In: a data set and a model. Out: a predictions file. The surprising thing: the same command goes on where it was
stopped, however that was, and does nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pixtell.cli.eval_options import DataOptions, PublishedModelOptions, RunOptions, Sources
from pixtell.cli.options import MediaOptions, SearchOptions
from pixtell.cli.output import say
from pixtell.cli.progress import State, progress

if TYPE_CHECKING:
    from pixtell.data.dataset import Dataset
    from pixtell.evaluation.predictions import Predictions

EXAMPLE = "Example:  pixtell predict val-000.tar -o predictions.jsonl"
NAMED = 10  # problems told one by one; the rest is counted

Output = Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The predictions, a JSON object a line.")]


def predict(
    sources: Sources,
    output: Output,
    data: DataOptions,
    run: RunOptions,
    search: SearchOptions,
    media: MediaOptions,
    model: PublishedModelOptions,
) -> int:
    """Write a text for every item of a data set to a file.

    The file is JSON lines: first how the run was made, then each item's text. The same command goes on where it was
    stopped. Inputs that fail have a line with the error; then the exit code is 1.
    """
    dataset = open_data(sources, data)
    predictions = predict_to(output, dataset, sources, data, run, search, media, model)
    failed = sum(bool(one.error) for one in predictions.items)
    say(f"{output}: {len(predictions.items)} predictions, {failed} failed")
    return 1 if failed or dataset.problems else 0


def open_data(sources: list[str], data: DataOptions) -> Dataset:
    """Open a data set, telling what in it can't be used."""
    from pixtell.data.dataset import open_dataset

    dataset = open_dataset(sources, media=data.pictures, split=data.split)
    tell_problems([problem.message for problem in dataset.problems])
    return dataset


def tell_problems(messages: list[str]) -> None:
    """The first problems a line each, and how many more there are."""
    for message in messages[:NAMED]:
        say(message)
    if len(messages) > NAMED:
        say(f"and {len(messages) - NAMED} more problems")


def predict_to(
    output: str,
    dataset: Dataset,
    sources: list[str],
    data: DataOptions,
    run: RunOptions,
    search: SearchOptions,
    media: MediaOptions,
    model: PublishedModelOptions,
) -> Predictions:
    """Predict what `output` lacks, and return all that it holds then."""
    from pixtell.data.opened import Looks
    from pixtell.evaluation import predict as predicting
    from pixtell.evaluation.predictions import read_predictions
    from pixtell.evaluation.presets import MAX_STEPS, released_name

    decoding = model.decoding(search, media)
    task = predicting.task_of(dataset, data.task)
    items = predicting.items_of(dataset, task)
    if run.limit is not None:
        rows = {row.id for row in dataset.rows[: run.limit]}
        items = [item for item in items if item.row.id in rows]
    captioner = model.plain().load()
    described = predicting.describe_run(
        captioner,
        items,
        task,
        decoding,
        Looks(
            media.frames or 0,
            media.sampling,
            media.seed or 0,
            media.resample_frames,
            not media.no_exif,
            media.max_pixels,
        ),
        max_steps=min(MAX_STEPS, captioner.config.text.max_positions) if model.paper else None,
        preset="paper" if model.paper else "",
        released=released_name(captioner.name, model.plain().preset) or "",
        source=sources,
    )
    with progress() as tell:
        predicting.predict(
            captioner,
            items,
            described,
            output,
            overwrite=run.overwrite,
            retry_failed=run.retry_failed,
            on_progress=lambda done, total: tell(State(done, total)),
        )
    found = read_predictions(output)
    tell_problems([one.error for one in found.items if one.error])
    return found
