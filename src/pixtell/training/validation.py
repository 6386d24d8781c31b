"""What a run looks at on the way: loss, captions beside their references, CIDEr, exact answers.

In: validation rows, and a scorer of captions as a callable. Out: numbers for the log, and lines for the person who
watches. Each process looks at its share of the rows, and what all of them found is put together in the rows' order.
The surprising thing: a caption's score here is by greedy search, which is quick; `pixtell eval` has the search that
counts.

    B media, F frames, C channels, H W pixels, K texts a medium, T tokens
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pixtell.config import DecodeOptions, PixelConfig
from pixtell.data.example import Example, sequence
from pixtell.data.loader import open_picture, pad_sequences
from pixtell.data.sources import RowSource
from pixtell.decoding.loop import Prompt, generate
from pixtell.model import GitModel
from pixtell.pixels import to_pixels
from pixtell.tokenizer import Tokenizer
from pixtell.training.dist import World
from pixtell.training.loss import learnt, weighted_loss

Evaluator = Callable[[GitModel], Mapping[str, float]]
# A score of captions, given the references of each: CIDEr, where the command has wired it.
Scorer = Callable[[Sequence[str], Sequence[Sequence[str]]], float]
BATCH = 16
SAMPLES = 6
MAX_NEW_TOKENS = 24


@dataclass(frozen=True)
class Look:
    """What evaluators need to look at rows: whose tokens, which pixels, how many rows, and who shares the work."""

    tokenizer: Tokenizer
    pixels: PixelConfig
    limit: int
    say: Callable[[str], None]
    world: World = field(default_factory=World)
    bf16: bool = False

    def share(self, source: RowSource) -> list[int]:
        """The numbers of the rows that this process looks at."""
        return list(range(self.world.rank, min(self.limit, len(source)), self.world.size))

    def batches(self, source: RowSource) -> Iterator[tuple[list[int], list[Example], Tensor]]:
        """This process's rows, a few at a time, with pixels_BFCHW of whole pictures.

        Pixels that keep the aspect differ in size from row to row, so they come one row at a time.
        """
        rows = self.share(source)
        media = 1 if self.pixels.fit == "aspect" else BATCH
        for start in range(0, len(rows), media):
            some = rows[start : start + media]
            examples = [source[row] for row in some]
            pixels = torch.stack([to_pixels([open_picture(example)], self.pixels) for example in examples])
            yield some, examples, pixels.to(self.world.device)

    def answers(self, model: GitModel, pixels_BFCHW: Tensor, questions: Sequence[Sequence[str]]) -> list[list[str]]:
        """Greedy answers to each picture's questions ("" asks for a caption)."""
        with torch.autocast(pixels_BFCHW.device.type, torch.bfloat16, enabled=self.bf16):
            cache = model.prefill(model.see(pixels_BFCHW))
            prompts = [Prompt(n, self.tokenizer.prompt(q)) for n, asked in enumerate(questions) for q in asked]
            options = DecodeOptions(beams=1, max_new_tokens=MAX_NEW_TOKENS)
            found = iter(generate(model, cache, prompts, options))
        return [[self.tokenizer.decode(next(found)[0].ids) for _ in asked] for asked in questions]

    def loss(self, model: GitModel, examples: Sequence[Example], pixels_BFCHW: Tensor) -> tuple[float, int]:
        """The sum of the tokens' losses without smoothing, and how many tokens they are."""
        sequences = [[sequence(self.tokenizer, pair) for pair in example.texts] for example in examples]
        ids_BKT, need_predict_BKT = pad_sequences(sequences, self.tokenizer.pad_id)
        ids_BKT, need_predict_BKT = ids_BKT.to(pixels_BFCHW.device), need_predict_BKT.to(pixels_BFCHW.device)
        learnt_BKT = learnt(ids_BKT, need_predict_BKT)
        with torch.autocast(pixels_BFCHW.device.type, torch.bfloat16, enabled=self.bf16):
            logits_BKTV = model(model.see(pixels_BFCHW), ids_BKT)
        return float(weighted_loss(logits_BKTV, ids_BKT, learnt_BKT.float(), 0.0)), int(learnt_BKT.sum())


def caption_evaluator(source: RowSource, look: Look, score: Scorer | None = None) -> Evaluator:
    """Loss (nats a token) and score of captions of the first rows, and a few of them to read beside their references.

    A warning says when all are alike.
    """

    def evaluate(model: GitModel) -> Mapping[str, float]:
        total, tokens = 0.0, 0
        own: list[tuple[int, str, tuple[str, ...], str]] = []
        for rows, examples, pixels_BFCHW in look.batches(source):
            loss, count = look.loss(model, examples, pixels_BFCHW)
            total, tokens = total + loss, tokens + count
            said = look.answers(model, pixels_BFCHW, [[""]] * len(rows))
            for row, example, (caption,) in zip(rows, examples, said, strict=True):
                own.append((row, caption, tuple(pair.target for pair in example.texts), example.key))
        total, count_of_all = look.world.sum(total, tokens)
        found = sorted(each for process in look.world.gather(own) for each in process)
        for _, caption, references, key in found[:SAMPLES]:
            look.say(f"  {key}: {caption!r}  (reference: {references[0]!r})")
        captions = [caption for _, caption, _, _ in found]
        if len(captions) > 1 and len(set(captions)) == 1:
            look.say(f"  warning: all {len(captions)} captions are alike; the model may ignore the pictures")
        numbers = {"caption_loss": total / count_of_all}
        if score is not None:
            numbers["cider"] = look.world.of_first(
                lambda: score(captions, [references for _, _, references, _ in found])
            )
        return numbers

    return evaluate


def answer_evaluator(source: RowSource, look: Look) -> Evaluator:
    """Share of questions of the first rows whose greedy answer is the reference, letter for letter."""

    def evaluate(model: GitModel) -> Mapping[str, float]:
        right = total = 0
        own: list[tuple[int, str, str, str]] = []
        for rows, examples, pixels_BFCHW in look.batches(source):
            said = look.answers(model, pixels_BFCHW, [[pair.prompt for pair in e.texts] for e in examples])
            for row, example, given in zip(rows, examples, said, strict=True):
                right += sum(answer == pair.target for answer, pair in zip(given, example.texts, strict=True))
                total += len(given)
                own.append((row, example.texts[0].prompt, given[0], example.texts[0].target))
        found = sorted(each for process in look.world.gather(own) for each in process)
        for _, question, answer, reference in found[:SAMPLES]:
            look.say(f"  {question}: {answer!r}  (reference: {reference!r})")
        right_of_all, total_of_all = look.world.sum(right, total)
        return {"exact_match": right_of_all / total_of_all}

    return evaluate


def evaluate_all(model: GitModel, evaluators: Sequence[Evaluator]) -> dict[str, float]:
    """Run the evaluators on a model as it is used: no dropout, no gradients."""
    with torch.inference_mode():
        return {name: number for evaluator in evaluators for name, number in evaluator(model.eval()).items()}
