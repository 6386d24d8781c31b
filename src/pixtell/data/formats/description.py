"""What an object says of its picture, in the fields that tars, folders, JSON lines and the authors' TSV share.

In: `{"captions": [...]}`, `{"caption": ...}`, `{"qa": [{"question", "answer" | "answers"}]}`, a question itself,
`{"label": ...}` or `{"word": ...}`. Out: a draft that has them.

The surprising thing: answers stay as they are written ("soft_toy"); making them comparable is the metrics' work, and
making them learnable the training's.
"""

from __future__ import annotations

from pixtell.data.formats.entry import Entry, Misshapen
from pixtell.data.formats.table import Draft, RowTable


def add_texts(table: RowTable, draft: Draft, where: str, entry: Entry, question_id: str = "") -> None:
    """Add everything that `entry` says. `question_id` names its question where the entry itself doesn't."""
    for caption in (*entry.texts("captions"), *entry.texts("caption")):
        table.caption(draft, where, caption)
    for asked in entry.entries("qa"):
        add_question(table, draft, where, asked)
    if entry.has("question"):
        add_question(table, draft, where, entry, question_id)
    label = entry.text("label", "word")
    if label and draft.label and label != draft.label:
        raise Misshapen(f"gives {draft.id} the label {label!r}, which has {draft.label!r}")
    draft.label = draft.label or label


def add_question(table: RowTable, draft: Draft, where: str, entry: Entry, question_id: str = "") -> None:
    """Add a question with its answers, none where they are withheld."""
    table.ask(
        draft,
        where,
        entry.need("question"),
        answers_of(entry),
        id=entry.text("question_id") or question_id,
        answer_type=entry.text("answer_type"),
        question_type=entry.text("question_type"),
    )


def answers_of(entry: Entry) -> list[str]:
    """The answers, written as texts or as objects with an `answer`. Of ten that were given an empty one counts too."""
    if not entry.has("answers"):
        return [answer for answer in entry.texts("answer") if answer]
    if any(isinstance(answer, dict) for answer in entry.values("answers")):
        return [answer.text("answer") for answer in entry.entries("answers")]
    return entry.texts("answers")
