"""What is looked at on the way: the loss of whole batches, captions beside their references, scores, exact answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import loud_model
from tiny_data import VOCAB, captions_tar, questions_tar, tokenizer

from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.data.example import sequence
from pixtell.data.loader import open_picture
from pixtell.data.sources import TarSource
from pixtell.model import GitModel
from pixtell.pixels import to_pixels
from pixtell.training.dist import joined
from pixtell.training.loss import caption_loss
from pixtell.training.validation import Look, answer_evaluator, caption_evaluator, evaluate_all

from .tiny_runs import in_processes, quiet

PIXELS = PixelConfig(size=16)
TOKENIZER = tokenizer()
CONFIG = ModelConfig(
    ClipVitConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=24),
    TextConfig(vocab_size=len(VOCAB), width=24, layers=2, heads=2, mlp_width=32, max_positions=48, cls_id=2, sep_id=3),
    PIXELS,
)
LOOK = Look(TOKENIZER, PIXELS, 5, quiet)


@pytest.fixture(scope="module")
def model() -> GitModel:
    return loud_model(CONFIG)


@pytest.fixture
def captions(tmp_path: Path) -> TarSource:
    return TarSource([captions_tar(tmp_path / "captions.tar")])


@pytest.fixture
def questions(tmp_path: Path) -> TarSource:
    return TarSource([questions_tar(tmp_path / "questions.tar")])


@torch.inference_mode()
def loss_one_by_one(model: GitModel, source: TarSource, rows: int) -> float:
    nats, tokens = 0.0, 0
    for row in range(rows):
        example = source[row]
        visual_BPD = model.see(to_pixels([open_picture(example)], PIXELS)[None])
        for pair in example.texts:
            ids, learnt = (torch.tensor(part)[None, None] for part in sequence(TOKENIZER, pair))
            count = int(learnt.sum())
            nats += count * float(caption_loss(model(visual_BPD, ids), ids, learnt, 0.0))
            tokens += count
    return nats / tokens


def test_the_loss_is_that_of_the_texts_one_by_one(model: GitModel, captions: TarSource) -> None:
    said: list[str] = []
    numbers = evaluate_all(model, [caption_evaluator(captions, replace(LOOK, say=said.append))])
    assert numbers == {"caption_loss": pytest.approx(loss_one_by_one(model, captions, 5), abs=1e-4)}
    assert len([line for line in said if "(reference: 'a " in line]) == 5
    rough = evaluate_all(model, [caption_evaluator(captions, replace(LOOK, bf16=True))])
    assert rough == {"caption_loss": pytest.approx(numbers["caption_loss"], abs=0.05)}


def test_captions_go_to_the_scorer_beside_their_references(model: GitModel, captions: TarSource) -> None:
    heard: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = []

    def score(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        heard.append((texts, references))
        return 0.25

    numbers = evaluate_all(model, [caption_evaluator(captions, replace(LOOK, limit=20), score)])
    assert numbers["cider"] == 0.25
    ((texts, references),) = heard
    assert [list(own) for own in references] == [[pair.target for pair in captions[row].texts] for row in range(8)]
    alone = []
    with torch.inference_mode():
        for row in range(8):
            pixels = to_pixels([open_picture(captions[row])], PIXELS)[None]
            alone.append(LOOK.answers(model, pixels, [[""]])[0][0])
    assert list(texts) == alone and len(set(alone)) > 1


def test_alike_captions_are_pointed_out(captions: TarSource, monkeypatch: pytest.MonkeyPatch, model: GitModel) -> None:
    said: list[str] = []
    monkeypatch.setattr(Look, "answers", lambda _, __, ___, asked: [["a dog"] for _ in asked])
    evaluate_all(model, [caption_evaluator(captions, replace(LOOK, say=said.append))])
    assert said[-1] == "  warning: all 5 captions are alike; the model may ignore the pictures"


def test_exact_answers_are_counted(questions: TarSource, monkeypatch: pytest.MonkeyPatch, model: GitModel) -> None:
    monkeypatch.setattr(Look, "answers", lambda _, __, ___, asked: [["red"] for _ in asked])
    said: list[str] = []
    look = replace(LOOK, say=said.append, limit=100)
    assert answer_evaluator(questions, look)(model) == {"exact_match": 0.25}
    assert answer_evaluator(questions, replace(look, limit=1))(model) == {"exact_match": 1.0}
    assert said[0] == "  what colour is it ?: 'red'  (reference: 'red')"


def test_questions_together_are_answered_as_alone(model: GitModel, captions: TarSource) -> None:
    asked = ["", "what colour is it ?", "what is on it", "is it red"]
    pixels = torch.stack([to_pixels([open_picture(captions[row])], PIXELS) for row in (3, 4)])
    with torch.inference_mode():
        first, second = LOOK.answers(model, pixels, [asked, asked[:1]])
        alone = [LOOK.answers(model, pixels[:1], [[question]])[0][0] for question in asked]
        assert second == LOOK.answers(model, pixels[1:], [asked[:1]])[0]
    assert first == alone and len(set(first)) > 1


def test_two_processes_find_what_one_does(tmp_path: Path, model: GitModel, captions: TarSource) -> None:
    heard: list[str] = []
    evaluators = [caption_evaluator(captions, replace(LOOK, say=heard.append), _characters)]
    numbers = evaluate_all(model, evaluators)
    in_processes(2, _look, tmp_path)
    for rank in (0, 1):
        lines = (tmp_path / str(rank)).read_text().splitlines()
        assert [float(word) for word in lines[0].split()] == pytest.approx(list(numbers.values()), abs=1e-4)
        assert lines[1:] == heard


def _look(folder: Path) -> None:
    with joined(quiet) as world:
        heard: list[str] = []
        look = replace(LOOK, world=world, say=heard.append)
        source = TarSource([folder / "captions.tar"])
        numbers = evaluate_all(loud_model(CONFIG), [caption_evaluator(source, look, _characters)])
        (folder / str(world.rank)).write_text("\n".join([" ".join(map(str, numbers.values())), *heard]))


def _characters(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """A score to which the order matters."""
    return float(sum(place * len(text) for place, text in enumerate(texts)) + len(references))


def test_the_model_is_looked_at_as_it_is_used(model: GitModel) -> None:
    seen: list[tuple[bool, bool]] = []

    def look(model: GitModel) -> dict[str, float]:
        seen.append((model.training, torch.is_grad_enabled()))
        return {f"number{len(seen)}": 1.0}

    assert evaluate_all(model.train(), [look, look]) == {"number1": 1.0, "number2": 1.0}
    assert seen == [(False, False)] * 2 and torch.is_grad_enabled()
