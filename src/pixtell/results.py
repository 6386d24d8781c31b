"""What comes out at the end of the path: texts with their scores, named by what they are about.

Frozen values of strings and numbers, nothing of torch. All log-probabilities are natural logarithms under the model as
it is, whatever filters or search led to the text; they rank texts of one model, and are not calibrated probabilities
of being right.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Caption:
    """A text about a photo or a clip.

    `token_logprobs` has a number for each of `token_ids`, and one more for [SEP] when the text ended by itself rather
    than at the length limit. `logprob` is their sum, `mean_logprob` their mean, `score` what the search ranked by (of
    beam search: the length-normalised sum). `alternatives` holds the other results, best first, where more were asked.
    """

    source: str
    text: str
    score: float
    logprob: float
    mean_logprob: float
    token_ids: tuple[int, ...] = field(repr=False)
    token_logprobs: tuple[float, ...] = field(repr=False)
    alternatives: tuple[Caption, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Answer(Caption):
    """A text that answers `question` about a photo or a clip."""

    question: str = ""


@dataclass(frozen=True)
class LabelScore:
    """One label: its probability among the labels given, and the log-probability of its text, [SEP] included."""

    label: str
    probability: float
    logprob: float


@dataclass(frozen=True)
class Classification:
    """The labels of one photo or clip, most probable first; `label` and `probability` are those of the first."""

    source: str
    labels: tuple[LabelScore, ...]

    @property
    def label(self) -> str:
        return self.labels[0].label

    @property
    def probability(self) -> float:
        return self.labels[0].probability
