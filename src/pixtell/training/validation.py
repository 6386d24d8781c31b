"""What a run looks at on the way: loss, captions beside their references, CIDEr, exact answers.

In: validation rows, and a scorer of captions as a callable. Out: numbers for the log, and lines for the person who
watches. Each process looks at its share of the rows, and what all of them found is put together in the rows' order.
A clip is looked at as inference does: with as many frames as the model has temporal embeddings, spread over it. A row
that can't be seen is told and passed over; of lists of clips on the web some are always gone.

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
from pixtell.data.loader import open_frames, open_picture, pad_sequences
from pixtell.data.opened import FAILURES
from pixtell.data.sources import RowSource
from pixtell.decoding.loop import Prompt, generate
from pixtell.errors import InputError
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
class Seen:
    """Rows that are looked at together: the number of each, its example, and their pixels_BFCHW."""

    rows: tuple[int, ...]
    examples: tuple[Example, ...]
    pixels_BFCHW: Tensor


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

    def batches(self, source: RowSource, model: GitModel, unseen: dict[int, str]) -> Iterator[Seen]:
        """This process's rows, a few at a time, whole and with the model's number of frames.

        Media of equally many frames come together. Pixels that keep the aspect differ in size from row to row, so they
        come one row at a time. Of a row that can't be seen, `unseen` is told why.
        """
        frames = model.config.frames or 1
        most = 1 if self.pixels.fit == "aspect" else BATCH
        waiting: dict[int, list[tuple[int, Example, Tensor]]] = {}  # by their number of frames
        for row in self.share(source):
            try:
                example = source[row]
                pixels_FCHW = to_pixels(open_frames(example, frames), self.pixels, example.key)
            except FAILURES as error:
                unseen[row] = str(error)
                continue
            alike = waiting.setdefault(len(pixels_FCHW), [])
            alike.append((row, example, pixels_FCHW))
            if len(alike) == most:
                yield self._together(waiting.pop(len(pixels_FCHW)))
        for alike in waiting.values():
            yield self._together(alike)

    def _together(self, alike: Sequence[tuple[int, Example, Tensor]]) -> Seen:
        rows, examples, pixels = zip(*alike, strict=True)
        return Seen(rows, examples, torch.stack(pixels).to(self.world.device))

    def tell_unseen(self, source: RowSource, unseen: Mapping[int, str]) -> None:
        """Say what all processes could not see. Raises `InputError` (`broken`) on each when that is every row."""
        found = sorted(each for process in self.world.gather(list(unseen.items())) for each in process)
        if not found:
            return
        rows = min(self.limit, len(source))
        if len(found) == rows:
            raise _nothing_seen(source, rows, found[0][1])
        self.say(f"  warning: {source.name}: {len(found)} of {rows} rows can't be seen, the first: {found[0][1]}")

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


def see_any(source: RowSource, limit: int) -> None:
    """See that some row can be looked at. Raises `InputError` (`broken`) before a run begins that could never end."""
    rows, first = min(limit, len(source)), ""
    for row in range(rows):
        try:
            open_picture(source[row])
            return
        except FAILURES as error:
            first = first or str(error)
    raise _nothing_seen(source, rows, first)


def _nothing_seen(source: RowSource, rows: int, first: str) -> InputError:
    return InputError("broken", f"{source.name}: none of the {rows} rows to look at can be seen, the first: {first}")


@dataclass(frozen=True, order=True)
class _Described:
    """What a model says of a row, beside what people wrote; `is_named` where that is the name of a class or a word."""

    row: int
    key: str
    caption: str
    references: tuple[str, ...]
    is_named: bool


def caption_evaluator(source: RowSource, look: Look, score: Scorer | None = None) -> Evaluator:
    """Loss (nats a token) and score of captions of the first rows, and a few of them to read beside their references.

    Names of classes, and words, have no score: how many are right is told. A warning says when all texts are alike.
    """

    def evaluate(model: GitModel) -> Mapping[str, float]:
        total, tokens = 0.0, 0
        own: list[_Described] = []
        unseen: dict[int, str] = {}
        for seen in look.batches(source, model, unseen):
            loss, count = look.loss(model, seen.examples, seen.pixels_BFCHW)
            total, tokens = total + loss, tokens + count
            said = look.answers(model, seen.pixels_BFCHW, [[""]] * len(seen.rows))
            for row, example, (caption,) in zip(seen.rows, seen.examples, said, strict=True):
                references = tuple(pair.target for pair in example.texts)
                own.append(_Described(row, example.key, caption, references, source.is_named(row)))
        look.tell_unseen(source, unseen)
        total, count_of_all = look.world.sum(total, tokens)
        found = sorted(each for process in look.world.gather(own) for each in process)
        for one in found[:SAMPLES]:
            look.say(f"  {one.key}: {one.caption!r}  (reference: {one.references[0]!r})")
        if len(found) > 1 and len({one.caption for one in found}) == 1:
            look.say(f"  warning: all {len(found)} captions are alike; the model may ignore the pictures")
        return {"caption_loss": total / count_of_all, **_scores(found, look, score)}

    return evaluate


def _scores(found: Sequence[_Described], look: Look, score: Scorer | None) -> dict[str, float]:
    """The score of captions, and the share of names that are right."""
    named = [one for one in found if one.is_named]
    described = [one for one in found if not one.is_named]
    numbers = {}
    if described and score is not None:
        texts, references = [one.caption for one in described], [one.references for one in described]
        numbers["cider"] = look.world.of_first(lambda: score(texts, references))
    if named:
        right = sum(is_right(one.caption, one.references[0], look.tokenizer) for one in named)
        numbers["exact_match"] = right / len(named)
    return numbers


def answer_evaluator(source: RowSource, look: Look) -> Evaluator:
    """Share of questions of the first rows whose greedy answer is the reference, letter for letter."""

    def evaluate(model: GitModel) -> Mapping[str, float]:
        right = total = 0
        own: list[tuple[int, str, str, str]] = []
        unseen: dict[int, str] = {}
        for seen in look.batches(source, model, unseen):
            said = look.answers(model, seen.pixels_BFCHW, [[pair.prompt for pair in e.texts] for e in seen.examples])
            for row, example, given in zip(seen.rows, seen.examples, said, strict=True):
                pairs = zip(given, example.texts, strict=True)
                right += sum(is_right(answer, pair.target, look.tokenizer) for answer, pair in pairs)
                total += len(given)
                own.append((row, example.texts[0].prompt, given[0], example.texts[0].target))
        look.tell_unseen(source, unseen)
        found = sorted(each for process in look.world.gather(own) for each in process)
        for _, question, answer, reference in found[:SAMPLES]:
            look.say(f"  {question}: {answer!r}  (reference: {reference!r})")
        right_of_all, total_of_all = look.world.sum(right, total)
        return {"exact_match": right_of_all / total_of_all}

    return evaluate


def is_right(text: str, reference: str, tokenizer: Tokenizer) -> bool:
    """Whether a text is the reference, letter for letter, as the tokenizer can spell it: most have no capitals."""
    return text == reference or text == (tokenizer.decode(tokenizer.encode(reference)) or reference)


def evaluate_all(model: GitModel, evaluators: Sequence[Evaluator]) -> dict[str, float]:
    """Run the evaluators on a model as it is used: no dropout, no gradients. What several of them find is averaged."""
    found: dict[str, list[float]] = {}
    with torch.inference_mode():
        for evaluator in evaluators:
            for name, number in evaluator(model.eval()).items():
                found.setdefault(name, []).append(number)
    return {name: sum(numbers) / len(numbers) for name, numbers in found.items()}
