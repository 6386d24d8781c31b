"""A job on Ray: the rows of a local job, also when it was killed, and nothing left behind.

What needs Ray itself starts a cluster on this machine for each run, and takes minutes: `scripts/test-ray`. The rest
puts a loop in this process in Ray's place.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixtell.batch import ray as engine
from pixtell.batch.decode import Wish
from pixtell.batch.inputs import list_items
from pixtell.batch.ray import OnRay, RayJob, models
from pixtell.batch.ray_parts import Part, Telling, opened
from pixtell.batch.work import Work
from pixtell.captioner import load
from pixtell.config import DecodeOptions, PixelConfig
from pixtell.data.opened import Looks
from pixtell.errors import ConfigError, InputError, MissingExtraError, PixtellError
from pixtell.media import Media

HAVE_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAVE_RAY, reason="ray is not installed: scripts/test-ray runs this")
JOB = Path(__file__).with_name("ray_job.py")
PICTURES = 44  # in each of two files
DIGITS = ("mean_logprob", "logprob")
PART = 4  # as in ray_job.py


def content(number: int) -> bytes:
    """A picture of noise; every 7th has an earlier one's content, every 11th is cut off."""
    if number % 7 == 6:
        return content(number - 5)
    generator = np.random.default_rng(number)
    file = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file, "png")
    return file.getvalue()[: 300 if number % 11 == 10 else None]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A tar and a parquet file; some pictures are in both."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    folder = tmp_path_factory.mktemp("inputs")
    with tarfile.open(folder / "one.tar", "w") as tar:
        for number in range(PICTURES):
            member = tarfile.TarInfo(f"{number:06}.png")
            member.size = len(content(number))
            tar.addfile(member, io.BytesIO(content(number)))
    cells = [content(number) for number in range(PICTURES - 4, 2 * PICTURES - 4)]
    parquet.write_table(pyarrow.table({"image": cells}), folder / "two.parquet", row_group_size=10)
    return [str(folder / "one.tar"), str(folder / "two.parquet"), str(folder / "gone.jpg")]


# ---- with a loop in the place of Ray


@pytest.fixture
def photos_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(22):
        (folder / f"{number:02}.png").write_bytes(content(number))
    return folder


@pytest.fixture
def job(photos_folder: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> RayJob:
    wish, work = Wish(Looks(frames=2), PixelConfig(size=32)), Work(DecodeOptions(beams=2, max_new_tokens=8))
    items = list_items([str(photos_folder)]).items
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: "there")  # type: ignore[attr-defined]
    monkeypatch.setattr(engine, "joined", lambda address: Nothing())
    return RayJob(items, wish, work, lambda device: load(tiny_model, device), "cpu", 2, PART, "{}", tmp_path / "ray")


class Nothing:
    """A cluster that is none."""

    def shutdown(self) -> None:
        pass


def run_here(job: RayJob, parts: Sequence[Part], most: int = 1_000) -> None:
    """What Ray does with parts, up to `most` of them; those whose rows are there are done."""
    import pickle

    parquet, table = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow").table
    telling = Telling(job.load, job.device, job.batch_size, job.work, job.site)
    for part in parts:
        path = job.rows / f"{part.key}.parquet"
        if not path.exists() and most:
            most -= 1
            told = telling(opened({"part": part.key, "items": pickle.dumps(part.items)}, job.wish, job.site))
            parquet.write_table(table({name: [value] for name, value in told.items()}), path)


