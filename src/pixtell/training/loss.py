"""The language-modelling loss, exactly as the authors' `decoder.py` has it (`SmoothLabelCrossEntropyLoss`).

In: logits_BKTV and the very ids they were computed from. Out: one number. The surprising thing: it is a divergence,
not a cross-entropy. The smoothing is spread over the *wrong* classes only, and a perfect model reaches 0. Gradients
equal those of the cross-entropy against the same smoothed target. Shifting and masking happen here and nowhere else.

    B media, K texts a medium, T tokens, V vocabulary, N tokens that count
"""

from __future__ import annotations

import math

from torch import Tensor


def caption_loss(logits_BKTV: Tensor, ids_BKT: Tensor, need_predict_BKT: Tensor, smoothing: float = 0.1) -> Tensor:
    """Mean over learnt tokens of KL(target || model), the target 1 - eps on the true piece, eps / (V - 1) on others.

    Logits at t are compared with the id at t + 1 where `need_predict` is True there and the id is not padding (0).
    Raises ValueError for a batch in which nothing is learnt: its loss would be 0 / 0.
    """
    learnt_BKT = learnt(ids_BKT, need_predict_BKT)
    count = int(learnt_BKT.sum())
    if not count:
        raise ValueError("no token of this batch is to be learnt: need_predict is False everywhere")
    return weighted_loss(logits_BKTV, ids_BKT, learnt_BKT.float(), smoothing) / count


def learnt(ids_BKT: Tensor, need_predict_BKT: Tensor) -> Tensor:
    """Which tokens are learnt, a mask as `ids_BKT`: those to predict that are not padding (0), never the first."""
    learnt_BKT = need_predict_BKT & (ids_BKT != 0)
    learnt_BKT[..., 0] = False
    return learnt_BKT


def weighted_loss(logits_BKTV: Tensor, ids_BKT: Tensor, weight_BKT: Tensor, smoothing: float) -> Tensor:
    """The sum over tokens of weight times the token's divergence; tokens of weight 0 cost nothing.

    Every objective is such a sum: of captions each token weighs one over their number, in self-critical training as
    much as its text was better than expected. Without any weight the sum is 0, with gradients that are 0.
    """
    weight_BKt, targets_BKt = weight_BKT[..., 1:], ids_BKT[..., 1:]
    counts = weight_BKt != 0
    logprobs_NV = logits_BKTV[..., :-1, :][counts].float().log_softmax(-1)
    losses_N = -logprobs_NV.gather(1, targets_BKt[counts][:, None])[:, 0]
    if smoothing > 0:
        wrong = smoothing / (logprobs_NV.shape[1] - 1)
        entropy = (1 - smoothing) * math.log(1 - smoothing) + smoothing * math.log(wrong)
        losses_N = entropy + (1 - smoothing - wrong) * losses_N - wrong * logprobs_NV.sum(-1)
    return (weight_BKt[counts] * losses_N).sum()
