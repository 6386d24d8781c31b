"""What README.md and docs/ claim: every command runs and prints what stands there, and every link leads somewhere."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from pathlib import Path

import pages
import pytest

import pixtell
from pixtell.errors import InputError

ROOT = pages.ROOT
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
# Blocks that are not run, and why. A new one is a decision: it is counted here.
NOT_RUN = {
    "README.md": Counter({"it installs": 2, "needs the network": 2, "it takes two hours": 1, "it takes minutes": 1}),
    "CONTRIBUTING.md": Counter({"it installs, and runs the tests": 1}),
    "docs/ray.md": Counter({"needs Ray": 1}),
    "docs/training.md": Counter(
        {
            "it takes minutes": 1,
            "the times and memory are this machine's": 1,
            "it takes hours": 1,
            "it needs several processes": 1,
            "it needs several machines": 1,
        }
    ),
    "docs/evaluation.md": Counter({"needs the network and COCO": 1}),
}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages.PAGES, ids=page_id)
def test_every_command_prints_what_the_page_shows(page: Path, bundled: str) -> None:
    with pages.bench() as here:
        for block in pages.blocks(page.read_text(encoding="utf-8")):
            for command in () if block.not_run else block.commands:
                printed = here.output(command)
                assert pages.alike(printed, command.output), (
                    f"{page_id(page)}: {command.typed}\nprints:\n{printed}\nand the page shows:\n{command.output}\n"
                    "scripts/update-docs writes the real output into the page"
                )


def test_blocks_that_are_not_run_are_counted() -> None:
    found = {}
    for page in pages.PAGES:
        reasons = Counter(block.not_run for block in pages.blocks(page.read_text(encoding="utf-8")) if block.not_run)
        if reasons:
            found[page_id(page)] = reasons
    assert found == NOT_RUN


@pytest.mark.parametrize("page", pages.PAGES, ids=page_id)
def test_commands_stand_only_in_blocks_that_are_run(page: Path) -> None:
    languages = {block.language for block in pages.blocks(page.read_text(encoding="utf-8"))}
    assert languages <= {*pages.RUN, "text", "toml"}


@pytest.mark.parametrize("page", [*pages.PAGES, ROOT / "CHANGELOG.md"], ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def picture(text: str) -> str:
    """The picture of the path: from what comes in to the end of the indented part, without its margin."""
    start = text.rindex("\n", 0, text.index('a photo, a clip, bytes, "-"')) + 1
    end = re.compile(r"^(```|\s*>>>)", re.MULTILINE).search(text, start)
    assert end is not None
    return textwrap.dedent(text[start : end.start()]).strip()


@pytest.mark.parametrize("page", ["README.md", "docs/path.md"])
def test_the_picture_of_the_path_is_everywhere_the_same(page: str) -> None:
    assert picture((ROOT / page).read_text(encoding="utf-8")) == picture(pixtell.__doc__ or "")


def test_the_changelog_knows_the_version() -> None:
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == pixtell.__version__


def test_every_error_code_is_documented() -> None:
    codes = set(re.findall(r"`(\w+)`", (InputError.__doc__ or "").split("(")[1].split(")")[0]))
    table = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert codes <= table


# ---- the machinery


PAGE = """
<!-- not run: needs the network -->
```console
$ pixtell caption far.jpg
```

```console
$ echo one \\
  two
one two
$ false  # exit code 1
$ echo 1.2345 > a; cat a
1.2399
```

```python
print(open("a").read().strip())
```

```text
something else
```
"""


def test_blocks_are_read() -> None:
    far, shell, script, _ = pages.blocks(PAGE)
    assert (far.not_run, shell.not_run, script.not_run) == ("needs the network", None, None)
    assert [command.typed for command in shell.commands] == [
        "echo one \\\n  two",
        "false  # exit code 1",
        "echo 1.2345 > a; cat a",
    ]
    assert [command.output for command in shell.commands] == ["one two\n", "", "1.2399\n"]
    assert script.commands[0].output == "something else\n"


def test_a_page_is_rewritten_where_it_is_wrong() -> None:
    with pages.bench() as here:
        assert pages.rewritten(PAGE, here) == PAGE.replace("something else", "1.2345")


def test_a_command_that_ends_otherwise_is_told() -> None:
    (block,) = pages.blocks("```console\n$ exit 3\n```\n")
    with pages.bench() as here, pytest.raises(AssertionError, match="ended with 3"):
        here.output(block.commands[0])


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        ("a dog 0.501", "a dog 0.502", True),
        ("a dog 0.501", "a dog 0.601", False),
        ("a dog 0.501", "a cat 0.501", False),
        ("6 frames", "7 frames", False),
        ("1.0 2.0", "1.0", False),
    ],
)
def test_only_numbers_with_a_point_may_differ_a_little(printed: str, shown: str, same: bool) -> None:
    assert pages.alike(printed, shown) is same
