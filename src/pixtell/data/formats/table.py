"""Rows on their way: what readers find of each, joined by id, and everything that can't be used.

In: a format's entries, in any order. Out: the rows of one split with their pictures' places, and the problems.

The surprising thing: a row of which nothing is said is a problem among rows that have texts, and a picture to describe
where none has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pixtell.data.formats.entry import Entry, Misshapen, Placed, printable
from pixtell.data.formats.pictures import Pictures
from pixtell.data.row import Problem, Question, Row, Stored
from pixtell.errors import ConfigError, InputError

# Karpathy's "restval" is trained on (karpathy/neuraltalk2, prepro.py); MSRVTT says "validate".
_SPLITS = {"restval": "train", "validate": "val", "validation": "val"}


@dataclass(slots=True)
class Draft:
    """A row that isn't complete yet. Its medium is `media`, or the first of `names` that is in a folder.

    `near` is the folder that names are relative to, None where the format merely names pictures.
    """

    id: str
    where: str
    media: Stored | None = None
    names: tuple[str, ...] = ()
    near: Path | None = None
    captions: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    label: str = ""
    split: str = ""

    @property
    def is_bare(self) -> bool:
        """Whether nothing is said of it."""
        return not (self.captions or self.questions or self.label)


class RowTable:
    """Drafts by id in the order they were met."""

    def __init__(self) -> None:
        self.drafts: dict[str, Draft] = {}
        self.problems: list[Problem] = []
        self._asked: set[str] = set()

    def problem(self, code: str, where: str, what: str) -> None:
        """Note what is wrong: `what` goes on after `where`."""
        self.problems.append(Problem(code, printable(where), printable(f"{where}{what}")))

    def each(self, values: Iterable[Placed], read: Callable[[str, Entry], None]) -> None:
        """Read every value as an object; one that is misshapen is a problem."""
        for where, value in values:
            try:
                read(where, Entry(value))
            except Misshapen as error:
                self.problem("broken", where, f" {error}")

    def row(self, name: str, where: str) -> Draft:
        """The row of this id, begun where there is none."""
        if name not in self.drafts:
            self.drafts[name] = Draft(name, where)
        return self.drafts[name]

    def new(self, name: str, where: str) -> Draft | None:
        """A new row; None, and a problem, where its id is taken."""
        if taken := self.drafts.get(name):
            self.problem("duplicate", where, f": the id {name} is taken by {taken.where}")
            return None
        return self.row(name, where)

    def caption(self, draft: Draft, where: str, text: str) -> None:
        """Add a caption; one of nothing is a problem."""
        if text.strip():
            draft.captions.append(text)
        else:
            self.problem("empty", where, " has an empty caption")

    def ask(
        self,
        draft: Draft,
        where: str,
        text: str,
        answers: Iterable[str] = (),
        *,
        id: str = "",
        answer_type: str = "",
        question_type: str = "",
    ) -> None:
        """Add a question; one without an id is named by its row and its place there, from 0."""
        name = id or f"{draft.id}#{len(draft.questions)}"
        if name in self._asked:
            self.problem("duplicate", where, f": the question id {name} is taken")
            return
        self._asked.add(name)
        draft.questions.append(Question(name, text, tuple(answers), answer_type, question_type))

    def finish(self, name: str, split: str | None, pictures: Pictures) -> tuple[Row, ...]:
        """The rows of a split. Raises `ConfigError` for options that don't fit, `InputError` when nothing is left."""
        drafts = _of_split(name, list(self.drafts.values()), split)
        if pictures.media and drafts and not any(draft.names for draft in drafts):
            raise ConfigError(f"--media {pictures.media}: {name} names no pictures to look for there: leave it out")
        if not all(draft.is_bare for draft in drafts):
            for draft in drafts:
                if draft.is_bare:
                    self.problem("no_texts", draft.where, " has neither captions nor questions nor a label")
            drafts = [draft for draft in drafts if not draft.is_bare]
        drafts = self._with_pictures(drafts, pictures)
        if not drafts:
            first = self.problems[0] if self.problems else Problem("empty", name, f"{name}: holds no rows")
            more = f" (and {len(self.problems) - 1:,} more problems)" if len(self.problems) > 1 else ""
            raise InputError(first.code, first.message + more)
        return tuple(
            Row(draft.id, draft.media, tuple(draft.captions), tuple(draft.questions), draft.label) for draft in drafts
        )

    def _with_pictures(self, drafts: list[Draft], pictures: Pictures) -> list[Draft]:
        """The drafts with their media. What isn't there is a problem, but of a data set that came without any."""
        wanted = [draft for draft in drafts if not draft.media and draft.names and pictures.looks(draft.near)]
        found = {draft.id: pictures.find(draft.names, draft.near) for draft in wanted}
        if wanted and not any(found.values()):
            if pictures.roots:
                raise InputError(
                    "missing",
                    f"{pictures.roots[0]}: none of the {len(wanted):,} pictures is there (the first is "
                    f"{printable(wanted[0].names[0])})",
                )
            return drafts
        for draft in wanted:
            hits = found[draft.id]
            draft.media = hits[0] if hits else pictures.expected(draft.names, draft.near)
            if not hits:
                self.problem("missing", draft.where, f": {draft.names[0]} is not at {draft.media.path}")
            elif len(hits) > 1:
                places = " and ".join(str(hit.path) for hit in hits[:2])
                self.problem("ambiguous", draft.where, f": {draft.names[0]} may be {places}: name one folder")
        return [draft for draft in drafts if len(found.get(draft.id, ())) < 2]


def _of_split(name: str, drafts: list[Draft], split: str | None) -> list[Draft]:
    """The drafts of a split. Where there are several, one has to be chosen."""
    sizes: dict[str, int] = {}
    for draft in drafts:
        if draft.split:
            one = _SPLITS.get(draft.split, draft.split)
            sizes[one] = sizes.get(one, 0) + 1
    listed = ", ".join(f"{printable(one)} ({size:,} rows)" for one, size in sizes.items())
    if split is None:
        if len(sizes) > 1:
            raise ConfigError(f"{name}: holds the splits {listed}: choose one with --split")
        return drafts
    chosen = [d for d in drafts if d.split and split in (d.split, _SPLITS.get(d.split, d.split))]
    if not chosen:
        there = f"holds {listed}" if sizes else "has no splits: leave it out"
        raise ConfigError(f"--split {split}: {name} {there}")
    return chosen
