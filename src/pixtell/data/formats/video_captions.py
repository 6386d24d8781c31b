"""Captions of MSRVTT (`videodatainfo.json`: clips, their splits, sentences about them) and of VATEX (a list of clips).

In: `{"videos": [...], "sentences": [...]}` or `[{"videoID", "enCap", "chCap"}]`. Out: rows by the clips' names
(`video7010`; of VATEX a YouTube id and seconds, `Ptf_2VRj-V0_000122_000132`), of VATEX with the English captions.

The surprising thing: one file of MSRVTT holds training and validation, the other only the test split, so a split has to
be chosen only for the first.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.data.formats.entry import Entry, Misshapen, numbered
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of MSRVTT's and VATEX's files."""

    def video(where: str, entry: Entry) -> None:
        if draft := table.new(entry.need("video_id"), where):
            draft.names = (draft.id,)
            draft.split = entry.text("split")

    def sentence(where: str, entry: Entry) -> None:
        name = entry.need("video_id")
        if name not in table.drafts:
            raise Misshapen(f"is about {name}, which is not among the videos")
        table.caption(table.drafts[name], where, entry.need("caption"))

    def vatex(where: str, entry: Entry) -> None:
        if draft := table.new(entry.need("videoID"), where):
            draft.names = (draft.id,)
            for caption in entry.texts("enCap"):
                table.caption(draft, where, caption)

    for source in sources:
        if isinstance(source.content, list):
            table.each(numbered(source.path, "entry", source.content), vatex)
            continue
        content = Entry(source.content)
        table.each(numbered(source.path, "video", content.values("videos")), video)
        table.each(numbered(source.path, "sentence", content.values("sentences")), sentence)
