"""Captions of COCO: its own annotation files, and Karpathy's `dataset_coco.json`, which Flickr8k and 30k have too.

In: `{"images": [...], "annotations": [...]}`, or `{"images": [{"sentences": [...]}]}`. Out: rows by COCO's image ids,
in Karpathy's file by `cocoid` where it is there, else by `imgid`.

The surprising thing: scores called "COCO" are of Karpathy's test split, 5,000 of the pictures of val2014.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.data.formats.entry import Entry, Misshapen, numbered
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of COCO's annotation files."""

    def image(where: str, entry: Entry) -> None:
        if draft := table.new(entry.need("id"), where):
            draft.names = (entry.text("file_name"),) if entry.has("file_name") else ()

    def annotation(where: str, entry: Entry) -> None:
        name = entry.need("image_id")
        if listed and name not in table.drafts:
            raise Misshapen(f"is of the image {name}, which is not among the images")
        table.caption(table.row(name, where), where, entry.need("caption"))

    for source in sources:
        content = Entry(source.content)
        listed = content.has("images")
        table.each(numbered(source.path, "image", content.values("images")), image)
        table.each(numbered(source.path, "annotation", content.values("annotations")), annotation)


def read_karpathy(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of Karpathy's files, each with its split."""

    def image(where: str, entry: Entry) -> None:
        draft = table.new(entry.text("cocoid", "imgid") or entry.need("filename"), where)
        if draft is None:
            return
        name = entry.need("filename")
        folder = entry.text("filepath")
        draft.names = (f"{folder}/{name}", name) if folder else (name,)
        draft.split = entry.text("split")
        for sentence in entry.entries("sentences"):
            table.caption(draft, where, sentence.text("raw") or " ".join(sentence.texts("tokens")))

    for source in sources:
        table.each(numbered(source.path, "image", Entry(source.content).values("images")), image)
