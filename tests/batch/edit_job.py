"""A job over photos whose captions a person edits: done by a stand-in for the model, with every form of output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from pixtell.batch.contact import Contact
from pixtell.batch.decode import Seen
from pixtell.batch.edits import Applied, Edit, apply_edits, last_settings
from pixtell.batch.inputs import list_items
from pixtell.batch.journal import Journal
from pixtell.batch.output import OnExisting, OutputOptions, SidecarName
from pixtell.batch.outputs import open_outputs, read_rows
from pixtell.batch.row import Row
from pixtell.batch.run import Job, Summary, run_job
from pixtell.batch.thumbnails import Thumbnails

from .test_run import SETTINGS, see_ahead

FORMS = ("rows.jsonl", "rows.csv", "rows.parquet", "rows.json", "rows.tar", "page.html")


class Model:
    """Tells of each medium what its name is, of one that it is unsure, and counts what it is asked."""

    def __init__(self, words: str = "a picture called") -> None:
        self.asked: list[str] = []
        self.words = words

    def tell(self, seen: Sequence[Seen]) -> Future[list[Row]]:
        self.asked += [one.item.relative for one in seen]
        told: Future[list[Row]] = Future()
        told.set_result([self.row(one.item.name, one.item.relative, one.sha256) for one in seen])
        return told

    def row(self, name: str, relative: str, sha256: str) -> Row:
        text = f"{self.words} {relative}"
        score = -3.0 if relative == "07.jpg" else -0.5
        return Row(name, text=text, alternatives=("another",), mean_logprob=score, review=score < -2, sha256=sha256)


class Case:
    """A job over the photos, done or to be edited."""

    def __init__(
        self,
        photos: Path,
        out: Path,
        on_existing: OnExisting = "skip",
        kinds: Sequence[str] = ("txt", "xmp"),
        forms: Sequence[str] = FORMS,
    ) -> None:
        self.photos, self.out, self.on_existing, self.kinds, self.forms = photos, out, on_existing, kinds, forms
        self.settings = SETTINGS
        out.mkdir(exist_ok=True)

    def job(self, model: Model) -> Job:
        listing = list_items([str(self.photos)])
        name: SidecarName = "full"
        text = json.dumps(self.settings)
        options = OutputOptions(self.out / "texts", name, self.on_existing, text, shard_size=4)
        paths = [str(self.out / form) for form in self.forms if form != "page.html"]
        outputs = open_outputs([*paths, *self.kinds], options)
        contact = Contact(str(self.out / "page.html"), Thumbnails(self.out / "journal.thumbs"), "photos", text)
        return Job(listing.found, outputs, see_ahead, model.tell, 3, on_existing=self.on_existing, also=[contact])

    def run(self, model: Model | None = None) -> Summary:
        with Journal(self.out / "journal", self.settings) as journal:
            return run_job(self.job(model or Model()), journal)

    def edit(self, number: int, text: str, was: str | None = None) -> Edit:
        name = f"{number:02}.jpg"
        row = next(row for row in read_rows(self.out / "rows.jsonl") if row.name.endswith(name))
        return Edit(row.name, text, row.text if was is None else was, row.sha256, line=number)

    def apply(self, *edits: Edit) -> Applied:
        model = Model()
        with Journal(self.out / "journal", last_settings(self.out / "journal")) as journal:
            applied = apply_edits(edits, self.job(model), journal)
        assert model.asked == []
        return applied

    def sidecar(self, number: int, kind: str = "txt") -> Path:
        return self.out / "texts" / f"{number:02}.jpg.{kind}"
