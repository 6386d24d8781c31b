"""Pages of one file as a browser finds them: their elements, what they let in, and what it draws where one is here."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

HOSTILE = "</script><script>document.title='broken'</script><!-- <img src=x onerror=alert(1)> $title ${x} & \"'"
HALF = "half a character \ud800, \u2028, 😀, مرحبا"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update")
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, not an address

Attributes = dict[str, str | None]


class Elements(HTMLParser):
    """Every element of a page with its attributes and the text it begins with, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, Attributes, list[str]]] = []
        self.inside = False  # the last one found
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1][2].append(data)

    def all(self, tag: str, **wanted: str) -> Iterator[tuple[Attributes, str]]:
        for name, attributes, texts in self.found:
            if name == tag and wanted.items() <= attributes.items():
                yield attributes, "".join(texts)

    def tags(self) -> list[tuple[str, Attributes]]:
        return [(tag, attributes) for tag, attributes, _ in self.found]


def embedded(text: str) -> Any:
    """The data of a page, in which no character could have ended it early."""
    [(_, raw)] = Elements(text).all("script", id="data")
    assert raw.isascii() and not set("<>&") & set(raw)
    return json.loads(raw)


def digest(source: str) -> str:
    """As a policy names a script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def assert_closed(text: str) -> None:
    """A page lets in one style and one script, its own, and nothing from outside."""
    elements = Elements(text)
    [(meta, _)] = [one for one in elements.all("meta") if one[0].get("http-equiv") == "Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in (meta["content"] or "").split(";"))
    [style] = [source for _, source in elements.all("style")]
    [script] = [source for attributes, source in elements.all("script") if not attributes]
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": digest(style),
        "script-src": digest(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert set(re.findall(r"https?://[^\s\"']*", text)) <= {NAMESPACE}
    assert "innerHTML" not in text and "insertAdjacent" not in text
    for _, attributes in elements.tags():
        assert not any(name.startswith("on") or name in ("style", "src") for name in attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:"))


def drawn(path: Path, *options: str) -> Elements:
    """The page's elements as a browser has them once it is loaded; it keeps its profile beside the page."""
    assert BROWSER
    profile = f"--user-data-dir={path.parent / 'profile'}"
    command = [BROWSER, "--headless", "--no-sandbox", *QUIET, profile, *options, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True, timeout=120)
    found = Elements(done.stdout)
    [(error, message)] = found.all("p", id="error")
    assert "hidden" in error, message
    return found
