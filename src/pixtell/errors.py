"""Everything Pixtell raises on purpose, as one tree.

    PixtellError                 one clear line: what is wrong, with the numbers, and the cure
    |-- InputError               a photo, clip, question or label that can't be used; `code` names the reason
    |-- ConfigError              settings that are unknown, out of range or contradict each other (a ValueError too)
    |-- CheckpointError          a model that can't be found, read or trusted
    `-- MissingExtraError        an optional package is not installed (an ImportError too); says the install line

Whoever catches `PixtellError` can print `str(error)` to a user as it is.
"""

from __future__ import annotations

from collections.abc import Iterable


class PixtellError(Exception):
    """The root of the tree; its text is written for the person who typed the command."""


class InputError(PixtellError):
    """An input that can't be used.

    `code` is a short, stable reason for programs (`missing`, `unreadable`, `empty`, `no_pictures`, `truncated`,
    `unsupported`, `too_large`, `too_narrow`, `no_video`, `broken`, `frames`, `text`, `column`, `sidecar`, `crashed`,
    `timeout`, `memory`, `fault`); the message is for people and begins with the input's name.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str]]:
        """So that it comes whole out of another process."""
        return type(self), (self.code, str(self))


class ConfigError(PixtellError, ValueError):
    """Settings that can't hold together; the message lists every problem found, not just the first."""

    @classmethod
    def listing(cls, what: str, problems: Iterable[str]) -> ConfigError:
        """Build the error for `what` from all its `problems`, one a line when there are several."""
        found = list(problems)
        if len(found) == 1:
            return cls(f"{what}: {found[0]}")
        return cls(f"{what}: {len(found)} problems\n" + "\n".join(f"  - {problem}" for problem in found))


class CheckpointError(PixtellError):
    """A checkpoint that is missing, incomplete, misshapen or of a kind that is not read."""


class MissingExtraError(PixtellError, ImportError):
    """A feature needs a package that is not installed; the message ends with the install line."""
