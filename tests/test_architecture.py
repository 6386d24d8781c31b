"""The shape of the source, held by a test: who may import whom, how long things may be, what a quick start leaves out.

The map is the design's (docs/path.md tells it in words). A new file of the path gets a line here, in the same commit.
"""

from __future__ import annotations

import ast
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pixtell"
MAX_FILE, MAX_FUNCTION = 400, 60  # lines
HELP_SECONDS = 0.4

# A file of the path, or a room (a folder), and what of Pixtell it may import besides itself. Nothing imports cli.
MAY_IMPORT = {
    "errors": "",
    "memory": "",
    "threads": "",
    "config": "errors",
    "results": "",
    "look": "errors",
    "video": "errors look",
    "photo": "errors look video",
    "media": "errors config look photo video",
    "pixels": "errors config",
    "attention": "",
    "vision": "errors config attention",
    "prefix": "errors config",
    "cache": "",
    "decoder": "config attention cache prefix",
    "model": "config vision prefix decoder cache",
    "packed": "errors attention vision decoder model",
    "placement": "errors memory model packed",
    "tokenizer": "errors",
    "decoding": "errors config cache",
    "constraints": "errors config tokenizer decoding",
    "checkpoint": "errors config media pixels model tokenizer",
    "captioner": "errors config results media video pixels model cache tokenizer decoding constraints checkpoint "
    "placement",
    "__init__": "errors config results media captioner",
    "page": "",
    "data": "errors memory config media pixels tokenizer",
    "training": "errors memory config media pixels page vision model tokenizer decoding checkpoint data",
    "evaluation": "pixtell errors config results media captioner page data",
    "batch": "errors config results look media pixels captioner page data",
    "cli": "pixtell errors memory threads config results media captioner checkpoint data training evaluation batch",
    "__main__": "cli",
}
# Packages that only one file, or one room, knows.
ONE_HOME = {
    "av": "video",
    "huggingface_hub": "checkpoint cli",
    "tokenizers": "tokenizer",
    "typer": "cli",
    "rich": "cli",
}
# What takes long to import, or is not everywhere. (typer itself brings pydantic.)
HEAVY = ("torch", "numpy", "PIL", "av", "tokenizers", "huggingface_hub", "safetensors")


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def unit(path: Path) -> str:
    """The file of the path, or the room, that a source file belongs to."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> Iterator[str]:
    """The dotted name of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def units_imported(path: Path) -> set[str]:
    names = (name.split(".") for name in imports(path))
    return {parts[1] if len(parts) > 1 else "pixtell" for parts in names if parts[0] == "pixtell"}


def test_the_map_names_what_is_there() -> None:
    there = {unit(path) for path in python_files("src")}
    assert there == set(MAY_IMPORT), "a file or room without a line in MAY_IMPORT, or a line without one"


@pytest.mark.parametrize("path", python_files("src"), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_follow_the_map(path: Path) -> None:
    surplus = units_imported(path) - {unit(path)} - set(MAY_IMPORT[unit(path)].split())
    assert not surplus, f"{path.name} imports {', '.join(sorted(surplus))}, which the map doesn't allow"


@pytest.mark.parametrize("package", ONE_HOME)
def test_a_package_has_one_home(package: str) -> None:
    users = {unit(path) for path in python_files("src") if package in {name.split(".")[0] for name in imports(path)}}
    assert users <= set(ONE_HOME[package].split())


def test_the_mean_of_clip_stands_in_one_place() -> None:
    assert [path.name for path in python_files("src") if "0.48145466" in path.read_text(encoding="utf-8")] == [
        "config.py"
    ]


@pytest.mark.parametrize(
    "path", python_files("src", "tests", "benchmarks"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION} == {}


def test_no_file_is_a_drawer() -> None:
    assert [
        path for path in python_files("src", "tests", "benchmarks") if path.stem in ("utils", "util", "misc", "helpers")
    ] == []


@pytest.mark.parametrize("path", python_files("src"), ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def heavy_after(code: str) -> list[str]:
    """Which heavy packages a fresh Python has imported after `code`."""
    report = f"import json, sys; {code}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    output = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout
    found: list[str] = json.loads(output.splitlines()[-1])
    return found


def test_importing_pixtell_is_light() -> None:
    assert heavy_after("import pixtell; pixtell.PRESETS, pixtell.DecodeOptions()") == []


@pytest.mark.parametrize("arguments", [["--help"], ["caption", "--help"], ["--version"], ["caption", "--nonsense"]])
def test_asking_for_help_is_light(arguments: list[str]) -> None:
    assert heavy_after(f"from pixtell.cli.main import main; main({arguments})") == []


def test_listing_models_needs_no_torch() -> None:
    assert "torch" not in heavy_after("from pixtell.cli.main import main; main(['models'])")


def test_help_comes_at_once() -> None:
    """Processor time, the best of five, so that other work on the machine doesn't decide."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "pixtell", "--help"], stdout=subprocess.DEVNULL, check=True, env=os.environ
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < HELP_SECONDS
