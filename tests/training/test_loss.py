"""The loss against numbers worked out by hand, the authors' own steps, cross-entropy, and transformers' GIT."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tiny import TEXT, loud_model, random_ids, random_pixels, tiny_config
from torch import Tensor

from pixtell.checkpoint.hub_config import model_config_json
from pixtell.checkpoint.state import Checkpoint, to_foreign
from pixtell.training.loss import caption_loss

PAD, CLS, SEP = TEXT.pad_id, TEXT.cls_id, TEXT.sep_id
VOCAB_SIZE = TEXT.vocab_size


def a_batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """logits_BKTV, ids_BKT and need_predict_BKT: a caption, a question with its answer, and unused places."""
    ids = torch.tensor([[[CLS, 7, 8, 9, SEP, PAD], [CLS, 4, 5, 6, 7, SEP]], [[CLS, 30, SEP, PAD, PAD, PAD], [PAD] * 6]])
    learnt = torch.zeros(ids.shape, dtype=torch.bool)
    learnt[0, 0, 1:5] = True
    learnt[0, 1, 3:6] = True
    learnt[1, 0, 1:3] = True
    logits = 2 * torch.randn(*ids.shape, VOCAB_SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return logits, ids, learnt


def authors_loss(logits: Tensor, ids: Tensor, need_predict: Tensor, eps: float) -> Tensor:
    """`SmoothLabelCrossEntropyLoss` of the authors' decoder.py, after their shift and selection (git-facts 1.5)."""
    features, target = logits[..., :-1, :].reshape(-1, VOCAB_SIZE), ids[..., 1:].reshape(-1)
    chosen = need_predict[..., 1:].reshape(-1)
    features, target = features[chosen], target[chosen]
    features, target = features[target != 0], target[target != 0]
    one_hot = torch.zeros_like(features).scatter(1, target.view(-1, 1), 1)
    one_hot = one_hot * (1 - eps) + (1 - one_hot) * eps / (VOCAB_SIZE - 1)
    loss = torch.nn.KLDivLoss(reduction="none")(F.log_softmax(features, dim=1), one_hot)
    return loss.sum(dim=1).mean()


def test_a_value_worked_out_by_hand() -> None:
    """One learnt token, 4 classes, probabilities 1/2, 1/4, 1/8, 1/8; the true class has 1/4; eps 0.1."""
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log().repeat(1, 1, 2, 1)
    ids, learnt = torch.tensor([[[2, 1]]]), torch.tensor([[[False, True]]])
    third = 0.1 / 3
    by_hand = 0.9 * (math.log(0.9) - math.log(0.25)) + third * (math.log(third) - math.log(0.5))
    by_hand += 2 * third * (math.log(third) - math.log(0.125))
    assert float(caption_loss(logits, ids, learnt, 0.1)) == pytest.approx(by_hand, abs=1e-6)
    assert float(caption_loss(logits, ids, learnt, 0.0)) == pytest.approx(math.log(4), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.1, 0.3, 1e-6])
def test_the_authors_steps(smoothing: float) -> None:
    for seed in range(5):
        batch = a_batch(seed)
        twin = float(authors_loss(*batch, smoothing))
        assert twin > 1
        assert float(caption_loss(*batch, smoothing)) == pytest.approx(twin, abs=1e-6)


