"""A job as a process of its own, that tests kill: on Ray, or here. It notes each medium that a model is asked about.

python ray_job.py local|ray OUT MODEL INPUT ...
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pixtell import Captioner, load
from pixtell.batch.decode import Wish, seen_ahead
from pixtell.batch.devices import Here
from pixtell.batch.inputs import list_items
from pixtell.batch.journal import Journal
from pixtell.batch.output import OutputOptions
from pixtell.batch.outputs import open_outputs
from pixtell.batch.ray import OnRay, RayJob
from pixtell.batch.run import Job, run_job
from pixtell.batch.work import Work
from pixtell.config import DecodeOptions
from pixtell.data.opened import Looks
from pixtell.media import Media

BATCH, PART = 2, 4
WAIT = 0.15  # seconds; each pass waits twice, so that there is a middle to be killed in
SETTINGS = '{"beams": 2}'


def counting(model: str, log: str, device: str) -> Captioner:
    """A model that notes in a file what it is asked about."""
    captioner = load(model, device, batch_size=BATCH)
    encode = captioner.encode

    def noting(media: Sequence[Any], **how: Any) -> Any:
        with open(log, "a", encoding="utf-8") as file:
            file.write("".join(f"{one.source}\n" for one in media if isinstance(one, Media)))
        time.sleep(WAIT)
        return encode(media, **how)

    captioner.encode = noting  # type: ignore[method-assign]
    return captioner


def main(engine: str, out: str, model: str, *inputs: str) -> None:
    folder = Path(out)
    folder.mkdir(exist_ok=True)
    listing = list_items(inputs)
    work = Work(DecodeOptions(beams=2, max_new_tokens=8))
    loading = partial(counting, model, str(folder / "asked"))
    wish = Wish(Looks(frames=2), load(model, "cpu").config.pixels)
    outputs = open_outputs([str(folder / name) for name in ("rows.jsonl", "rows.csv", "rows.json")], OutputOptions())
    with Journal(folder / "journal", {"beams": 2}) as journal:
        if engine == "local":
            here = Here(loading("cpu"), work)
            run_job(Job(listing.found, outputs, lambda items: seen_ahead(items, wish, 0, 1), here.tell, PART), journal)
            return
        ray_job = RayJob(listing.items, wish, work, loading, "cpu", BATCH, PART, SETTINGS, folder / "ray")
        with OnRay(ray_job) as on_ray:
            run_job(Job(listing.found, outputs, on_ray.see_ahead, on_ray.tell, PART), journal)


if __name__ == "__main__":
    main(*sys.argv[1:])
