"""The predictions file: one JSON object a line, first how the run was made, then a text (or an error) for each item.

In: settings and texts as they are found. Out: a file that a person reads, a scorer scores again, and a stopped run goes
on from. Results written by other tools (COCO result JSON, EvalAI's VQA JSON) are read as predictions too.

The surprising thing: a file is never rewritten. Lines are appended and flushed to disk batch by batch; of a run that
was killed only a last line without an end may be half there, and going on cuts that off. A later text of an item that
had failed takes its failure's place.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from pixtell.config import DecodeOptions, PixelConfig
from pixtell.data.dataset import Problem
from pixtell.data.lock import lock
from pixtell.data.opened import Looks
from pixtell.errors import ConfigError, InputError, PixtellError

Task = Literal["caption", "question", "classify", "scene-text"]
TASKS: tuple[Task, ...] = get_args(Task)

_BEGINNING = b'{"run": {'  # of a file of ours

# The keys under which other tools write an item's id and its text.
_FOREIGN = (("id", "text"), ("image_id", "caption"), ("question_id", "answer"), ("id", "caption"), ("id", "answer"))


@dataclass(frozen=True)
class Run:
    """How predictions were made: everything that decides a text, then what is only good to know.

    `model_sha256` is of the weights as computed with, config and vocabulary; `asked_sha256` of the items' ids and
    questions. `max_steps`, when set, limits prompt and text together as the authors count it, instead of
    `decoding.max_new_tokens`. `released` is the released checkpoint that the model is, if it is one.
    """

    task: Task
    model: str
    model_sha256: str
    asked_sha256: str
    items: int
    decoding: DecodeOptions
    pixels: PixelConfig
    looks: Looks
    dtype: str
    max_steps: int | None = None
    preset: str = ""
    released: str = ""
    source: tuple[str, ...] = ()
    device: str = ""
    pixtell: str = ""
    torch: str = ""

    def differences(self, other: Run) -> list[str]:
        """What decides texts and is not the same in `other`, a line each."""
        decisive = [
            one.name for one in fields(self) if one.name not in ("model", "released", "source", "device", "torch")
        ]
        ours, theirs = asdict(self), asdict(other)
        found = []
        for name in decisive:
            if isinstance(ours[name], dict):
                pairs = [(f"{name}.{key}", ours[name][key], theirs[name][key]) for key in ours[name]]
            else:
                pairs = [(name, ours[name], theirs[name])]
            found += [f"{key}: {was!r} in the file, {now!r} now" for key, was, now in pairs if was != now]
        return found


@dataclass(frozen=True)
class Prediction:
    """The text for one item, or the error it failed with.

    `id` is the row's, or the question's for answers; then `row` is the picture's. `media` is the beginning of the
    SHA-256 of the picture's or clip's bytes, `seconds` its share of the time that its batch took.
    """

    id: str
    text: str = ""
    row: str = ""
    question: str = ""
    mean_logprob: float | None = None
    media: str = ""
    seconds: float | None = None
    error: str = ""
    code: str = ""

    def line(self) -> str:
        """As one line of the file: what is empty is left out, the text of a good one never is."""
        values = {name: value for name, value in asdict(self).items() if value not in ("", None)}
        if not self.error:
            values = {"id": self.id, **{k: v for k, v in values.items() if k in ("row", "question")}, "text": self.text}
            values |= {k: v for k, v in asdict(self).items() if k not in values and v not in ("", None)}
        return json.dumps(values, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Predictions:
    """What a predictions file holds. `run` is None where another tool wrote it; `problems` are its bad lines."""

    path: Path
    run: Run | None
    items: tuple[Prediction, ...] = field(repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def sha256(self) -> str:
        """The file's digest."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def read_predictions(path: str | Path) -> Predictions:
    """Read a predictions file: ours, any JSONL of ids and texts, COCO result JSON, or EvalAI's VQA JSON.

    Lines that can't be read and ids that come twice are `problems`, each named; of an id's texts the first counts.
    Raises `InputError` for a file that is missing, empty or altogether something else.
    """
    path = Path(path)
    text = _read_text(path)
    problems: list[Problem] = []
    run: Run | None = None
    if text.lstrip().startswith("["):
        objects = [(f"{path}: entry {n}", entry) for n, entry in enumerate(_read_array(path, text), 1)]
    else:
        objects = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            try:
                entry = json.loads(line)
            except ValueError as error:
                problems.append(Problem("broken", where, f"{where} is not JSON ({error})"))
                continue
            if isinstance(entry, dict) and "run" in entry:
                run = _read_run(entry["run"], where)
            else:
                objects.append((where, entry))
    items, more = _read_items(objects)
    if not items and not run:
        what = f": {problems[0].message}" if problems else ""
        raise InputError("broken", f"{path}: holds no predictions (JSON objects with id and text, one a line){what}")
    return Predictions(path, run, tuple(items), (*problems, *more))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("missing", f"{path}: no such file; pixtell predict writes one") from None
    except UnicodeDecodeError as error:
        raise InputError("broken", f"{path}: is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError("unreadable", f"{path}: can't be read ({error.strerror or error})") from None


def _read_array(path: Path, text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError("broken", f"{path}: broken JSON at line {error.lineno}, column {error.colno}") from None
    return list(found)


def _read_items(objects: Iterable[tuple[str, Any]]) -> tuple[list[Prediction], list[Problem]]:
    found: dict[str, Prediction] = {}
    problems: list[Problem] = []
    for where, entry in objects:
        one = _read_item(entry)
        if one is None:
            problems.append(Problem("broken", where, f"{where} has no id and text"))
        elif one.id not in found or found[one.id].error:
            found[one.id] = one
        elif not one.error:
            problems.append(
                Problem("duplicate", one.id, f"{one.id} has more than one text ({where}): the first counts")
            )
    return list(found.values()), problems


def _read_item(entry: Any) -> Prediction | None:
    if not isinstance(entry, dict):
        return None
    for id_key, text_key in (*_FOREIGN, ("id", "error")):
        if isinstance(entry.get(id_key), str | int) and isinstance(entry.get(text_key), str):
            own = {one.name: entry[one.name] for one in fields(Prediction) if one.name in entry}
            values: dict[str, Any] = {**own, "id": str(entry[id_key])}
            if text_key != "error":
                values["text"] = entry[text_key]
            return Prediction(**values)
    return None


def _read_run(content: Any, where: str) -> Run:
    try:
        built = {
            "decoding": DecodeOptions(**_tuples(content["decoding"])),
            "pixels": PixelConfig(**_tuples(content["pixels"])),
            "looks": Looks(**content["looks"]),
        }
        return Run(**{**_tuples(content), **built})
    except (TypeError, KeyError, ConfigError) as error:
        raise InputError(
            "broken", f"{where}: its run settings are not those of this version ({type(error).__name__}: {error})"
        ) from None


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that frozen settings hold."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


class PredictionWriter:
    """Appends to a predictions file; begins it, or goes on with one of the same run.

    `done` are the predictions that are there already. Raises `ConfigError` when the file was made with other settings,
    listing each, `InputError` when it is not a predictions file, and `PixtellError` when another process writes it.
    """

    def __init__(self, path: str | Path, run: Run, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("r+b" if self.path.exists() else "w+b")
        except OSError as error:
            raise PixtellError(f"{self.path}: can't be written ({error.strerror or error})") from None
        try:
            lock(self._file.fileno(), self.path, "wait for that, or name another file")
            self.done = self._resume(run, overwrite)
        except BaseException:
            self._file.close()
            raise

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Write a batch and see it onto the disk. Raises `PixtellError` when that fails; what stood there stays."""
        self._write("".join(prediction.line() for prediction in predictions))

    def close(self) -> None:
        """Let other processes write the file."""
        self._file.close()

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _resume(self, run: Run, overwrite: bool) -> tuple[Prediction, ...]:
        """Drop a last line that was not finished, and compare settings; an empty file gets its first line.

        A file that is not ours is left as it is, whatever was asked.
        """
        content = self._file.read()
        if content[: len(_BEGINNING)] != _BEGINNING[: len(content)]:
            raise ConfigError(f"{self.path}: was not written by pixtell predict: name another file with -o")
        whole = 0 if overwrite else content.rfind(b"\n") + 1
        self._file.truncate(whole)
        self._file.seek(whole)
        if not whole:
            self._write(json.dumps({"run": asdict(run)}, ensure_ascii=False) + "\n")
            return ()
        found = read_predictions(self.path)
        if found.problems:
            raise InputError("broken", f"{found.problems[0].message}: mend it, or write to another file")
        assert found.run is not None  # the file begins with it
        if differences := found.run.differences(run):
            cure = "go on with the settings of the file, name another with -o, or start anew with --overwrite"
            raise ConfigError.listing(f"{self.path} was made otherwise ({cure})", differences)
        return found.items

    def _write(self, text: str) -> None:
        try:
            self._file.write(text.encode("utf-8"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise PixtellError(
                f"{self.path}: can't be written ({error.strerror or error}); what is there is kept, and the same "
                "command goes on from it"
            ) from None


def export(predictions: Predictions, task: Task, path: str | Path) -> None:
    """Write texts as other tools read them: COCO result JSON for captions, EvalAI's VQA JSON for answers.

    Raises `ConfigError` for a task that has no such format. Ids that are numbers are written as numbers.
    """
    keys = {"caption": ("image_id", "caption"), "question": ("question_id", "answer")}.get(task)
    if keys is None:
        raise ConfigError(f"export: there is no common format for {task}; the predictions file is JSONL")
    texts = [{keys[0]: _number(one.id), keys[1]: one.text} for one in predictions.items if not one.error]
    write_text(path, json.dumps(texts, ensure_ascii=False) + "\n")


def _number(name: str) -> str | int:
    return int(name) if name.isdecimal() and name.isascii() and str(int(name)) == name else name


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all. Raises `PixtellError`."""
    path = Path(path)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise PixtellError(f"{path}: can't be written ({error.strerror or error})") from None
    finally:
        fresh.unlink(missing_ok=True)
