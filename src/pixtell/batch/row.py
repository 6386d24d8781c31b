"""What became of one input: the row that every output writes, in its own form.

In: what the model said, or why there is nothing to say. Out: frozen values of strings and numbers, the same whether
they come from the model or from the journal of an earlier run.

The surprising thing: every input has a row. One that was skipped or failed says so, with a reason code, so that
counting rows is counting inputs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

Status = Literal["ok", "skipped", "error"]


@dataclass(frozen=True)
class Window:
    """A stretch of a clip, in seconds from its beginning, and what was said of it."""

    start: float
    end: float
    text: str
    mean_logprob: float | None = None


@dataclass(frozen=True)
class Row:
    """One input's outcome.

    `name` is unique among the inputs of a job. Of an `ok` row, `text` is the caption as it is to be written (prefix,
    suffix and replacements done) and `alternatives` the other results, best first; `answers` are (question, answer)
    pairs, `labels` (label, probability) pairs, `windows` the stretches of a long clip. `mean_logprob` is the model's
    mean log-probability a token, `review` says that it is below the limit that was set, `edited` that a person
    wrote the text: the model doesn't write it again. `same_as` names the input of
    equal content whose outcome this is. `code` is the reason why there is no text: of a row that is not `ok` as in
    `InputError.code`, or `exists`, and then `message` is the line that says it; of one that is, `no_text`.
    """

    name: str
    status: Status = "ok"
    text: str = ""
    alternatives: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, float], ...] = ()
    windows: tuple[Window, ...] = ()
    mean_logprob: float | None = None
    logprob: float | None = None
    review: bool = False
    edited: bool = False
    sha256: str = ""
    same_as: str = ""
    code: str = ""
    message: str = field(default="", repr=False)

    def content(self) -> dict[str, Any]:
        """As JSON holds it: what is empty is left out, but for name, status and the text of a good row."""
        values = {key: getattr(self, key) for key in NAMES}
        found = {key: value for key, value in values.items() if value is not False and value not in ("", None, ())}
        if self.windows:
            found["windows"] = [asdict(window) for window in self.windows]
        text = {"text": self.text} if self.status == "ok" else {}
        return {"name": self.name, "status": self.status, **text, **found}

    @classmethod
    def of(cls, content: dict[str, Any]) -> Row:
        """The row that `content` describes. Raises `TypeError` or `ValueError` for what is not a row; names that are
        not a row's fields are passed over."""
        values = {key: value for key, value in content.items() if key in NAMES}
        for key in ("alternatives", "answers", "labels"):
            if key in values:
                values[key] = tuple(tuple(one) if isinstance(one, list) else one for one in values[key])
        if "windows" in values:
            values["windows"] = tuple(Window(**one) for one in values["windows"])
        return cls(**values)


NAMES = tuple(one.name for one in fields(Row))
