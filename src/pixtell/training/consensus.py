"""How much each caption of a picture counts: the more, the more it says what the picture's other captions say too.

In: a stream's rows, and a judge of agreement as a callable. Out: a weight for each text of each row. Of five people
who describe a photo one often sees what nobody else mentions, and learning that costs a model what all agree on (Phan
et al., arXiv 1712.09532, section 3.2, where the weight is all CIDEr; here a share of it is).

The surprising thing: the weights' mean over all captions is 1, not a picture's. A photo of which everybody says the
same counts more than one that nobody knows how to describe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pixtell.data.loader import Stream
from pixtell.errors import ConfigError

# Of each picture's captions, how well each agrees with the others.
Agreement = Callable[[Sequence[Sequence[str]]], Sequence[Sequence[float]]]


def by_consensus(stream: Stream, share: float, agreement: Agreement) -> Stream:
    """The stream with `text_weights`: 1 - share + share * agreement / its mean over all captions that have company.

    Captions alone, questions and names weigh 1. Raises `ConfigError` where no picture has two captions that agree.
    """
    source = stream.source
    texts = [source.row_texts(row) for row in range(len(source))]
    # Places of the captions that are judged: of rows with at least two, which names and questions are not.
    places = [
        [] if source.is_named(row) else [place for place, pair in enumerate(own) if not pair.prompt]
        for row, own in enumerate(texts)
    ]
    judged = [row for row, captions in enumerate(places) if len(captions) > 1]
    agreed = agreement([[texts[row][place].target for place in places[row]] for row in judged]) if judged else []
    number, total = sum(map(len, agreed)), sum(map(sum, agreed))
    if not total:
        raise ConfigError(f"consensus: {source.name} has no picture with two captions that agree in anything")
    weights = [[1.0] * len(own) for own in texts]
    for row, scores in zip(judged, agreed, strict=True):
        for place, score in zip(places[row], scores, strict=True):
            weights[row][place] = 1 - share + share * score * number / total
    return replace(stream, text_weights=weights)
