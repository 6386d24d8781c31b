"""Self-critical training: texts that a judge likes better than the usual one become likelier (arXiv 1612.00563).

In: batches with references, and a reward as a callable. Out: a `Lesson` whose tokens weigh
(reward - baseline) / length / samples, so that its loss is -(reward - baseline) times the mean log-probability of a
text's tokens, as in the authors' `decoder.py` (git-facts 1.4). A picture's samples share one pass of its visual tokens
twice: when they are drawn, from one cache, and when they are learnt, as K texts of one medium.

A batch with questions is learnt as it is: its answers are short and certain, and who stops learning them forgets them.
So are names of classes, and words, of which there is no more than one thing to say.

The surprising thing: nothing is learnt while texts are drawn. What they were drawn from is thrown away, and one
teacher-forced pass over the finished texts gives the same log-probabilities with gradients.

    B media, K samples a medium, T tokens
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pixtell.config import DecodeOptions
from pixtell.data.loader import Batch, Stream, pad_sequences
from pixtell.decoding.loop import Prompt, generate
from pixtell.decoding.strategies import Hypothesis
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.tokenizer import Tokenizer
from pixtell.training.config import ScstConfig
from pixtell.training.step import Lesson, Weighed, captions, on_device, scaled
from pixtell.training.trainee import Trainee


@dataclass(frozen=True)
class Said:
    """A text that the model made; `ended` is false where it ran into the limit, for which a reward may be lower."""

    text: str
    ended: bool


# The reward of each text, given the references of its picture.
Reward = Callable[[Sequence[tuple[str, ...]], Sequence[Said]], Sequence[float]]


class SelfCritical:
    """The objective: samples of each picture in place of its texts."""

    def __init__(self, config: ScstConfig, tokenizer: Tokenizer, reward: Reward) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.reward = reward

    def __call__(self, trainee: Trainee, batches: Sequence[Batch]) -> Lesson:
        """Of captions draw texts from the model as it is at this step, and weigh their tokens by what they gained."""
        described = [batch for batch in batches if only_captions(batch)]
        asked = [batch for batch in batches if not only_captions(batch)]
        parts = [] if not asked else list(captions(trainee, asked).parts)
        if not described:
            return Lesson(parts)
        rewarded, numbers = self.rewarded(trainee, described)
        if share := self.config.captions:
            rewarded = [scaled(part, 1 - share) for part in rewarded]
            parts += [scaled(part, share) for part in captions(trainee, described).parts]
        return Lesson([*rewarded, *parts], numbers)

    def rewarded(
        self, trainee: Trainee, batches: Sequence[Batch]
    ) -> tuple[list[Weighed], tuple[tuple[str, float], ...]]:
        """Samples of the batches' media, weighed, and what they earned on average beside what was to be expected."""
        model = trainee.plain(mean=False)
        (media,) = trainee.world.sum(sum(batch.media for batch in batches))
        bf16 = trainee.run.precision == "bf16"
        parts, earned, expected = [], 0.0, 0.0
        for batch in batches:
            samples, greedy = self.draw(model, batch, trainee.world.device, bf16)
            rewards_BK = self._rewards(batch, samples)
            baseline_BK = self._baseline(batch, rewards_BK, greedy)
            ids, weights = self.weigh(samples, rewards_BK - baseline_BK, media * self.config.samples)
            parts.append(on_device(trainee, batch.pixels_BFCHW, ids, weights))
            earned += float(rewards_BK.mean(1).sum())
            expected += float(baseline_BK.mean(1).sum())
        earned, expected = trainee.world.sum(earned, expected)
        return parts, (("reward", earned / media), ("baseline", expected / media))

    @torch.no_grad()
    def draw(
        self, model: GitModel, batch: Batch, device: torch.device, bf16: bool
    ) -> tuple[list[list[Hypothesis]], list[Hypothesis]]:
        """K samples of each picture, and its greedy text where that is the baseline."""
        prompts = [Prompt(medium, self.tokenizer.prompt("")) for medium in range(batch.media)]
        limit, temperature = self.config.max_new_tokens, self.config.temperature
        sampling = DecodeOptions(beams=1, temperature=temperature, results=self.config.samples, max_new_tokens=limit)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            cache = model.prefill(model.see(batch.pixels_BFCHW.to(device)))
            samples = generate(model, cache, prompts, sampling)
            if self.config.baseline != "greedy":
                return samples, []
            greedy = generate(model, cache, prompts, DecodeOptions(beams=1, max_new_tokens=limit))
        return samples, [texts[0] for texts in greedy]

    def weigh(self, samples: Sequence[Sequence[Hypothesis]], gains_BK: Tensor, texts: float) -> tuple[Tensor, Tensor]:
        """ids_BKT of the samples, and the weight of each token: its text's gain over its length, and over all texts."""
        cls_id, sep_id = self.tokenizer.cls_id, self.tokenizer.sep_id
        sequences = []
        for medium in samples:
            endings = [[sep_id] if sample.ended else [] for sample in medium]
            ids = [[cls_id, *sample.ids, *end] for sample, end in zip(medium, endings, strict=True)]
            sequences.append([(each, [False, *[True] * (len(each) - 1)]) for each in ids])
        ids_BKT, drawn_BKT = pad_sequences(sequences, self.tokenizer.pad_id)
        lengths_BK = drawn_BKT.sum(-1).clamp(min=1)
        return ids_BKT, (gains_BK / lengths_BK / texts)[..., None] * drawn_BKT

    def _rewards(self, batch: Batch, texts: Sequence[Sequence[Hypothesis]]) -> Tensor:
        """rewards_BK of K texts of each picture, judged together."""
        said = [Said(self.tokenizer.decode(text.ids), text.ended) for medium in texts for text in medium]
        references = [own for own, medium in zip(batch.references, texts, strict=True) for _ in medium]
        return torch.tensor(list(self.reward(references, said)), dtype=torch.float32).view(len(texts), -1)

    def _baseline(self, batch: Batch, rewards_BK: Tensor, greedy: Sequence[Hypothesis]) -> Tensor:
        """What was to be expected: the greedy text's reward, or the mean of the picture's other samples."""
        if self.config.baseline == "greedy":
            return self._rewards(batch, [[text] for text in greedy]).expand_as(rewards_BK)
        return (rewards_BK.sum(1, keepdim=True) - rewards_BK) / (rewards_BK.shape[1] - 1)


