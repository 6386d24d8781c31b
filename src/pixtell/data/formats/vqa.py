"""VQAv2, and what is written like it (OK-VQA): a file of questions and a file of annotations, joined by question id.

In: one or more of either. Out: a row for each picture with all its questions; without annotations, questions whose
answers are withheld. The surprising thing: no file names a picture; the name is made of the split and the image id.
"""

from __future__ import annotations

from collections.abc import Sequence

from pixtell.data.formats.description import answers_of
from pixtell.data.formats.entry import Entry, Misshapen, numbered
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable
from pixtell.errors import ConfigError, InputError

ID_DIGITS = 12  # of an image's number in its file name: COCO_val2014_000000391895.jpg


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of questions and annotations. Raises `ConfigError` for annotations without questions."""
    questions = [source for source in sources if source.kind == "vqa questions"]
    annotated = [source for source in sources if source.kind == "vqa annotations"]
    if not questions:
        raise ConfigError(f"{annotated[0].path}: holds the answers of VQA: name the file of its questions too")
    answers = _annotations(annotated, table)
    for source in questions:
        _read_questions(source, answers if annotated else None, table)
    for where, entry in answers.values():
        table.problem("missing", where, f": there is no question {entry.text('question_id')}")


def _annotations(sources: Sequence[Source], table: RowTable) -> dict[str, tuple[str, Entry]]:
    """Annotations by question id, each with its place."""
    found: dict[str, tuple[str, Entry]] = {}

    def annotation(where: str, entry: Entry) -> None:
        name = entry.need("question_id")
        if name in found:
            table.problem("duplicate", where, f": the question {name} is annotated by {found[name][0]}")
        else:
            found[name] = (where, entry)

    for source in sources:
        values = Entry(source.content).values("annotations")
        table.each(numbered(source.path, "annotation", values), annotation)
    return found


def _read_questions(source: Source, answers: dict[str, tuple[str, Entry]] | None, table: RowTable) -> None:
    """Add a file's questions, taking their annotations out of `answers`."""
    content = Entry(source.content)
    try:
        part, kind = content.text("data_subtype"), content.text("data_type") or "mscoco"
    except Misshapen as error:
        raise InputError("broken", f"{source.path}: {error}") from None
    prefix, ending = ("COCO", ".jpg") if kind == "mscoco" else (kind, ".png")  # abstract scenes are PNG

    def question(where: str, entry: Entry) -> None:
        image, name = entry.need("image_id"), entry.need("question_id")
        text = entry.need("question")
        _, annotation = (answers or {}).pop(name, ("", None))
        draft = table.row(image, where)
        number = image.zfill(ID_DIGITS)
        draft.names = (f"{prefix}_{part}_{number}{ending}", number)
        if annotation is None:
            if answers is not None:
                table.problem("missing", where, f": the question {name} has no annotation")
                return
            annotation = Entry({})
        table.ask(
            draft,
            where,
            text,
            answers_of(annotation),
            id=name,
            answer_type=annotation.text("answer_type"),
            question_type=annotation.text("question_type"),
        )

    table.each(numbered(source.path, "question", content.values("questions")), question)
