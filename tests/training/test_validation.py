"""What is looked at on the way: the loss of whole batches, sample captions, exact answers."""

from __future__ import annotations

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
from pixtell.training.loss import caption_loss
from pixtell.training.validation import answer_evaluator, answers, caption_evaluator, evaluate_all

PIXELS = PixelConfig(size=16)
TOKENIZER = tokenizer()
CONFIG = ModelConfig(
    ClipVitConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=24),
    TextConfig(vocab_size=len(VOCAB), width=24, layers=2, heads=2, mlp_width=32, max_positions=48, cls_id=2, sep_id=3),
    PIXELS,
)


@pytest.fixture(scope="module")
def model() -> GitModel:
    return loud_model(CONFIG)


@pytest.fixture
def captions(tmp_path: Path) -> TarSource:
    return TarSource([captions_tar(tmp_path / "captions.tar")])


@pytest.fixture
def questions(tmp_path: Path) -> TarSource:
    return TarSource([questions_tar(tmp_path / "questions.tar")])


def test_the_loss_is_that_of_the_texts_one_by_one(model: GitModel, captions: TarSource) -> None:
    said: list[str] = []
    with torch.inference_mode():
        numbers = caption_evaluator(captions, TOKENIZER, PIXELS, 5, said.append)(model)
        nats, tokens = 0.0, 0
        for row in range(5):
            example = captions[row]
            visual_BPD = model.see(to_pixels([open_picture(example)], PIXELS)[None])
            for pair in example.texts:
                ids, learnt = (torch.tensor(part)[None, None] for part in sequence(TOKENIZER, pair))
                count = int(learnt.sum())
                nats += count * float(caption_loss(model(visual_BPD, ids), ids, learnt, 0.0))
                tokens += count
    assert numbers == {"caption_loss": pytest.approx(nats / tokens, abs=1e-4)}
    assert len([line for line in said if "(reference: 'a " in line]) == 6


def test_alike_captions_are_pointed_out(captions: TarSource, monkeypatch: pytest.MonkeyPatch, model: GitModel) -> None:
    said: list[str] = []
    monkeypatch.setattr("pixtell.training.validation.answers", lambda *_: ["a dog"])
    with torch.inference_mode():
        caption_evaluator(captions, TOKENIZER, PIXELS, 2, said.append)(model)
    assert said[-1].startswith("  warning: all sample captions are alike")


def test_exact_answers_are_counted(questions: TarSource, monkeypatch: pytest.MonkeyPatch, model: GitModel) -> None:
    monkeypatch.setattr("pixtell.training.validation.answers", lambda _, __, example, *___: ["red"])
    said: list[str] = []
    assert answer_evaluator(questions, TOKENIZER, PIXELS, 100, said.append)(model) == {"exact_match": 0.25}
    assert answer_evaluator(questions, TOKENIZER, PIXELS, 1, said.append)(model) == {"exact_match": 1.0}
    assert said[0] == "  what colour is it ?: 'red'  (reference: 'red')"


def test_questions_together_are_answered_as_alone(model: GitModel, captions: TarSource) -> None:
    asked = ["", "what colour is it ?", "what is on it", "is it red"]
    example = captions[3]
    with torch.inference_mode():
        together = answers(model, TOKENIZER, example, asked, PIXELS)
        alone = [answers(model, TOKENIZER, example, [question], PIXELS)[0] for question in asked]
    assert together == alone and len(set(together)) > 1


def test_the_model_is_looked_at_as_it_is_used(model: GitModel) -> None:
    seen: list[tuple[bool, bool]] = []

    def look(model: GitModel) -> dict[str, float]:
        seen.append((model.training, torch.is_grad_enabled()))
        return {f"number{len(seen)}": 1.0}

    assert evaluate_all(model.train(), [look, look]) == {"number1": 1.0, "number2": 1.0}
    assert seen == [(False, False)] * 2 and model.training and torch.is_grad_enabled()
    model.eval()
