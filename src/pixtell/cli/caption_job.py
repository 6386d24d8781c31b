"""`pixtell caption` as a job: everything put together, from the names of inputs to a summary and an exit code.

In: the groups of options. Out: files, a summary on stderr, and 0; 1 when any input failed or is in no tar, or when the
journal or a tar is damaged; 75 when anything else kept it from its end; 130 when Ctrl-C ended it early. The surprising
thing: what can be wrong is found in the order of its price: names and collisions before the model is loaded, what is in
the way before the first picture is opened.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixtell.cli.caption_options import OutputChoice, SpeedChoice, TextChoice
from pixtell.cli.caption_told import Watch, interruptible, state_of, tell_left_out, tell_summary
from pixtell.cli.options import InputChoice, MediaOptions, ModelOptions, SearchOptions
from pixtell.cli.output import INTERRUPTED, say, say_error, speak_json
from pixtell.cli.progress import TOLD, progress
from pixtell.errors import ConfigError, InputError, MissingExtraError, PixtellError

if TYPE_CHECKING:
    from pixtell.batch.decode import Wish
    from pixtell.batch.inputs import Listing
    from pixtell.batch.journal import Journal
    from pixtell.batch.output import Output, OutputOptions
    from pixtell.batch.ray import RayJob
    from pixtell.batch.run import Job, Summary
    from pixtell.batch.work import Work
    from pixtell.captioner import Captioner
    from pixtell.data.opened import Looks

UNFINISHED = 75  # EX_TEMPFAIL of sysexits.h: the same command is to be given again
LEAST_PART = 32  # media between two writes; more where a pass holds more
AHEAD = 2  # parts that are opened ahead
HANDFUL, FEW = 4, 16  # inputs: opened before a process for it would be there, or before a second one


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

    if given.speed.json_progress:
        speak_json()
    work = given.texts.work(given.search, given.media)
    given.texts.window()  # told before the model is loaded
    journal_path, moved = given.write.journal_path(given.inputs)
    if moved:
        say(f"going on from {journal_path}, the journal of another output")
    failures = journal_path.with_name(journal_path.name.removesuffix(".journal") + ".errors.jsonl")
    thumbnails = journal_path.with_name(journal_path.name.removesuffix(".journal") + ".thumbs")
    options = OutputOptions(
        out_dir=Path(given.write.out_dir) if given.write.out_dir else None,
        sidecar_name=given.write.sidecar_name,
        on_existing=given.write.on_existing,
        shard_size=given.write.shard_size,
    )
    listing = listed(given, (str(journal_path), str(failures), str(thumbnails)))
    opened = [*open_outputs(given.write.names, options), *pages(given, thumbnails, {})]
    check_collisions(listing.items, opened, listing.sources)
    if given.write.apply:
        return apply_job(given, listing, journal_path, options, [Failures(failures)], thumbnails)
    if given.speed.fail_fast and listing.problems:
        raise InputError(listing.problems[0].code, listing.problems[0].message)
    captioner = given.model.load()
    work.check(captioner)
    captioner.batch_size = given.model.batch_size or automatic_batch_size(captioner, work.decoding.beams)
    settings = settings_of(given, work, captioner)
    outputs = open_outputs(given.write.names, replace(options, settings=json.dumps(settings)))
    try:
        with Journal(journal_path, settings) as journal, interruptible() as stop:
            also = [Failures(failures), *pages(given, thumbnails, settings, stop)]
            job = made_job(given, listing, work, captioner)
            job = replace(job, outputs=outputs, also=also, on_existing=options.on_existing)
            if given.speed.on_ray:
                folder = Path(f"{journal_path}.ray")
                ray_job = made_ray_job(given, listing, work, captioner, json.dumps(settings), folder)
                return run_on_ray(ray_job, job, journal, given.speed, stop, failures)
            return run_told(job, journal, given.speed, stop, failures)
    except (ConfigError, InputError, MissingExtraError):  # the same command would end so again
        raise
    except PixtellError as error:
        say_error(error)
        return UNFINISHED


def run_told(
    job: Job,
    journal: Journal,
    speed: SpeedChoice,
    stop: Callable[[], bool],
    failures: Path,
    on_complete: Callable[[], None] = lambda: None,
) -> int:
    """Do the job, and tell how far it is and what became of it, however it ends; returns the exit code. `on_complete`
    is called when all inputs are finished, whatever became of them."""
    from pixtell.batch.run import run_job

    watch = Watch(journal)
    job = replace(job, also=[*job.also, watch])
    summary: Summary | None = None

    def stops() -> bool:
        return stop() or (speed.fail_fast and watch.failed is not None)

    try:
        with progress(as_json=speed.json_progress) as tell:

            def on_progress(so_far: Summary) -> None:
                nonlocal summary
                summary = so_far
                tell(state_of(so_far))

            summary = run_job(job, journal, on_progress, stops)
    except BaseException:  # of whatever kind: what is done is told before it is
        if summary:
            tell_summary(summary, watch.known, failures, complete=False, as_json=speed.json_progress)
        raise
    tell_summary(summary, watch.known, failures, complete=summary.complete, as_json=speed.json_progress)
    if summary.complete:
        on_complete()
    if not summary.complete and stop():
        return INTERRUPTED
    if not summary.complete and watch.failed:
        say(f"{watch.failed.message} (--fail-fast)", "error")
    return 1 if summary.errors or summary.left_out else 0


def run_on_ray(
    ray_job: RayJob, job: Job, journal: Journal, speed: SpeedChoice, stop: Callable[[], bool], failures: Path
) -> int:
    """The same, seen and told on a cluster, which forgets it when it is complete."""
    from pixtell.batch.ray import OnRay

    with OnRay(ray_job) as on_ray:
        job = replace(job, see_ahead=on_ray.see_ahead, tell=on_ray.tell, under_way=1)
        return run_told(job, journal, speed, stop, failures, on_complete=on_ray.forget)


def apply_job(
    given: Given,
    listing: Listing,
    journal_path: Path,
    options: OutputOptions,
    also: list[Output],
    thumbnails: Path,
) -> int:
    """Bring the edits of the contact page into the journal and all files; returns the exit code, 1 when any of them
    could not be, 75 when files wait for a run with the model. Here none is loaded, and the options that decide a
    caption need not be named again."""
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
        return UNFINISHED
    tell_left_out(applied.summary)
    return 1 if applied.problems or applied.summary.left_out else 0


def pages(
    given: Given, thumbnails: Path, settings: Mapping[str, Any], stop: Callable[[], bool] = lambda: False
) -> list[Output]:
    """The contact page, where one is asked for."""
    from pixtell.batch.contact import Contact
    from pixtell.batch.thumbnails import Thumbnails

    if not given.write.html:
        return []
    told = time.monotonic()

    def tick(done: int, total: int) -> None:
        nonlocal told
        if stop():
            raise KeyboardInterrupt
        if time.monotonic() - told >= TOLD:
            told = time.monotonic()
            say(f"{given.write.html}: {done:,} of {total:,} pictures")

    title = ", ".join(given.inputs)
    return [Contact(given.write.html, Thumbnails(thumbnails), title, json.dumps(settings), tick=tick)]


def listed(given: Given, ours: tuple[str, ...]) -> Listing:
    """The inputs, and a line about what was passed over."""
    from pixtell.batch.inputs import list_items
    from pixtell.batch.shards import own_shards_of

    named = [*(given.write.output or []), *([given.write.html] if given.write.html else []), *ours]
    written = [name for name in named if not name.lower().endswith(".tar")]
    written += [str(path) for name in set(named) - set(written) for path in own_shards_of(Path(name))]
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
    from pixtell.data.workers import BETWEEN, SHARING
    from pixtell.memory import keep_freed_memory

    wish = wish_of(given, captioner)
    part = max(LEAST_PART, captioner.batch_size)
    devices = given.speed.device_list() or all_gpus(given.model.device)
    on_cpu = captioner.device.type == "cpu"
    if on_cpu:
        keep_freed_memory()  # the largest blocks too: each part needs what the one before did
    workers = given.speed.workers if given.speed.workers is not None else default_workers(len(listing.found), on_cpu)
    ahead = AHEAD * part * max(1, len(devices))
    several = len(devices) > 1
    teller = Devices(given.model.load_on, work, devices, captioner.batch_size) if several else Here(captioner, work)
    return Job(
        inputs=listing.found,
        outputs=(),
        see_ahead=lambda items: seen_ahead(items, wish, workers, ahead, BETWEEN if on_cpu else SHARING),
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
    from pixtell.batch.controls import Controls
    from pixtell.config import DecodeOptions
    from pixtell.data.opened import Looks

    plain_search = asdict(DecodeOptions())
    answers_differ = work.questions and work.answering != work.decoding
    found: dict[str, Any] = {
        "model": captioner.name,
        "model_sha256": captioner.sha256,
        "dtype": captioner.dtype,
        **_changed(asdict(work.decoding), plain_search),
        **_changed(asdict(work.controls), asdict(Controls())),
        **_changed(asdict(looks_of(given.media, captioner)), asdict(Looks(frames=captioner.frames))),
        **({"questions": work.questions} if work.questions else {}),
        **({"answers": _changed(asdict(work.answering), plain_search)} if answers_differ else {}),
        **({"labels": work.labels} if work.labels else {}),
        **({} if work.captions else {"captions": False}),
        **({} if work.min_score is None else {"min_score": work.min_score}),
        **({"exact": True} if given.speed.exact else {}),
        **({"every": given.texts.window()} if given.texts.every else {}),
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _changed(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != defaults[name]}


def all_gpus(device: str) -> list[str]:
    """Every GPU where there are several and none was chosen."""
    import torch

    count = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    return [f"cuda:{number}" for number in range(count)] if count > 1 else []


def default_workers(inputs: int, on_cpu: bool) -> int:
    """Processes that open pictures. Beside a model on the same cores they work while it pauses, so each core has one; a
    GPU leaves half of them to others."""
    if inputs <= HANDFUL:
        return 0
    cores = os.cpu_count() or 2
    return 1 if inputs <= FEW else max(1, min(8, cores if on_cpu else cores // 2))
