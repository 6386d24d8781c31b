"""Classification by generation: whether the text is, or holds, the name of the picture's class.

In: texts generated and the names of the classes. Out: two measures, the shares of both. Capitals, underscores and
spare spaces don't count.

The surprising thing: the two lie far apart for a model that was never shown the names. The paper's GIT, without
fine-tuning on ImageNet, writes exactly the name for 1.93 % of the photos and a text with the name in it for 40.88 %.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixtell.evaluation.metrics.exact import plain
from pixtell.evaluation.metrics.measure import Measure, mean_of


def name_accuracy(candidates: Sequence[str], labels: Sequence[str]) -> list[Measure]:
    """The shares of texts that are their class's name ("top-1") and that hold it as whole words ("contains")."""
    pairs = [(plain(candidate), plain(label)) for candidate, label in zip(candidates, labels, strict=True)]
    return [
        mean_of("top-1", [float(text == name) for text, name in pairs]),
        mean_of("contains", [float(_holds(text, name)) for text, name in pairs]),
    ]


def _holds(text: str, name: str) -> bool:
    """Whether the name stands in the text with no letter or digit beside it."""
    return bool(name) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
