"""Scores of given texts against each text alone, and what the shared beginnings save."""

from __future__ import annotations

import random

import pytest
import torch

from pixtell.config import ClipVitConfig, ModelConfig, TextConfig
from pixtell.decoding import score_continuations
from pixtell.errors import ConfigError
from pixtell.model import GitModel

from .table_model import CLS, SEP, TableCache, TableModel

VOCAB = 20


def labels(count: int, longest: int = 5, letters: int = 6, seed: int = 0) -> list[tuple[int, ...]]:
    """Random texts over few letters, so that many share their beginnings; some twice, some beginnings of others."""
    draw = random.Random(seed)
    return [tuple(draw.randrange(3, 3 + letters) for _ in range(draw.randrange(longest + 1))) for _ in range(count)]


@pytest.mark.parametrize("max_rows", [1, 2, 3, 6, 7, 64, 256])
@pytest.mark.parametrize("letters", [1, 3, 6])
def test_scores_equal_each_text_alone(max_rows: int, letters: int) -> None:
    model = TableModel(3, VOCAB)
    texts = labels(150, letters=letters)
    found = score_continuations(model, TableCache([8, 9]), 1, (CLS, 4), texts, max_rows)
    assert len(found) == len(texts)
    for text, logprobs in zip(texts, found, strict=True):
        assert list(logprobs) == pytest.approx(model.rescore(9, (CLS, 4), (*text, SEP)), abs=1e-5)
    assert max(model.stepped) <= max(2, max_rows)


def test_every_beginning_is_stepped_once() -> None:
    model = TableModel(3, VOCAB)
    texts = labels(400)
    score_continuations(model, TableCache([0]), 0, (CLS,), texts)
    assert sum(model.stepped) == len({text[:length] for text in texts for length in range(len(text) + 1)})


def test_few_caches_are_alive_at_once() -> None:
    class Counted(TableCache):
        alive = most = 0

        def __init__(self, *args: object, **named: object) -> None:
            super().__init__(*args, **named)
            Counted.alive += 1
            Counted.most = max(Counted.most, Counted.alive)

        def __del__(self) -> None:
            Counted.alive -= 1

        def select_media(self, media: list[int]) -> TableCache:
            return Counted([self.media[index] for index in media])

        def rows(self, media_R: list[int], capacity: int) -> TableCache:
            return Counted(self.media, [(self.media[index], ()) for index in media_R], capacity)

        def reorder(self, rows_R: list[int], spare: TableCache | None = None) -> TableCache:
            return Counted(self.media, [self.texts[row] for row in rows_R], self.capacity)

    model = TableModel(3, VOCAB)
    score_continuations(model, Counted([0]), 0, (CLS,), labels(600), max_rows=8)
    assert len(model.stepped) > 50
    assert Counted.most <= 10, "one a level, and the media"


def test_nothing_and_the_empty_text() -> None:
    model = TableModel(3, VOCAB)
    assert score_continuations(model, TableCache([0]), 0, (CLS,), []) == []
    ((logprob,),) = score_continuations(model, TableCache([0]), 0, (CLS,), [()])
    assert [logprob] == pytest.approx(model.rescore(0, (CLS,), (SEP,)))


def test_a_text_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="65 positions"):
        score_continuations(TableModel(3, VOCAB), TableCache([0]), 0, (CLS, 4), [(5,) * 63])


@pytest.mark.parametrize("max_rows", [4, 256])
def test_scores_of_the_real_model_equal_its_teacher_forced_pass(max_rows: int) -> None:
    torch.manual_seed(0)
    text = TextConfig(
        vocab_size=VOCAB, width=16, layers=2, heads=2, mlp_width=16, max_positions=32, cls_id=CLS, sep_id=SEP
    )
    vision = ClipVitConfig(image_size=8, patch_size=8, width=8, layers=1, heads=1, mlp_width=8)
    model = GitModel(ModelConfig(vision=vision, text=text)).eval()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.normal_(std=0.5)
        visual_BPD = torch.randn(2, 3, 16)
        cache = model.prefill(visual_BPD)
        texts = labels(60, letters=4)
        found = score_continuations(model, cache, 1, (CLS, 7), texts, max_rows)
        for ids, logprobs in zip(texts, found, strict=True):
            whole = (CLS, 7, *ids, SEP)
            logits_TV = model(visual_BPD[1:], torch.tensor([[whole[:-1]]]))[0, 0]
            expected = logits_TV.log_softmax(-1)[range(1, len(whole) - 1), whole[2:]].tolist()
            assert list(logprobs) == pytest.approx(expected, abs=1e-4)