def to_be_rewarded(streams: Sequence[Stream]) -> list[tuple[str, ...]]:
    """The captions of each picture that has any, once: what rewards are counted from.

    Questions and names are learnt as they are: they would make the words of captions look rare. Raises `ConfigError`
    where no stream has captions, or one has both: a batch of it would be rewarded by one process, and not by another.
    """
    found: set[tuple[str, ...]] = set()
    for stream in streams:
        others, captions = 0, 0
        for row in range(len(stream.source)):
            texts = stream.source.row_texts(row)
            other = len(texts) if stream.source.is_named(row) else sum(bool(pair.prompt) for pair in texts)
            others, captions = others + other, captions + len(texts) - other
            if other < len(texts):
                found.add(tuple(pair.target for pair in texts))
        if others and captions:
            raise ConfigError(
                f"scst: {stream.source.name} has {captions:,} captions, which are rewarded, and {others:,} questions "
                "or names, which are not: make two data sets of it, and a stream of each"
            )
    if not found:
        raise ConfigError("scst: only captions are rewarded, and no stream has any")
    return sorted(found)


def only_captions(batch: Batch) -> bool:
    """Whether every text is one of several that could be said, as a whole: of a question the first token after [CLS]
    is not learnt."""
    if batch.is_named:
        return False
    learnt_BK = batch.need_predict_BKT.any(dim=-1)  # not so of what fills up the texts of a medium with few
    return bool((batch.need_predict_BKT[..., 1] == learnt_BK).all())
