"""What is done to a text between the model and the file: words replaced, openings stripped, words put around it.

In: a text as the model said it. Out: the text as it is to be written. The surprising thing: this is not how the model
is made to say something. Words that its search must begin with or keep out are decoding's (`DecodeOptions`), and change
what follows; what is put around a text here changes nothing in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pixtell.errors import ConfigError

# "a photo of", "the black and white image shows", "this is a close up of": what says only that a picture is a picture.
_MEDIUM = r"(?:photo(?:graph)?|picture|image|view|shot|snapshot|painting|drawing|illustration|close[- ]?up)"
_OPENING = re.compile(
    rf"^(?:this is |there is |here is )?(?:an?|the|some)\s+(?:[\w-]+\s+(?:and\s+[\w-]+\s+)?)??{_MEDIUM}"
    r"(?:\s+(?:of|showing|that shows|shows|depicting|depicts))\s+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Controls:
    """What is done, in this order: `strip_openings`, then each (word or phrase, new one) of `replace`, whole words in
    any case; then `prefix` and `suffix` around it, and `trigger` with a comma in front of everything.

    Prefix and suffix are parted from the text by a space, unless they bring one or the suffix begins with a mark.
    """

    prefix: str = ""
    suffix: str = ""
    trigger: str = ""
    replace: tuple[tuple[str, str], ...] = ()
    strip_openings: bool = False

    def __post_init__(self) -> None:
        if not all(old.strip() for old, _ in self.replace):
            raise ConfigError("--replace has nothing to look for: write --replace OLD=NEW")

    def apply(self, text: str) -> str:
        """The text as it is to be written; an empty one stays empty."""
        return self.around(self.within(text))

    def within(self, text: str) -> str:
        """The text with opening and words replaced: what is done to each window of a clip."""
        if self.strip_openings:
            text = _OPENING.sub("", text)
        for old, new in self.replace:
            # Parted and joined, so that nothing in the new words is taken for a pattern's sign.
            text = new.join(re.split(rf"(?<!\w){re.escape(old)}(?!\w)", text, flags=re.IGNORECASE))
        return " ".join(text.split())

    def around(self, text: str) -> str:
        """The text with prefix, suffix and trigger around it: what is done to a caption as a whole."""
        if not text:
            return ""
        if self.prefix:
            text = self.prefix + ("" if self.prefix[-1].isspace() else " ") + text
        if self.suffix:
            text += ("" if self.suffix[0].isspace() or not self.suffix[0].isalnum() else " ") + self.suffix
        return f"{self.trigger}, {text}" if self.trigger else text


def parse_replacements(pairs: list[str]) -> tuple[tuple[str, str], ...]:
    """`OLD=NEW` texts as pairs; an empty NEW takes OLD out. Raises `ConfigError`."""
    parted = [pair.partition("=") for pair in pairs]
    if wrong := [pair for pair, (_, sign, _) in zip(pairs, parted, strict=True) if not sign]:
        raise ConfigError(f"--replace {wrong[0]!r} lacks its '=': write --replace OLD=NEW")
    return tuple((old.strip(), new.strip()) for old, _, new in parted)
