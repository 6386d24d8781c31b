"""What a run looks at on the way: loss, sample captions beside their references, exact answers.

In: validation rows. Out: a dict of numbers for the log, and lines for the person who watches. A caption is judged by
eye here and by `pixtell eval` in numbers; a warning says when all sample captions are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from pixtell.config import DecodeOptions, PixelConfig
from pixtell.data.example import Example
from pixtell.data.loader import open_picture, validation_batches
from pixtell.data.sources import TarSource
from pixtell.decoding.loop import Prompt, generate
from pixtell.model import GitModel
from pixtell.pixels import to_pixels
from pixtell.tokenizer import Tokenizer
from pixtell.training.loss import caption_loss

Evaluator = Callable[[GitModel], dict[str, float]]
BATCH = 16
SAMPLES = 6


def answers(
    model: GitModel, tokenizer: Tokenizer, example: Example, questions: Sequence[str], pixels: PixelConfig
) -> list[str]:
    """Greedy answers to questions about a row's picture ("" asks for a caption)."""
    cache = model.prefill(model.see(to_pixels([open_picture(example)], pixels)[None]))
    prompts = [Prompt(0, tokenizer.prompt(question)) for question in questions]
    results = generate(model, cache, prompts, DecodeOptions(beams=1, max_new_tokens=24))
    return [tokenizer.decode(best[0].ids) for best in results]


def caption_evaluator(
    source: TarSource, tokenizer: Tokenizer, pixels: PixelConfig, limit: int, say: Callable[[str], None]
) -> Evaluator:
    """Validation loss over `limit` rows (without smoothing, nats a token), and a few captions to read."""

    def evaluate(model: GitModel) -> dict[str, float]:
        losses = [
            float(caption_loss(model(model.see(b.pixels_BFCHW), b.ids_BKT), b.ids_BKT, b.need_predict_BKT, 0.0))
            for b in validation_batches(source, tokenizer, pixels, BATCH, limit)
        ]
        captions = []
        for row in range(min(SAMPLES, len(source))):
            example = source[row]
            captions.append(answers(model, tokenizer, example, [""], pixels)[0])
            say(f"  {example.key}: {captions[-1]!r}  (reference: {example.texts[0].target!r})")
        if len(captions) > 1 and len(set(captions)) == 1:
            say("  warning: all sample captions are alike; the model may ignore the pictures")
        return {"caption_loss": sum(losses) / len(losses)}

    return evaluate


def answer_evaluator(
    source: TarSource, tokenizer: Tokenizer, pixels: PixelConfig, limit: int, say: Callable[[str], None]
) -> Evaluator:
    """Share of questions of the first `limit` rows whose greedy answer is the reference, letter for letter."""

    def evaluate(model: GitModel) -> dict[str, float]:
        right = total = 0
        for row in range(min(limit, len(source))):
            example = source[row]
            given = answers(model, tokenizer, example, [pair.prompt for pair in example.texts], pixels)
            right += sum(answer == pair.target for answer, pair in zip(given, example.texts, strict=True))
            total += len(given)
            if row < SAMPLES:
                say(f"  {example.texts[0].prompt}: {given[0]!r}  (reference: {example.texts[0].target!r})")
        return {"exact_match": right / total}

    return evaluate


def evaluate_all(model: GitModel, evaluators: Sequence[Evaluator]) -> dict[str, float]:
    """Run the evaluators on the model as it is used: no dropout, no gradients."""
    model.eval()
    with torch.inference_mode():
        numbers = {name: number for evaluator in evaluators for name, number in evaluator(model).items()}
    model.train()
    return numbers
