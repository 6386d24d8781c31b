"""A step: shared texts give the gradients of separate passes, chance follows from the step, weights are where asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import loud_model, random_ids, random_pixels, tiny_config
from torch import Tensor

from pixtell.data.loader import Batch
from pixtell.errors import PixtellError
from pixtell.training.dist import World
from pixtell.training.loss import learnt, weighted_loss
from pixtell.training.step import captions, learn, seed_of
from pixtell.training.trainee import Trainee

from .tiny_runs import fresh_loader, fresh_model, run_of


def gradients(trainee: Trainee, batches: list[Batch]) -> dict[str, Tensor]:
    """Of the lesson that these batches are together."""
    trainee.begin(0)
    for part in captions(trainee, batches).parts:
        torch.autograd.backward(trainee.learner(part.pixels_BFCHW, part.ids_BKT, part.weight_BKT))
    return {name: p.grad.clone() for name, p in trainee.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("frames", [1, 3])
def test_k_texts_that_share_a_pass_give_the_gradients_of_k_passes(frames: int) -> None:
    model = loud_model(tiny_config(frames=0 if frames == 1 else frames), std=0.2)
    run = run_of(precision="fp32", optim={})
    trainee = Trainee.of(run, 6, model, World())
    pixels, ids = random_pixels(2, frames, 16, 16), random_ids(2, 5, 7)
    ids[0, 1, 4:] = ids[1, 2, 5:] = 0  # texts of other lengths, and one with a question
    need_predict = (ids != 0) & (torch.arange(7) >= torch.tensor([1, 1, 3, 1, 1])[:, None])
    shared = gradients(trainee, [Batch(pixels, ids, need_predict, 2)])
    alone = gradients(trainee, [Batch(pixels, ids[:, k : k + 1], need_predict[:, k : k + 1], 2) for k in range(5)])
    assert shared.keys() == alone.keys() == dict(model.named_parameters()).keys()
    assert min(float(gradient.abs().max()) for gradient in shared.values()) > 1e-4
    for name, gradient in alone.items():
        torch.testing.assert_close(shared[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


@torch.inference_mode()
def test_the_question_is_read_and_not_learnt(tmp_path: Path) -> None:
    """Other labels for the question's tokens change nothing; for the answer's, the loss."""
    model = fresh_model().eval()
    batch = next(b for b in map(fresh_loader(tmp_path).batch, range(9)) if not b.need_predict_BKT[:, 0, 1].any())
    logits = model(model.see(batch.pixels_BFCHW), batch.ids_BKT)
    weights = learnt(batch.ids_BKT, batch.need_predict_BKT).float()
    loss = weighted_loss(logits, batch.ids_BKT, weights, 0.1)
    question, answer = batch.ids_BKT.clone(), batch.ids_BKT.clone()
    question[~batch.need_predict_BKT] = 9
    answer[batch.need_predict_BKT] = 9
    assert weights.sum() > 0 and float(weighted_loss(logits, question, weights, 0.1)) == float(loss)
    assert float(weighted_loss(logits, answer, weights, 0.1)) != float(loss)


def test_texts_count_as_their_weights_say() -> None:
    """A text that weighs three times as much is as good as three of it."""
    trainee = Trainee.of(run_of(precision="fp32", optim={}), 6, loud_model(tiny_config(), std=0.2), World())
    pixels, ids = random_pixels(2, 1, 16, 16), random_ids(2, 2, 7)
    need_predict = torch.arange(7).expand(ids.shape) >= 1
    weighed = gradients(trainee, [Batch(pixels, ids, need_predict, 2, text_weight_BK=torch.tensor([[3.0, 1], [1, 0]]))])
    texts = [ids[0, 0], ids[0, 0], ids[0, 0], ids[0, 1], ids[1, 0]]
    each = [
        Batch(pixels[m : m + 1], text[None, None], need_predict[:1, :1], 1)
        for text, m in zip(texts, (0, 0, 0, 0, 1), strict=True)
    ]
    for name, gradient in gradients(trainee, each).items():
        torch.testing.assert_close(weighed[name], gradient, atol=1e-5, rtol=1e-5, msg=name)


def test_chance_follows_from_seed_step_and_process() -> None:
    seeds = {seed_of(seed, step, rank) for seed in range(3) for step in range(50) for rank in range(4)}
    assert len(seeds) == 600 and seed_of(1, 2, 3) == seed_of(1, 2, 3)


def test_a_step_is_repeatable_whatever_happened_before(tmp_path: Path) -> None:
    loader, losses = fresh_loader(tmp_path), []
    for noise in (0, 5):
        trainee = Trainee.of(run_of(), 6, fresh_model(), World())
        torch.rand(noise)
        losses.append(learn(trainee, [loader.batch(0)], 0).loss)
    assert losses[0] == losses[1] > 0


def test_nothing_to_learn_is_told() -> None:
    trainee = Trainee.of(run_of(), 6, loud_model(), World())
    nothing = Batch(random_pixels(1, 1, 16, 16), random_ids(1, 1, 4), torch.zeros(1, 1, 4, dtype=torch.bool), 1)
    with pytest.raises(PixtellError, match="no token of this step's batches"):
        learn(trainee, [nothing], 0)