def test_items_come_in_order_with_the_rows_that_a_model_tells(job: RayJob, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(engine, "run_parts", run_here)
    with OnRay(job) as on_ray:
        seen = list(on_ray.see_ahead(job.items))
        assert [one.item for one in seen] == list(job.items)
        bad = {one.item.relative: one.outcome.code for one in seen if isinstance(one.outcome, InputError)}
        assert set(bad) == {"10.png", "21.png"} and set(bad.values()) <= {"broken", "truncated"}
        good = [one for one in seen if isinstance(one.outcome, Media)]
        rows = on_ray.tell(good).result()
    captioner = load(job.load("cpu").name, "cpu")
    for one, row in zip(good, rows, strict=True):
        caption = captioner.caption(Path(one.item.name), beams=2, max_new_tokens=8)
        assert (row.name, row.text, row.sha256) == (one.item.name, caption.text, one.sha256)
        assert row.mean_logprob == pytest.approx(caption.mean_logprob, rel=1e-4)
    on_ray.forget()
    assert not job.folder.exists()


def test_what_is_there_is_not_asked_for_again(job: RayJob, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(engine, "run_parts", lambda job, parts: run_here(job, parts, most=3))
    with OnRay(job) as on_ray, pytest.raises(PixtellError, match=r"rows were lost .* the same command does|goes on"):
        list(on_ray.see_ahead(job.items))
    (job.rows / "cut-off.parquet").write_bytes(next(job.rows.iterdir()).read_bytes()[:100])
    begun = []
    monkeypatch.setattr(engine, "joined", lambda address: begun.append(address) or Nothing())
    with OnRay(job) as on_ray:
        ahead = on_ray.see_ahead(job.items)
        first = [next(ahead).item for _ in range(3 * PART)]
        assert first == list(job.items[: 3 * PART]) and not begun, "no cluster for rows that are there"
        monkeypatch.setattr(engine, "run_parts", run_here)
        assert len(list(ahead)) == len(job.items) - 3 * PART and begun == [None]


def test_an_error_on_the_cluster_is_one_line(job: RayJob, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")

    def fail(job: RayJob, parts: Sequence[Part]) -> None:
        try:
            raise PixtellError("the model died")
        except PixtellError as cause:
            raise RuntimeError("ray::Map()\n  File ...") from cause

    monkeypatch.setattr(engine, "run_parts", fail)
    with OnRay(job) as on_ray, pytest.raises(PixtellError) as told:
        list(on_ray.see_ahead(job.items))
    assert str(told.value) == (
        "Ray ended early: the model died; all finished rows are kept, and the same command goes on from them"
    )


@pytest.mark.parametrize(
    ("resources", "device", "expected"),
    [
        ({"CPU": 3.0}, "auto", (1, "auto", {"num_cpus": 1})),
        ({"CPU": 2.0}, "cpu", (1, "cpu", {"num_cpus": 0})),
        ({"CPU": 64.0}, "cpu", (12, "cpu", {"num_cpus": 4})),
        ({"CPU": 32.0, "GPU": 4.0}, "auto", (4, "cuda", {"num_gpus": 1, "num_cpus": 1})),
        ({"CPU": 4.0, "GPU": 4.0}, "cuda", (4, "cuda", {"num_gpus": 1, "num_cpus": 0})),
        ({"CPU": 8.0, "GPU": 4.0}, "cpu", (1, "cpu", {"num_cpus": 4})),
    ],
)
def test_a_model_for_each_gpu(resources: dict[str, float], device: str, expected: tuple[object, ...]) -> None:
    assert models(resources, device) == expected
    count, _, needs = models(resources, device)
    assert count * needs["num_cpus"] + 2 <= resources["CPU"], "one is left to open media, one is Ray's"


def test_what_can_be_wrong_is_told_at_once(job: RayJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    for address in ("ray://head:10001", "head", "head:port", "127.0.0.1:1"):
        with pytest.raises(ConfigError, match=rf"^--ray-address {address}: [^\n]+$"):
            OnRay(replace(job, address=address))
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(MissingExtraError, match=r"pip install 'pixtell\[ray\]'$"):
        OnRay(job)


# ---- on Ray


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


class Run:
    """A job in a process group of its own, and all the processes that come from it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.mark = f"PIXTELL_TEST_RUN={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        environment = {**os.environ, name: value, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> tuple[str, str]:
        try:
            out, err = self.process.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.await_end()
        return out, err

    def await_asked(self, out: Path, count: int) -> None:
        """Wait until the model was asked about so many, or the job is at least begun."""
        self._await(lambda: lines(out / "asked") >= count, out)

    def await_done(self, out: Path, parts: int) -> None:
        """Wait until Ray has noted so many parts as done, or the job is at least begun."""
        self._await(lambda: len(list((out / "ray" / "done").glob("*.parquet"))) >= parts, out)

    def _await(self, enough: Callable[[], bool], out: Path) -> None:
        deadline = time.monotonic() + 90
        while not (enough() and (out / "ray").exists()) and self.process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.await_end()

    def alive(self) -> dict[int, str]:
        """The processes that have the run's mark in their environment, and what they call themselves."""
        found = {}
        for process in Path("/proc").iterdir():
            with suppress(OSError):
                if process.name.isdigit() and self.mark.encode() in (process / "environ").read_bytes():
                    found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")[:80]
        return found

    def await_end(self) -> None:
        deadline = time.monotonic() + 30
        while alive := self.alive():
            assert time.monotonic() < deadline, f"left behind: {alive}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def local_rows(
    inputs: list[str], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, object]]:
    """The rows of a local job."""
    out = tmp_path_factory.mktemp("local") / "out"
    run = Run([str(JOB), "local", str(out), str(tiny_model), *inputs])
    _, err = run.finish()
    assert run.process.returncode == 0, err
    return rows_of(out / "rows.jsonl")


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_same_rows(rows: list[dict[str, object]], local: list[dict[str, object]]) -> None:
    """Equal, but for the last digits of log-probabilities."""
    assert len(rows) == len(local) == 2 * PICTURES + 1
    assert any(row.get("same_as") for row in local) and any(row["status"] == "error" for row in local)
    for row, expected in zip(rows, local, strict=True):
        assert {k: v for k, v in row.items() if k not in DIGITS} == {
            k: v for k, v in expected.items() if k not in DIGITS
        }
        for name in DIGITS:
            assert row.get(name) == (pytest.approx(expected[name], rel=1e-4) if name in expected else None)


@pytest.fixture(scope="module")
def whole(inputs: list[str], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The output of a job on Ray that nobody killed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run = Run([str(JOB), "ray", str(out), str(tiny_model), *inputs])
    printed, err = run.finish()
    assert (run.process.returncode, printed, err) == (0, "", ""), "Ray is to be quiet"
    yield out


@pytest.mark.slow
@needs_ray
def test_rows_are_those_of_a_local_job(whole: Path, local_rows: list[dict[str, object]]) -> None:
    assert_same_rows(rows_of(whole / "rows.jsonl"), local_rows)
    asked = Counter((whole / "asked").read_text().splitlines())
    assert set(asked.values()) == {1}, "nothing is asked twice"


def names_kept(folder: Path) -> set[str]:
    """Of which media there are rows that Ray has noted as done, when a job is killed."""

    def whole(kind: str) -> list[dict[str, str]]:
        from pyarrow import ArrowInvalid, parquet

        found: list[dict[str, str]] = []
        for file in (folder / kind).glob("*.parquet"):
            with suppress(ArrowInvalid, OSError):  # cut off
                found += parquet.read_table(file, partitioning=None).to_pylist()
        return found

    done = {one["part"] for one in whole("done")}
    outcomes = [json.loads(one["outcomes"]) for one in whole("rows") if one["part"] in done]
    return {outcome["row"]["name"] for some in outcomes for outcome in some}


@pytest.mark.slow
@needs_ray
def test_killed_and_gone_on(whole: Path, inputs: list[str], tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [str(JOB), "ray", str(out), str(tiny_model), *inputs]
    parts = 2 * PICTURES // PART
    kept: list[tuple[set[str], int]] = []
    for moment in (0, parts // 5, parts // 2, parts * 4 // 5):
        run = Run(command)
        run.await_done(out, moment)
        run.kill()
        kept.append((names_kept(out / "ray"), lines(out / "asked")))
    run = Run(command)
    _, err = run.finish()
    assert run.process.returncode == 0, err
    for name in ("rows.jsonl", "rows.csv", "rows.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    asked = (out / "asked").read_text().splitlines()
    assert set(asked) == set((whole / "asked").read_text().splitlines())
    # Of each kill, what was with the model or on its way to the disk is asked again: a few parts, and nothing that was
    # there.
    assert len(asked) - len(set(asked)) <= 4 * PART * len(kept)
    assert len(kept[-1][0]) >= PICTURES, "it was killed late, too"
    for names, before in kept:
        assert not names & set(asked[before:])


@pytest.mark.slow
@needs_ray
def test_a_model_that_dies_is_begun_again(whole: Path, inputs: list[str], tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = Run([str(JOB), "ray", str(out), str(tiny_model), *inputs])
    run.await_asked(out, lines(whole / "asked") // 3)
    models = [process for process, name in run.alive().items() if "Telling" in name]
    assert len(models) == 1
    os.kill(models[0], signal.SIGKILL)
    _, err = run.finish()
    assert run.process.returncode == 0, err
    assert (out / "rows.jsonl").read_bytes() == (whole / "rows.jsonl").read_bytes()


@pytest.mark.slow
@needs_ray
def test_the_command(inputs: list[str], tiny_model: Path, tmp_path: Path) -> None:
    command = ["-m", "pixtell", "caption", *inputs, "--model", str(tiny_model), "--beams", "2", "--max-new-tokens", "8"]
    rows = []
    for words in ([], ["--engine", "ray"]):
        out = tmp_path / f"rows{len(words)}.jsonl"
        run = Run([*command, "-o", str(out), *words])
        printed, err = run.finish()
        assert (run.process.returncode, printed) == (1, ""), err
        assert f"{2 * PICTURES + 1} of {2 * PICTURES + 1} inputs" in err and "ray::" not in err
        rows.append(rows_of(out))
    assert_same_rows(rows[1], rows[0])
    left = {path.name for path in tmp_path.iterdir()}
    assert not any(name.endswith(".ray") for name in left), "what was under way is removed"
