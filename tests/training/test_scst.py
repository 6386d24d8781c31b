"""Self-critical training: the gradient of a slow twin, and a reward that rises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from tiny_data import COLOURS, texts_tar, tokenizer
from torch import Tensor

from pixtell.config import DecodeOptions
from pixtell.data.dataset import open_dataset
from pixtell.data.loader import Batch, Stream
from pixtell.data.sources import RowSource
from pixtell.decoding.loop import Prompt, generate
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.training.config import ScstConfig
from pixtell.training.dist import World
from pixtell.training.log import lines_of
from pixtell.training.loop import train
from pixtell.training.run import Judges, run_training
from pixtell.training.scst import Reward, Said, SelfCritical, to_be_rewarded
from pixtell.training.step import Objective, captions, learn
from pixtell.training.trainee import Trainee

from .tiny_runs import (
    CONFIG,
    fresh_loader,
    fresh_model,
    in_processes,
    newest,
    quiet,
    run_of,
    unequal,
    workplace,
)

STEPS = 150
TOKENIZER = tokenizer()
STEADY = replace(CONFIG, text=replace(CONFIG.text, dropout=0.0, attention_dropout=0.0))


def letters(references: Sequence[tuple[str, ...]], said: Sequence[Said]) -> Sequence[float]:
    """A toy reward, which differs from text to text and from picture to picture."""
    return [0.1 * len(each.text) + each.ended + 0.01 * len(own[0]) for own, each in zip(references, said, strict=True)]


def batch_of(folder: Path) -> Batch:
    loader = fresh_loader(folder)
    return next(
        b for b in map(loader.batch, range(9)) if b.need_predict_BKT[:, 0, 1].all() and b.pixels_BFCHW.shape[1] == 1
    )


def trainee_of(config: ScstConfig, **changes: object) -> Trainee:
    run = run_of(scst=config.model_dump(), precision="fp32", optim={"lr": 1e-3, "warmup": 1}, **changes)
    model = fresh_model(STEADY)
    with torch.no_grad():
        model.decoder.word_embedding.weight.mul_(3)  # sure enough for texts to differ in likelihood
    trainee = Trainee.of(run, 6, model, World())
    trainee.begin(0)
    return trainee


@pytest.mark.parametrize("baseline", ["greedy", "mean"])
def test_the_gradient_is_that_of_each_sample_alone(tmp_path: Path, baseline: str) -> None:
    """-(reward - baseline) times the mean log-probability of the text, sample after sample, prefix after prefix."""
    config = ScstConfig(samples=3, baseline=baseline, max_new_tokens=5)  # type: ignore[arg-type]
    trainee, batch = trainee_of(config), batch_of(tmp_path)
    drawn: list[list[list[int]]] = []
    objective = SelfCritical(config, TOKENIZER, letters)
    draw = objective.draw

    def note(*arguments: object) -> object:
        samples, greedy = draw(*arguments)  # type: ignore[arg-type]
        drawn.append([[*s.ids, *([TOKENIZER.sep_id] if s.ended else [])] for m in samples for s in m])
        return samples, greedy

    objective.draw = note  # type: ignore[method-assign, assignment]
    torch.manual_seed(3)
    (part,) = objective(trainee, [batch]).parts
    torch.autograd.backward(trainee.learner(part.pixels_BFCHW, part.ids_BKT, part.weight_BKT))
    ours = {name: p.grad.clone() for name, p in trainee.model.named_parameters() if p.grad is not None}

    trainee.model.zero_grad()
    twin_loss(trainee.model, batch, drawn[0], baseline).backward()
    twin = {name: p.grad for name, p in trainee.model.named_parameters() if p.grad is not None}
    assert ours.keys() == twin.keys()
    assert max(float(gradient.abs().max()) for gradient in ours.values()) > 1e-3
    for name, gradient in twin.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_captions_have_their_share_beside_the_rewards(tmp_path: Path) -> None:
    """The gradient is the sum of both, in shares of 3 to 1."""
    batch = batch_of(tmp_path)

    def gradient(objective: Objective) -> Tensor:
        trainee = trainee_of(ScstConfig())
        torch.manual_seed(3)
        for part in objective(trainee, [batch]).parts:
            torch.autograd.backward(trainee.learner(part.pixels_BFCHW, part.ids_BKT, part.weight_BKT))
        found = trainee.model.decoder.word_embedding.weight.grad
        assert found is not None
        return found

    config = ScstConfig(samples=3, baseline="mean", max_new_tokens=5)
    alone = gradient(SelfCritical(config, TOKENIZER, letters))
    mixed = gradient(SelfCritical(config.model_copy(update={"captions": 0.25}), TOKENIZER, letters))
    torch.testing.assert_close(mixed, 0.75 * alone + 0.25 * gradient(captions), atol=1e-5, rtol=1e-4)


def twin_loss(model: GitModel, batch: Batch, drawn: Sequence[Sequence[int]], baseline: str) -> Tensor:
    total = torch.zeros(())
    for medium in range(batch.media):
        pixels, own = batch.pixels_BFCHW[medium : medium + 1], batch.references[medium]
        mine = drawn[3 * medium : 3 * medium + 3]
        rewards = [judged(ids, own) for ids in mine]
        with torch.no_grad():
            cache = model.prefill(model.see(pixels))
            options = DecodeOptions(beams=1, max_new_tokens=5)
            greedy = generate(model, cache, [Prompt(0, (TOKENIZER.cls_id,))], options)[0][0]
        usual = judged([*greedy.ids, *([TOKENIZER.sep_id] if greedy.ended else [])], own)
        for number, ids in enumerate(mine):
            expected = usual if baseline == "greedy" else (sum(rewards) - rewards[number]) / 2
            row = torch.tensor([[[TOKENIZER.cls_id, *ids]]])
            logprobs = model(model.see(pixels), row)[0, 0, :-1].log_softmax(-1)
            mean = logprobs.gather(1, row[0, 0, 1:, None]).mean()
            total = total - (rewards[number] - expected) * mean / len(drawn)
    return total


def judged(ids: Sequence[int], own: tuple[str, ...]) -> float:
    said = Said(TOKENIZER.decode(ids), ids[-1] == TOKENIZER.sep_id)
    return letters([own], [said])[0]


@pytest.mark.parametrize("baseline", ["greedy", "mean"])
def test_the_reward_rises(tmp_path: Path, baseline: str) -> None:
    """Names of colours are what is liked; with them, texts that end."""

    def reward(_: object, said: Sequence[Said]) -> Sequence[float]:
        words = [each.text.split() for each in said]
        return [
            sum(word in COLOURS for word in some) / max(1, len(some)) + 0.2 * each.ended
            for some, each in zip(words, said, strict=True)
        ]

    config = ScstConfig(samples=5, baseline=baseline, max_new_tokens=6)  # type: ignore[arg-type]
    run = run_of(
        steps=STEPS, scst=config.model_dump(), optim={"lr": 3e-3, "warmup": 5}, saving={"every": 999}, log={"every": 1}
    )
    loader = fresh_loader(tmp_path, media=4)
    loader.streams = loader.streams[:1]
    objective = SelfCritical(config, TOKENIZER, reward)
    train(run, tmp_path / "run", fresh_model(), loader, [], quiet, objective=objective)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    rewards = [float(line.partition('"reward": ')[2].partition(",")[0]) for line in lines]
    first, last = sum(rewards[:5]) / 5, sum(rewards[-5:]) / 5
    assert first < 0.2 and last > 0.6, (first, last)


def test_a_step_of_it_goes_through_all_settings(tmp_path: Path) -> None:
    """bfloat16, adapters, a running mean and two batches a step."""
    config = ScstConfig(samples=2, max_new_tokens=4)
    run = run_of(scst=config.model_dump(), lora={"rank": 2}, optim={"accumulation": 2, "ema": 0.9})
    trainee = Trainee.of(run, 6, fresh_model(), World())
    outcome = learn(trainee, [batch_of(tmp_path)] * 2, 0, SelfCritical(config, TOKENIZER, letters))
    assert [name for name, _ in outcome.numbers] == ["reward", "baseline"] and outcome.media == 4


def test_a_stream_of_captions_and_questions_is_refused(tmp_path: Path) -> None:
    """One of two processes might get captions of it alone, and reward them, while the other waits elsewhere."""
    loader = fresh_loader(tmp_path)
    assert to_be_rewarded(loader.streams) == sorted({loader.batch(step).references[0] for step in range(30)} - ANSWERS)
    texts = [("p0", {"captions": ["a red disc"], "qa": [{"question": "what is it ?", "answer": "a disc"}]})]
    both = RowSource(open_dataset([texts_tar(tmp_path / "both.tar", texts)]))
    mixed = Stream(both, weight=1, media=2, texts=1)
    told = "scst: both has 1 captions, which are rewarded, and 1 questions or names, which are not: make two data sets"
    with pytest.raises(ConfigError, match=told):
        to_be_rewarded([*loader.streams, mixed])


ANSWERS = {(colour,) for colour in COLOURS}


def second_is_better(pictures: Sequence[tuple[str, ...]]) -> Reward:
    """Of two samples of a picture, which are alike at so low a temperature, the second; so nothing hangs on chance."""

    def reward(references: Sequence[tuple[str, ...]], said: Sequence[Said]) -> Sequence[float]:
        before = [None, *references]
        return [len(each.text) + (own is last) for each, own, last in zip(said, references, before, strict=False)]

    return reward


def rewarded(run_file: Path, folder: Path, strategy: str) -> None:
    settings = ["scst={samples=2, max_new_tokens=5, temperature=1e-4, captions=0.3}", "optim.accumulation=2"]
    settings += [f"dist.strategy={strategy}", "log.every=1"]
    assert run_training(run_file, folder, quiet, overrides=settings, judges=Judges(reward=second_is_better))


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_learn_from_rewards_and_questions_what_one_does(tmp_path: Path, strategy: str) -> None:
    steady = "dropout = 0.0\nattention_dropout = 0.0"
    run_file = workplace(tmp_path, steps=6, start=steady)
    rewarded(run_file, tmp_path / "one", strategy)
    in_processes(2, rewarded, run_file, tmp_path / "two", strategy)
    assert unequal(newest(tmp_path / "one"), newest(tmp_path / "two"), atol=1e-4) == []
    one, two = (lines_of(tmp_path / name) for name in ("one", "two"))
    kinds = [sorted(line.keys() & {"reward", "baseline"}) for line in one if "loss" in line]
    assert ["baseline", "reward"] in kinds
    for line, other in zip(one, two, strict=True):
        assert line.keys() == other.keys()
        assert all(line[name] == pytest.approx(other[name], abs=1e-3) for name in ("reward", "loss") if name in line)
    assert max(line.get("reward", 0) - line.get("baseline", 0) for line in one) == pytest.approx(0.5)


def test_an_unfinished_text_has_no_end_to_learn() -> None:
    objective = SelfCritical(ScstConfig(), TOKENIZER, letters)
    whole = SimpleNamespace(ids=(7, 8), ended=True)
    cut = SimpleNamespace(ids=(7, 8, 9), ended=False)
    ids, weights = objective.weigh(cast("list", [[whole, cut]]), torch.tensor([[3.0, -6.0]]), 2)
    cls_id, sep_id = TOKENIZER.cls_id, TOKENIZER.sep_id
    assert ids.tolist() == [[[cls_id, 7, 8, sep_id], [cls_id, 7, 8, 9]]]
    assert weights.tolist() == [[[0.0, 0.5, 0.5, 0.5], [0.0, -1.0, -1.0, -1.0]]]


def test_questions_are_learnt_as_they_are(tmp_path: Path) -> None:
    """Beside captions, which are rewarded as if there were no questions."""
    config = ScstConfig(samples=2, baseline="mean", max_new_tokens=4)
    trainee, described = trainee_of(config), batch_of(tmp_path)
    asked = next(b for b in map(fresh_loader(tmp_path).batch, range(9)) if not b.need_predict_BKT[:, 0, 1].any())
    objective = SelfCritical(config, TOKENIZER, letters)

    alone = objective(trainee, [asked])
    assert alone.numbers == () and len(alone.parts) == 1
    plain = captions(trainee, [asked]).parts[0]
    assert torch.equal(alone.parts[0].weight_BKT, plain.weight_BKT)
    assert torch.equal(alone.parts[0].ids_BKT, asked.ids_BKT)

    lessons = []
    for batches in ([described], [asked, described]):
        torch.manual_seed(5)
        lessons.append(objective(trainee, batches))
    rewarded, both = lessons
    assert both.numbers == rewarded.numbers and len(both.parts) == 2
    assert torch.equal(both.parts[0].weight_BKT, rewarded.parts[0].weight_BKT)
    assert torch.equal(both.parts[1].weight_BKT, plain.weight_BKT)


def test_names_are_learnt_as_they_are(tmp_path: Path) -> None:
    """Of a class, or of a picture of a word, there is one thing to say: that is no text among others."""
    texts = [("p0", {"label": "disc"}), ("p1", {"label": "square"}), ("p2", {"caption": "a red disc"})]
    named, mixed = (
        Stream(RowSource(open_dataset([texts_tar(tmp_path / name, some)])), weight=1, media=2, texts=1)
        for name, some in (("named.tar", texts[:2]), ("mixed.tar", texts))
    )
    loader = fresh_loader(tmp_path)
    captioned = to_be_rewarded(loader.streams)
    assert to_be_rewarded([*loader.streams, named]) == captioned
    with pytest.raises(ConfigError, match="mixed has 1 captions, which are rewarded, and 2 questions or names"):
        to_be_rewarded([*loader.streams, mixed])
    with pytest.raises(ConfigError, match="only captions are rewarded, and no stream has any"):
        to_be_rewarded([named])

    loader.streams = [named]
    trainee, batch = trainee_of(ScstConfig(samples=2)), loader.batch(0)
    lesson = SelfCritical(ScstConfig(samples=2), TOKENIZER, letters)(trainee, [batch])
    plain = captions(trainee, [batch]).parts[0]
    assert lesson.numbers == () and torch.equal(lesson.parts[0].weight_BKT, plain.weight_BKT)
