"""TextVQA and its sibling TextCaps: `{"data": [...]}`, an object for each question or for each caption.

In: their files. Out: a row for each picture. The surprising thing: in TextCaps each of a picture's five objects
repeats the other four captions too (`reference_strs`), so only its own, `caption_str`, is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.data.formats.description import add_question
from pixtell.data.formats.entry import Entry, numbered
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of TextVQA or TextCaps."""

    def datum(where: str, entry: Entry) -> None:
        draft = table.row(entry.need("image_id"), where)
        draft.names = (draft.id,)
        draft.split = entry.text("set_name")
        if entry.has("caption_str"):
            table.caption(draft, where, entry.need("caption_str"))
        elif entry.text("question"):  # TextCaps' test file has empty ones
            add_question(table, draft, where, entry)

    for source in sources:
        table.each(numbered(source.path, "datum", Entry(source.content).values("data")), datum)
