"""MSRVTT-QA and MSVD-QA: a list of questions about clips, an answer each.

In: `[{"id", "video_id", "question", "answer"}]`. Out: a row for each clip; the question type is the question's first
word, by which the papers group scores.

The surprising thing: MSVD's clips are named by their YouTube id and seconds, and its questions by numbers; the
list that its authors give, `youtube_mapping.txt`, is used where it lies beside the questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixtell.data.formats.description import answers_of
from pixtell.data.formats.entry import Entry, numbered, text_lines
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable

TYPES = ("what", "who", "how", "when", "where")  # Xu et al. 2017, table 2
MAPPING = "youtube_mapping.txt"


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of lists of questions about clips."""
    for source in sources:
        youtube = _mapping(source.path.with_name(MAPPING))

        def question(where: str, entry: Entry, youtube: dict[str, str] = youtube) -> None:
            text = entry.need("question")
            draft = table.row(entry.need("video_id"), where)
            name = draft.id
            numbers = (f"video{name}", f"vid{name}") if name.isdecimal() else ()
            mapped = tuple(youtube[one] for one in (name, f"vid{name}") if one in youtube)
            draft.names = (*mapped, *numbers, name)
            first = text.split(maxsplit=1)[0].lower() if text.strip() else ""
            kind = first if first in TYPES else ""
            table.ask(draft, where, text, answers_of(entry), id=entry.text("id", "question_id"), question_type=kind)

        table.each(numbered(source.path, "entry", source.content), question)


def _mapping(path: Path) -> dict[str, str]:
    """The clips' names by `vid1`, `vid2`...; nothing where the list isn't there."""
    if not path.is_file():
        return {}
    pairs = [line.decode("utf-8", "replace").split() for _, line in text_lines(path)]
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
