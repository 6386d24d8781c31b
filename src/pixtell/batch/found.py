"""What the readers of folders, archives and tables report, one after another, in the order of the inputs.

In: nothing. Out: one union. An `Item` is to be captioned; a `Row` says why something can't be; `PassedOver` is neither
photo nor clip and is only counted; `Link` is a path or an address that a table names, to be looked at in its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from pixtell.batch.item import Item, printable
from pixtell.batch.row import Row
from pixtell.errors import InputError


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that is neither photo nor clip, by its suffix."""

    suffix: str


@dataclass(frozen=True, slots=True)
class Link:
    """A path or an address, as a table or a list names it."""

    text: str


Found = Item | Row | PassedOver | Link


def problem(name: str, error: InputError) -> Row:
    """The row of something that the user named and that can't be used."""
    return Row(name, "error", code=error.code, message=printable(str(error)))
