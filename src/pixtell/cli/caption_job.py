"""`pixtell caption` as a job: everything put together, from the names of inputs to a summary and an exit code.

In: the groups of options. Out: files, a summary on stderr, and 0; 1 when any input failed; 130 when Ctrl-C ended it
early. The surprising thing: what can be wrong is found in the order of its price: names and collisions before the model
is loaded, what is in the way before the first picture is opened.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pixtell.cli.caption_options import OutputChoice, SpeedChoice, TextChoice
from pixtell.cli.options import InputChoice, MediaOptions, ModelOptions, SearchOptions
from pixtell.cli.output import say
from pixtell.cli.progress import State, clock, progress

if TYPE_CHECKING:
    from pixtell.batch.decode import Wish
    from pixtell.batch.inputs import Listing
    from pixtell.batch.output import Output, OutputOptions
    from pixtell.batch.ray import RayJob
    from pixtell.batch.run import Job, Summary
    from pixtell.batch.work import Work
    from pixtell.captioner import Captioner
    from pixtell.data.opened import Looks

INTERRUPTED = 130  # 128 + SIGINT
LEAST_PART = 32  # media between two writes; more where a pass holds more
AHEAD = 2  # parts that are opened ahead


@dataclass(frozen=True)
class Given:
    """All options of the command."""

    inputs: list[str]
    find: InputChoice
    write: OutputChoice
    texts: TextChoice
    speed: SpeedChoice
    search: SearchOptions
    media: MediaOptions
    model: ModelOptions


def caption_job(given: Given) -> int:
    """Caption everything named, into files; returns the exit code. Raises `PixtellError`."""
    from pixtell.batch.devices import automatic_batch_size
    from pixtell.batch.failures import Failures
    from pixtell.batch.journal import Journal
    from pixtell.batch.output import OutputOptions
    from pixtell.batch.outputs import check_collisions, open_outputs
    from pixtell.batch.ray import OnRay
    from pixtell.batch.run import run_job

    work = given.texts.work(given.search, given.media)
    given.texts.window()  # told before the model is loaded
    journal_path = given.write.journal_path(given.inputs)
    failures = journal_path.with_name(journal_path.name.removesuffix(".journal") + ".errors.jsonl")
    thumbnails = journal_path.with_name(journal_path.name.removesuffix(".journal") + ".thumbs")
    options = OutputOptions(
        out_dir=Path(given.write.out_dir) if given.write.out_dir else None,
        sidecar_name=given.write.sidecar_name,
        on_existing=given.write.on_existing,
        shard_size=given.write.shard_size,
    )
    listing = listed(given, (str(journal_path), str(failures), str(thumbnails)))
    check_collisions(listing.items, [*open_outputs(given.write.names, options), *pages(given, thumbnails, {})])
    if given.write.apply:
        return apply_job(given, listing, journal_path, options, [Failures(failures)], thumbnails)
    captioner = given.model.load()
    captioner.batch_size = given.model.batch_size or automatic_batch_size(captioner, work.decoding.beams)
    settings = settings_of(given, work, captioner)
    outputs = open_outputs(given.write.names, replace(options, settings=json.dumps(settings)))
    with Journal(journal_path, settings) as journal, interruptible() as stop, ExitStack() as stack:
        job = made_job(given, listing, work, captioner)
        if given.speed.on_ray:
            ray_job = made_ray_job(given, listing, work, captioner, json.dumps(settings), Path(f"{journal_path}.ray"))
            on_ray = stack.enter_context(OnRay(ray_job))
            job = replace(job, see_ahead=on_ray.see_ahead, tell=on_ray.tell, under_way=1)
        job = replace(job, outputs=outputs, also=[Failures(failures), *pages(given, thumbnails, settings)])
        job = replace(job, on_existing=options.on_existing)
        with progress(as_json=given.speed.json_progress) as tell:
            summary = run_job(job, journal, lambda so_far: tell(state_of(so_far)), stop)
        if given.speed.on_ray and summary.complete:
            on_ray.forget()
    told(summary, failures)
    if not summary.complete:
        return INTERRUPTED
    return 1 if summary.errors else 0


def apply_job(
    given: Given,
    listing: Listing,
    journal_path: Path,
    options: OutputOptions,
    also: list[Output],
    thumbnails: Path,
) -> int:
    """Bring the edits of the contact page into the journal and all files; returns the exit code, 1 when any of them
    could not be. No model is loaded, and the options that decide a caption need not be named again."""
    from pixtell.batch.edits import apply_edits, last_settings, quiet_job, read_edits
    from pixtell.batch.journal import Journal
    from pixtell.batch.outputs import open_outputs

    path = str(given.write.apply)
    edits = read_edits(Path(path))
    settings = last_settings(journal_path)
    outputs = open_outputs(given.write.names, replace(options, settings=json.dumps(settings)))
    also = [*also, *pages(given, thumbnails, settings)]
    with Journal(journal_path, settings) as journal:
        job = quiet_job(listing.found, outputs, options.on_existing, also)
        applied = apply_edits(edits, job, journal)
    for problem in applied.problems:
        say(f"{path}: {problem}")
    before = f", {applied.before:,} were made before" if applied.before else ""
    say(f"{applied.made:,} of {len(edits):,} edits made{before}; {len(applied.problems):,} problems")
    if applied.summary is None:
        say("some inputs wait for the model: the same command without --apply does them, and completes every file")
    return 1 if applied.problems else 0


def pages(given: Given, thumbnails: Path, settings: Mapping[str, Any]) -> list[Output]:
    """The contact page, where one is asked for."""
    from pixtell.batch.contact import Contact
    from pixtell.batch.thumbnails import Thumbnails

    if not given.write.html:
        return []
    return [Contact(given.write.html, Thumbnails(thumbnails), ", ".join(given.inputs), json.dumps(settings))]


def listed(given: Given, ours: tuple[str, ...]) -> Listing:
    """The inputs, and a line about what was passed over."""
    from pixtell.batch.inputs import list_items

    written = [*(given.write.output or []), *([given.write.html] if given.write.html else []), *ours]
    listing = list_items(given.inputs, given.find.options(tuple(written)))
    if listing.passed_over:
        kinds = ", ".join(f"{count:,} {suffix or 'without a suffix'}" for suffix, count in listing.passed_over[:5])
        files = sum(count for _, count in listing.passed_over)
        say(f"passed over {files:,} files that are no photos or clips ({kinds})")
    return listing


def made_job(given: Given, listing: Listing, work: Work, captioner: Captioner) -> Job:
    """The job without its outputs: how media are opened ahead, and who tells about them."""
    from pixtell.batch.decode import seen_ahead
    from pixtell.batch.devices import Devices, Here
    from pixtell.batch.run import Job

    wish = wish_of(given, captioner)
    part = max(LEAST_PART, captioner.batch_size)
    devices = given.speed.device_list() or all_gpus(given.model.device)
    workers = given.speed.workers if given.speed.workers is not None else default_workers(len(listing.found))
    several = len(devices) > 1
    teller = Devices(given.model.load_on, work, devices, captioner.batch_size) if several else Here(captioner, work)
    return Job(
        inputs=listing.found,
        outputs=(),
        see_ahead=lambda items: seen_ahead(items, wish, workers, AHEAD * part * max(1, len(devices))),
        tell=teller.tell,
        part=part,
        under_way=2 * len(devices) if len(devices) > 1 else 1,
    )


def made_ray_job(
    given: Given, listing: Listing, work: Work, captioner: Captioner, settings: str, folder: Path
) -> RayJob:
    """What a cluster is to do; its models compute in what the one here was loaded in, as rows say so."""
    from pixtell.batch.ray import RayJob

    dtype: Any = captioner.dtype  # one of those that can be chosen
    return RayJob(
        items=listing.items,
        wish=wish_of(given, captioner),
        work=work,
        load=replace(given.model, dtype=dtype).load_on,
        device=given.model.device,
        batch_size=captioner.batch_size,
        part=max(LEAST_PART, captioner.batch_size),
        settings=settings,
        folder=folder,
        address=given.speed.ray_address,
    )


def wish_of(given: Given, captioner: Captioner) -> Wish:
    """How media are opened and cut, for any engine."""
    from pixtell.batch.decode import Wish

    looks = looks_of(given.media, captioner)
    return Wish(looks, captioner.config.pixels, given.speed.exact, given.texts.window())


def looks_of(media: MediaOptions, captioner: Captioner) -> Looks:
    """How media are opened."""
    from pixtell.data.opened import Looks

    return Looks(
        media.frames or captioner.frames,
        media.sampling,
        media.seed or 0,
        media.resample_frames,
        not media.no_exif,
        media.max_pixels,
    )


def settings_of(given: Given, work: Work, captioner: Captioner) -> dict[str, Any]:
    """Everything that decides a row, as it is stored with each: what differs from the defaults, and the model."""
    from pixtell.config import DecodeOptions
    from pixtell.data.opened import Looks

    found: dict[str, Any] = {
        "model": captioner.name,
        "model_sha256": captioner.sha256,
        "dtype": captioner.dtype,
        **_changed(asdict(work.decoding), asdict(DecodeOptions())),
        **_changed(asdict(work.controls), {}),
        **_changed(asdict(looks_of(given.media, captioner)), asdict(Looks(frames=captioner.frames))),
        **({"questions": work.questions} if work.questions else {}),
        **({"labels": work.labels} if work.labels else {}),
        **({} if work.captions else {"captions": False}),
        **({} if work.min_score is None else {"min_score": work.min_score}),
        **({"exact": True} if given.speed.exact else {}),
        **({"every": given.texts.window()} if given.texts.every else {}),
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value and value != defaults.get(name)}


def all_gpus(device: str) -> list[str]:
    """Every GPU where there are several and none was chosen."""
    import torch

    count = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{number}" for number in range(count)] if count > 1 else []


def default_workers(inputs: int) -> int:
    """Processes that open pictures: none for a handful of inputs, which would be done before a process is there."""
    return 0 if inputs <= 16 else max(1, min(8, (os.cpu_count() or 2) // 2))


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C or a request to end lets the part in hand be finished; a second one ends at once."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        say("stopping after the pictures in hand; once more stops at once, and either way nothing finished is lost")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def state_of(summary: Summary) -> State:
    """As progress tells it."""
    counts = (("ok", summary.ok), ("skipped", summary.skipped), ("failed", summary.errors))
    latest = (summary.latest.name, summary.latest.text) if summary.latest else None
    return State(summary.finished, summary.inputs, counts, latest)


def told(summary: Summary, failures: Path) -> None:
    """The last line: counts that add up, and where to look."""
    same = f" ({summary.same:,} the same as another)" if summary.same else ""
    parts = [f"{summary.ok:,} ok{same}"]
    if summary.review:
        parts.append(f"{summary.review:,} set aside for review")
    reasons = ", ".join(f"{code} {count:,}" for code, count in summary.codes.most_common())
    if summary.skipped:
        parts.append(f"{summary.skipped:,} skipped")
    if summary.errors:
        parts.append(f"{summary.errors:,} failed, see {failures}")
    reasons = f" ({reasons})" if reasons else ""
    pace = f"; {clock(summary.seconds)}, {summary.a_second:.1f} a second" if summary.a_second else ""
    say(f"{summary.finished:,} of {summary.inputs:,} inputs: {', '.join(parts)}{reasons}{pace}")
    if not summary.complete:
        say("the same command goes on from here")
