"""A run file: TOML -> a `RunConfig` for each of its stages, with single settings overruled, checked before loading.

In: a path, and overrides such as `optim.lr=2e-5`. Out: frozen `RunConfig`s: the run, and one for each of its tables
`[[then]]`, which are the run's settings with those of the table in their place. A table gives what differs, section by
section; `streams` it gives as a whole.

The surprising thing: what pydantic can't use is taken out and the rest checked once more, so that settings that
contradict each other are told together with those that are misspelt.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pixtell.errors import ConfigError
from pixtell.training.config import RunConfig, StartConfig, contradictions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

THEN = "then"
LENGTHS = frozenset({"steps", "epochs"})
# What makes a model; a stage has that of the stage before it, and may change the rest of it.
MAKES_A_MODEL = ("model", "clip", "vocab", "efficientnet", "layers")


def load_stages(path: Path, overrides: Sequence[str] = ()) -> tuple[RunConfig, ...]:
    """Read and check a run file: the run, and those that `[[then]]` go on from its model.

    Raises `ConfigError` listing every problem with the name of its field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such run file") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse_stages(text, str(path), overrides)


def parse_stages(text: str, where: str, overrides: Sequence[str] = ()) -> tuple[RunConfig, ...]:
    """The same for a run file's text, which messages call `where`."""
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from None
    problems = [problem for override in overrides for problem in _overrule(fields, override)]
    return check_stages(fields, where, problems)


def check_stages(fields: dict[str, Any], where: str, problems: Sequence[str] = ()) -> tuple[RunConfig, ...]:
    """The runs that `fields` describe. Raises `ConfigError` with these problems and all that `problems` has already."""
    first = {name: value for name, value in fields.items() if name != THEN}
    tables = fields.get(THEN, [])
    found = list(problems)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        found.append(f"{THEN}: further stages are tables under the heading [[{THEN}]], got {tables!r}")
        tables = []
    run, of_first = _checked(first)
    runs, found = [run], [*found, *of_first]
    for number, table in enumerate(tables):
        run, of_stage = _stage(first, table)
        runs.append(run)
        # What is wrong with the settings of all is told once.
        found += [f"{THEN}.{number}.{problem}" for problem in of_stage if problem not in of_first]
    if found:
        raise ConfigError.listing(where, found)
    return tuple(run for run in runs if run is not None)


def _stage(first: Mapping[str, Any], table: Mapping[str, Any]) -> tuple[RunConfig | None, list[str]]:
    """The run of a table, or what of it can be used, and what is wrong with it."""
    own, problems = dict(table), []
    if isinstance(start := own.get("start"), dict):
        changes = ", ".join(name for name in StartConfig.model_fields if name not in MAKES_A_MODEL)
        problems = [
            f"start.{name}: a stage begins from the model of the one before it; its start may give {changes}"
            for name in start
            if name in MAKES_A_MODEL
        ]
        own["start"] = {name: value for name, value in start.items() if name not in MAKES_A_MODEL}
    # A length takes the place of either length.
    replaced = {"start", *(LENGTHS if own.keys() & LENGTHS else ())}
    others = {name: value for name, value in first.items() if name not in replaced}
    run, found = _checked(_merged(others, own), inherited=_names(others) - _names(own))
    return run, [*problems, *found]


def _merged(settings: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """All settings with their `own` in place, of a section those that it gives."""
    merged = {**settings, **own}
    for name, section in own.items():
        if isinstance(section, dict) and isinstance(beside := settings.get(name), dict):
            merged[name] = {**beside, **section}
    return merged


def _names(fields: Mapping[str, Any]) -> set[str]:
    """The names of all settings that are given, those of sections with a dot."""
    inner = {f"{name}.{key}" for name, section in fields.items() if isinstance(section, dict) for key in section}
    return inner | fields.keys()


def _checked(fields: dict[str, Any], inherited: Collection[str] = ()) -> tuple[RunConfig | None, list[str]]:
    """The run, or what of it can be used, and everything that is wrong with it."""
    run, found = _validated(fields)
    return run, found if run is None else [*found, *contradictions(run, inherited)]


def _validated(fields: dict[str, Any]) -> tuple[RunConfig | None, list[str]]:
    """The run, or what of it can be used, and what can't."""
    try:
        return RunConfig.model_validate(fields), []
    except ValidationError as error:
        details = error.errors()
    # A list of streams with mistakes in them counts as empty, too: of such a pair only the inner one helps.
    inner = {d["loc"][:depth] for d in details for depth in range(len(d["loc"]))}
    problems = [_problem(d) for d in details if d["loc"] not in inner]
    usable = copy.deepcopy(fields)
    for location in {d["loc"] for d in details}:
        _remove(usable, location)
    try:
        return RunConfig.model_validate({"streams": [{"data": ""}], **usable}), problems
    except ValidationError:
        return None, problems


def _problem(details: ErrorDetails) -> str:
    """One problem in a line; of a field that is missing, or a section as a whole, there is no value to show."""
    where, what = ".".join(map(str, details["loc"])), details["msg"]
    shown = "" if isinstance(details["input"], dict) else f", got {details['input']!r}"
    return f"{where}: {what[0].lower()}{what[1:]}{shown}"


def _remove(fields: Any, location: Sequence[int | str]) -> None:
    """Take a setting out, of a list of tables the whole list."""
    for key in location[:-1]:
        if not isinstance(fields, dict) or isinstance(fields.get(key), list):
            break
        fields = fields.get(key, {})
    if isinstance(fields, dict):
        key = next((key for key in location if isinstance(fields.get(key), list)), location[-1])
        fields.pop(key, None)


def _overrule(fields: dict[str, Any], override: str) -> list[str]:
    """Set what `override` says in `fields`; returns what is wrong with it."""
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        return [f"--set {override}: say it as section.name=value, such as optim.lr=2e-5"]
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a word needs no quotation marks
    place: Any = fields
    for depth, key in enumerate(keys[:-1], start=1):
        place = place.setdefault(key, {}) if isinstance(place, dict) else _item(place, key)
        if not isinstance(place, dict | list):
            return [f"--set {override}: there is no {'.'.join(keys[:depth])} to set anything in"]
    if isinstance(place, dict):
        place[keys[-1]] = value
        return []
    return [f"--set {override}: name a setting of one of them, such as {'.'.join(keys[:-1])}.0.{keys[-1]}"]


def _item(place: Any, key: str) -> Any:
    return place[int(key)] if isinstance(place, list) and key.isdecimal() and int(key) < len(place) else None
