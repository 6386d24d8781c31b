"""MSRVTT's captions: `videodatainfo.json`, with clips, their splits, and sentences about them.

In: `{"videos": [...], "sentences": [...]}`. Out: rows by the clips' names (`video7010`). The surprising thing: one file
holds training and validation, the other only the test split, so a split has to be chosen only for the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.data.formats.entry import Entry, Misshapen, numbered
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of MSRVTT's files."""

    def video(where: str, entry: Entry) -> None:
        if draft := table.new(entry.need("video_id"), where):
            draft.names = (draft.id,)
            draft.split = entry.text("split")

    def sentence(where: str, entry: Entry) -> None:
        name = entry.need("video_id")
        if name not in table.drafts:
            raise Misshapen(f"is about {name}, which is not among the videos")
        table.caption(table.drafts[name], where, entry.need("caption"))

    for source in sources:
        content = Entry(source.content)
        table.each(numbered(source.path, "video", content.values("videos")), video)
        table.each(numbered(source.path, "sentence", content.values("sentences")), sentence)
