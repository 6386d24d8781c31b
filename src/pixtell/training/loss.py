"""The language-modelling loss, exactly as the authors' `decoder.py` has it (`SmoothLabelCrossEntropyLoss`).

In: logits_BKTV and the very ids they were computed from. Out: one number. The surprising thing: it is a divergence,
not a cross-entropy. The smoothing is spread over the *wrong* classes only, and a perfect model reaches 0. Gradients
equal those of the cross-entropy against the same smoothed target. Shifting and masking happen here and nowhere else.

    B media, K texts a medium, T tokens, V vocabulary
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def caption_loss(logits_BKTV: Tensor, ids_BKT: Tensor, need_predict_BKT: Tensor, smoothing: float = 0.1) -> Tensor:
    """Mean over learnt tokens of KL(target || model), the target 1 - eps on the true piece, eps / (V - 1) on others.

    Logits at t are compared with the id at t + 1 where `need_predict` is True there and the id is not padding (0).
    Raises ValueError for a batch in which nothing is learnt: its loss would be 0 / 0.
    """
    targets = ids_BKT[..., 1:]
    learnt = need_predict_BKT[..., 1:] & (targets != 0)
    if not bool(learnt.any()):
        raise ValueError("no token of this batch is to be learnt: need_predict is False everywhere")
    logprobs_NV = logits_BKTV[..., :-1, :][learnt].float().log_softmax(-1)
    true_N = logprobs_NV.gather(1, targets[learnt][:, None])[:, 0]
    if smoothing == 0:
        return -true_N.mean()
    wrong = smoothing / (logprobs_NV.shape[1] - 1)
    entropy = (1 - smoothing) * math.log(1 - smoothing) + smoothing * math.log(wrong)
    cross_N = (1 - smoothing) * true_N + wrong * (torch.sum(logprobs_NV, dim=-1) - true_N)
    return entropy - cross_N.mean()
