"""The commands in README.md and docs/, run, and what they print: compared by test_docs.py, rewritten by this file.

In: a page. Out: its blocks, each with what stands in the page and what came out. Two kinds of block are run:

    ```console    lines that begin with `$ ` are commands, a `\\` at the end continues one; other lines are its output
    ```python     a script; a ```text block right after it is its output

All blocks of a page run in one new folder that holds a copy of examples/. Output is stdout, unless a command says 2>&1.
A command ends well unless it says `# exit code 1`. Before a block that can't be run stands `<!-- not run: why -->`.

`python tests/pages.py [PAGE...]`, or scripts/update-docs, writes the real output into the pages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = ("console", "python")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (.+) -->\n+$")
EXIT_CODE = re.compile(r"# exit code (\d+)$")
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
NEAR = 0.01  # how far two processors may differ in a number, of its size and beside


@dataclass(frozen=True)
class Command:
    """One thing that is run: a line for the shell, or a script, and the output that stands in the page."""

    typed: str
    script: bool
    output: str

    @property
    def exit_code(self) -> int:
        found = None if self.script else EXIT_CODE.search(self.typed)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: where, of which language, its content, and why it is not run, if so."""

    start: int
    end: int
    language: str
    content: str
    not_run: str | None = None
    commands: tuple[Command, ...] = field(default=())


def blocks(text: str) -> list[Block]:
    """The blocks of a page; the output of a script is part of its block."""
    found: list[Block] = []
    fences = list(FENCE.finditer(text))
    for number, fence in enumerate(fences):
        language, content = fence.groups()
        reason = NOT_RUN.search(text[: fence.start()])
        commands: tuple[Command, ...] = ()
        end = fence.end()
        if language == "console":
            commands = tuple(_console(content))
        elif language == "python":
            after = fences[number + 1] if number + 1 < len(fences) else None
            follows = after is not None and after[1] == "text" and not text[end : after.start()].strip()
            commands = (Command(content, True, after[2] if after and follows else ""),)
            end = after.end() if after and follows else end
        found.append(Block(fence.start(), end, language, content, reason[1] if reason else None, commands))
    return found


def _console(content: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        length = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        yield Command("".join(lines[:length]).rstrip("\n"), False, "".join(lines[length:]))


@dataclass(frozen=True)
class Bench:
    """A folder to run in, and the environment."""

    folder: Path
    environment: dict[str, str]

    def output(self, command: Command) -> str:
        """What a command prints. Raises AssertionError when it ends otherwise than the page says."""
        words = [sys.executable, "-c", command.typed] if command.script else ["bash", "-c", command.typed]
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == command.exit_code, f"{command.typed}\nended with {done.returncode}\n{done.stderr}"
        return done.stdout


@contextmanager
def bench() -> Iterator[Bench]:
    """A new folder with examples/ in it, `pixtell` on the path, and neither network nor cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pixtell"
        shutil.copytree(ROOT / "examples", folder / "examples")
        programs = Path(name) / "bin"
        programs.mkdir()
        (programs / "pixtell").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pixtell "$@"\n')
        (programs / "pixtell").chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        imports = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
        quiet = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(Path(name) / "hub"), "COLUMNS": "80", "NO_COLOR": "1"}
        yield Bench(folder, {**os.environ, "PATH": path, "PYTHONPATH": imports, **quiet})


def alike(printed: str, shown: str) -> bool:
    """Whether output is what the page shows: letter for letter, but for the last digits of numbers with a point."""
    numbers = [(float(a), float(b)) for a, b in zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=False)]
    near = all(abs(a - b) <= NEAR * (1 + abs(b)) for a, b in numbers)
    return near and NUMBER.sub("#", printed) == NUMBER.sub("#", shown)


def rewritten(text: str, here: Bench) -> str:
    """A page with the real output of everything that is run; output that is alike stays as it is."""
    pieces: list[str] = []
    place = 0
    for block in blocks(text):
        if block.not_run or block.language not in RUN:
            continue
        outputs = [here.output(command) for command in block.commands]
        shown = [o if not alike(o, c.output) else c.output for c, o in zip(block.commands, outputs, strict=True)]
        pieces += [text[place : block.start], _fenced(block, shown)]
        place = block.end
    return "".join([*pieces, text[place:]])


def _fenced(block: Block, outputs: list[str]) -> str:
    if block.language == "console":
        told = "".join(f"$ {c.typed}\n{output}" for c, output in zip(block.commands, outputs, strict=True))
        return f"```console\n{told}```"
    script = f"```python\n{block.content}```"
    return f"{script}\n\n```text\n{outputs[0]}```" if outputs[0] else script


def main(names: list[str]) -> int:
    """Write the real output into the pages; says which changed."""
    for page in [Path(name).resolve() for name in names] or PAGES:
        text = page.read_text(encoding="utf-8")
        with bench() as here:
            new = rewritten(text, here)
        print(f"{page.name}: {'unchanged' if new == text else 'rewritten'}")
        page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
