"""The authors' beam search, written plainly: the slow twin that `pixtell.decoding.beams` is held against.

One prompt at a time, Python numbers and lists, every candidate of every beam sorted. From the rules as git-facts.md 1.6
and decoder.py of microsoft/GenerativeImage2Text state them, and independent of the fast writing: it takes a function
from the tokens so far to log-probabilities, and knows neither tensors nor caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Kept:
    """The best `count` texts by penalised score. The authors keep one."""

    def __init__(self, count: int, penalty: float) -> None:
        self.count, self.penalty = count, penalty
        self.texts: list[tuple[float, tuple[int, ...]]] = []

    def penalised(self, total: float, length: int) -> float:
        return total * 6**self.penalty / (5 + length) ** self.penalty

    def add(self, text: tuple[int, ...], total: float) -> None:
        score = self.penalised(total, len(text))
        for place, (held_score, held) in enumerate(self.texts):
            if held == text:
                self.texts[place] = (max(score, held_score), held)
                return
        self.texts.append((score, text))
        if len(self.texts) > self.count:
            self.texts.remove(min(self.texts))

    def can_stop(self, best_total: float, max_steps: int) -> bool:
        full = len(self.texts) >= self.count
        return full and min(self.texts)[0] >= self.penalised(best_total, max_steps - 1)


def authors_beam(
    logprobs_after: Callable[[tuple[int, ...]], Sequence[float]],
    prompt: tuple[int, ...],
    *,
    beams: int,
    penalty: float,
    max_new_tokens: int,
    sep_id: int,
    results: int = 1,
) -> list[tuple[float, tuple[int, ...]]]:
    """The best texts as (score, new tokens), best first. `logprobs_after` gives log-probabilities of every token."""
    max_steps = len(prompt) + max_new_tokens + 1
    kept = Kept(results, penalty)
    alive = [(0.0, prompt)]
    length = len(prompt)
    while length < max_steps and alive:
        candidates = []
        for total, text in alive:
            for token, logprob in enumerate(logprobs_after(text)):
                candidates.append((total + logprob, text, token))
        candidates.sort(key=lambda candidate: candidate[0], reverse=True)
        candidates = [candidate for candidate in candidates[: 2 * beams] if candidate[0] > -1e8]
        if candidates and kept.can_stop(candidates[0][0], max_steps):
            break
        alive = []
        for total, text, token in candidates:
            if token == sep_id or length + 1 == max_steps:
                kept.add(text, total)
            else:
                alive.append((total, (*text, token)))
            if len(alive) == beams:
                break
        length += 1
    return [(score, text[len(prompt) :]) for score, text in sorted(kept.texts, reverse=True)]