def test_a_model_that_says_the_smoothed_target_has_no_loss() -> None:
    _, ids, learnt = a_batch()
    target = torch.full((*ids.shape, VOCAB_SIZE), 0.1 / (VOCAB_SIZE - 1))
    target[..., :-1, :].scatter_(-1, ids[..., 1:, None], 0.9)
    assert float(caption_loss(target.log(), ids, learnt, 0.1)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_are_those_of_cross_entropy_with_the_same_target(smoothing: float) -> None:
    logits, ids, learnt = a_batch()
    logits.requires_grad_(True)
    (ours,) = torch.autograd.grad(caption_loss(logits, ids, learnt, smoothing), logits)
    target = torch.full((*ids[..., 1:].shape, VOCAB_SIZE), smoothing / (VOCAB_SIZE - 1), dtype=torch.float64)
    target.scatter_(-1, ids[..., 1:, None], 1 - smoothing)
    chosen = learnt[..., 1:]
    (twin,) = torch.autograd.grad(F.cross_entropy(logits[..., :-1, :][chosen], target[chosen]), logits)
    assert twin.abs().max() > 0.01
    torch.testing.assert_close(ours, twin, atol=1e-7, rtol=1e-5)  # ours is computed in float32


def test_only_the_answer_and_sep_are_learnt() -> None:
    logits, ids, learnt = a_batch()
    logits.requires_grad_(True)
    loss = caption_loss(logits, ids, learnt)
    (gradient,) = torch.autograd.grad(loss, logits)
    reached = gradient.abs().sum(-1) > 0
    # Logits at t say the token at t + 1; those of [SEP] and of padding say nothing.
    assert reached[0, 0].tolist() == [True, True, True, True, False, False]
    assert reached[0, 1].tolist() == [False, False, True, True, True, False]
    assert reached[1, 0].tolist() == [True, True, False, False, False, False]
    assert not reached[1, 1].any()
    other_question = ids.clone()
    other_question[0, 1, 1:3] = torch.tensor([20, 21])
    assert torch.equal(caption_loss(logits, other_question, learnt), loss)
    other_answer = ids.clone()
    other_answer[0, 1, 4] = 20
    assert not torch.equal(caption_loss(logits, other_answer, learnt), loss)
    all_learnt = learnt.clone()
    all_learnt[0, 1, 1:3] = True
    assert not torch.equal(caption_loss(logits, ids, all_learnt), loss)


def test_every_learnt_token_weighs_the_same() -> None:
    """Not every text: a mean of the texts' means would favour short ones."""
    logits, ids, learnt = a_batch()
    parts = []
    for row, text in ((0, 0), (0, 1), (1, 0)):
        alone = torch.zeros_like(learnt)
        alone[row, text] = learnt[row, text]
        parts.append((int(alone.sum()), float(caption_loss(logits, ids, alone))))
    mean = sum(count * loss for count, loss in parts) / sum(count for count, _ in parts)
    assert float(caption_loss(logits, ids, learnt)) == pytest.approx(mean, abs=1e-6)


def test_nothing_to_learn_is_an_error_and_not_a_nan() -> None:
    logits, ids, learnt = a_batch()
    with pytest.raises(ValueError, match="no token"):
        caption_loss(logits, ids, torch.zeros_like(learnt))


def test_bfloat16_logits_are_summed_in_float32() -> None:
    logits, ids, learnt = a_batch()
    rough = caption_loss(logits.bfloat16(), ids, learnt)
    assert rough.dtype == torch.float32
    assert float(rough) == pytest.approx(float(caption_loss(logits.bfloat16().double(), ids, learnt)), abs=1e-6)


@pytest.mark.parametrize("frames", [1, 3])
def test_without_smoothing_it_is_the_loss_of_transformers(frames: int) -> None:
    transformers = pytest.importorskip("transformers")
    config = tiny_config(frames=0 if frames == 1 else frames)
    model = loud_model(config)
    theirs = transformers.GitForCausalLM(transformers.GitConfig(**model_config_json(config, "float32"))).eval()
    theirs.load_state_dict(to_foreign(Checkpoint(config, model.state_dict(), ()), "hub"))
    pixels, ids = random_pixels(2, frames, 16, 16), random_ids(2, 6)
    labels = ids.clone()
    labels[0, :3] = -100  # a question
    labels[1, 0] = -100
    with torch.inference_mode():
        twin = theirs(input_ids=ids, pixel_values=pixels if frames > 1 else pixels[:, 0], labels=labels).loss
        logits = model(model.see(pixels), ids[:, None])
        ours = caption_loss(logits, ids[:, None], (labels != -100)[:, None], 0.0)
    assert float(twin) > 1
    assert float(ours) == pytest.approx(float(twin), abs=1e-5)
