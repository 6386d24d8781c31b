"""What the model is asked about each photo or clip of a job, and the rows that its answers make.

In: a model, and media as they were seen. Out: a row each. The surprising thing: media that can't be told about (too
many frames, say) are found out by the model only, so a pass that fails is done again one medium at a time. When memory
runs out, smaller passes are tried, and kept to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from pixtell.batch.clips import Windows, clip_row, told
from pixtell.batch.controls import Controls
from pixtell.batch.decode import Seen, later_ahead
from pixtell.batch.item import printable
from pixtell.batch.row import Row, Window
from pixtell.config import DecodeOptions
from pixtell.data.opened import FAILURES
from pixtell.errors import ConfigError, InputError, PixtellError
from pixtell.media import Media, Stretch

if TYPE_CHECKING:
    from pixtell.captioner import Captioner
    from pixtell.results import Caption

DIGITS = 5  # of log-probabilities in rows; more would be noise of the machine
NO_TEXT = "no_text"  # the code of a row whose caption is empty, though one was asked for
# What `DecodeOptions` say of a caption as a text; an answer is looked for in the same way, but is another text.
CAPTIONS_OWN = ("min_new_tokens", "no_repeat_ngram", "results", "choices", "start_with", "no_text")


@dataclass(frozen=True)
class Work:
    """What is asked: a caption (unless `captions` is false), each of `questions`, and which of `labels` fits best.

    `decoding` is how captions are searched for, and answers but for what is the caption's own (`CAPTIONS_OWN`).
    `min_score` sets rows aside whose mean log-probability a token is lower.
    """

    decoding: DecodeOptions = field(default_factory=DecodeOptions)
    captions: bool = True
    questions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    controls: Controls = field(default_factory=Controls)
    min_score: float | None = None
    resample_frames: bool = False

    def __post_init__(self) -> None:
        if not (self.captions or self.questions or self.labels):
            raise ConfigError("nothing is asked: a caption, questions or labels")

    @property
    def answering(self) -> DecodeOptions:
        """How answers are searched for."""
        plain = DecodeOptions()
        return replace(self.decoding, **{name: getattr(plain, name) for name in CAPTIONS_OWN})

    def check(self, captioner: Captioner) -> None:
        """Raise `ConfigError` for what the model can't be asked, before the first picture is opened."""
        if self.captions:
            captioner.check(self.decoding)
        if self.questions:
            captioner.check(self.answering)

    def rows(self, captioner: Captioner, seen: Sequence[Seen]) -> list[Row]:
        """A row for each medium; what fails costs only itself."""
        if not seen:
            return []
        try:
            return self._rows(captioner, seen)
        except FAILURES as error:
            if len(seen) == 1:
                return [failed_row(seen[0], error)]
            return [row for one in seen for row in self.rows(captioner, [one])]
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if captioner.batch_size > 1:
                captioner.batch_size //= 2
                return self.rows(captioner, seen)
            if len(seen) > 1:
                return [row for one in seen for row in self.rows(captioner, [one])]
            message = f"{printable(seen[0].item.name)}: memory ran out on this input alone: try a smaller model"
            return [failed_row(seen[0], InputError("memory", message))]

    def _rows(self, captioner: Captioner, seen: Sequence[Seen]) -> list[Row]:
        clips = iter(self._clip_rows(captioner, [one for one in seen if isinstance(one.outcome, Windows)]))
        others = iter(self._media_rows(captioner, [one for one in seen if isinstance(one.outcome, Media)]))
        return [next(clips if isinstance(one.outcome, Windows) else others) for one in seen]

    def _clip_rows(self, captioner: Captioner, seen: Sequence[Seen]) -> list[Row]:
        """A row for each clip in windows: the first of all clips together, the later ones clip by clip."""
        clips = [(one, one.outcome) for one in seen if isinstance(one.outcome, Windows)]
        first = iter(self._windows(captioner, [stretch for _, clip in clips for stretch in clip.seen]))
        rows = []
        for one, clip in clips:
            windows = list(islice(first, len(clip.seen)))
            for group in later_ahead(one.item, clip):
                windows += self._windows(captioner, group)
            row = clip_row(one.item.name, windows, one.sha256)
            mean = row.mean_logprob
            low = self.min_score is not None and mean is not None and mean < self.min_score
            text = self.controls.around(row.text)
            mean = None if mean is None else rounded(mean)
            rows.append(replace(row, text=text, review=low, mean_logprob=mean, code=self._code(text)))
        return rows

    def _windows(self, captioner: Captioner, stretches: Sequence[Stretch]) -> list[Window]:
        if not stretches:
            return []
        encoded = captioner.encode([one.media for one in stretches], resample_frames=self.resample_frames)
        captions = captioner.caption(encoded, self.decoding)
        return [
            told(one, self.controls.within(caption.text), rounded(caption.mean_logprob))
            for one, caption in zip(stretches, captions, strict=True)
        ]

    def _media_rows(self, captioner: Captioner, seen: Sequence[Seen]) -> list[Row]:
        if not seen:
            return []
        media = [one.outcome for one in seen if isinstance(one.outcome, Media)]
        encoded = captioner.encode(media, resample_frames=self.resample_frames)
        captions: Sequence[Caption | None] = [None] * len(encoded)
        if self.captions:
            captions = captioner.caption(encoded, self.decoding)
        count = len(self.questions)
        asked = captioner.ask(
            [medium for medium in encoded for _ in self.questions], list(self.questions) * len(encoded), self.answering
        )
        chosen = captioner.classify(encoded, self.labels) if self.labels else []
        rows = []
        for place, (one, caption) in enumerate(zip(seen, captions, strict=True)):
            answers = asked[place * count : (place + 1) * count]
            labels = chosen[place].labels if chosen else ()
            told = caption or (answers[0] if answers else None)
            text = self.controls.apply(caption.text) if caption else ""
            rows.append(
                Row(
                    one.item.name,
                    text=text,
                    alternatives=tuple(self.controls.apply(o.text) for o in caption.alternatives) if caption else (),
                    answers=tuple((answer.question, answer.text) for answer in answers),
                    labels=tuple((label.label, rounded(label.probability)) for label in labels),
                    mean_logprob=rounded(told.mean_logprob) if told else None,
                    logprob=rounded(told.logprob) if told else None,
                    review=self.min_score is not None and told is not None and told.mean_logprob < self.min_score,
                    sha256=one.sha256,
                    code=self._code(text),
                )
            )
        return rows

    def _code(self, text: str) -> str:
        return NO_TEXT if self.captions and not text else ""


def failed_row(seen: Seen, error: PixtellError) -> Row:
    """The row of an input that can't be used."""
    code = error.code if isinstance(error, InputError) else "missing_extra"
    message = printable(str(error))
    shown = printable(seen.item.name)
    if not message.startswith(f"{shown}:"):
        message = f"{shown}: {message}"
    return Row(seen.item.name, "error", code=code, message=message, sha256=seen.sha256)


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on any device."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "alloc" in str(error)


def rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


Tell = Callable[[Sequence[Seen]], list[Row]]
