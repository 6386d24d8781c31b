"""A run file: TOML -> `RunConfig`, with single settings overruled, checked before anything is loaded.

In: a path, and overrides such as `optim.lr=2e-5`. Out: a frozen `RunConfig`. The surprising thing: what pydantic can't
use is taken out and the rest checked once more, so that settings that contradict each other are told together with
those that are misspelt.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pixtell.errors import ConfigError
from pixtell.training.config import RunConfig, contradictions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load_run(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and check a run file. Raises `ConfigError` listing every problem with the name of its field."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such run file") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse_run(text, str(path), overrides)


def parse_run(text: str, where: str, overrides: Sequence[str] = ()) -> RunConfig:
    """The same for a run file's text, which messages call `where`."""
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from None
    problems = [problem for override in overrides for problem in _overrule(fields, override)]
    return check_run(fields, where, problems)


def check_run(fields: dict[str, Any], where: str, problems: Sequence[str] = ()) -> RunConfig:
    """The run that `fields` describe. Raises `ConfigError` with these problems and all that `problems` has already."""
    run, found = _validated(fields)
    found = [*problems, *found]
    if run is not None:
        found += contradictions(run)
    if found or run is None:
        raise ConfigError.listing(where, found)
    return run


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
