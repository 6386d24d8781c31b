"""How published numbers were made, and the numbers, for each released checkpoint that has some.

In: a checkpoint's name. Out: the authors' decoding, and what they reported on which data with which metric.

The surprising thing: the authors let a text grow to 1024 tokens, prompt included. Texts stay short all the same, but
the bound at which their beam search stops depends on that limit, so it is part of the settings.

Sources: the README of microsoft/GenerativeImage2Text (faae4fb), and VALOR, arXiv 2304.08345, whose tables quote the
paper. Sizes are those of the data sets' own splits; a number made on another count of items is another number.
"""

from __future__ import annotations

from dataclasses import dataclass

from pixtell.config import HUB_OWNER, PRESETS, DecodeOptions

MAX_STEPS = 1024  # prompt and text together; authors' model.py, `max_steps`
DECODING = DecodeOptions(beams=4, length_penalty=0.6, scoring="authors")


@dataclass(frozen=True)
class Published:
    """One published number, in percent or, of CIDEr, times 100; `size` is how many items it is the score of."""

    checkpoint: str
    metric: str
    value: float
    data: str
    size: int
    source: str


README = "microsoft/GenerativeImage2Text, README"
VALOR = "arXiv 2304.08345"
_COCO = ("COCO Karpathy test", 5_000)
_TEXTCAPS = ("TextCaps val", 3_166)
_VQAV2 = ("VQAv2 test-dev", 107_394)
_TEXTVQA = ("TextVQA val", 5_000)
_VATEX = ("VATEX public test", 6_000)
_MSRVTT = ("MSRVTT test", 2_990)
_MSRVTT_QA = ("MSRVTT-QA test", 72_821)

PUBLISHED: tuple[Published, ...] = (
    Published("git-base-coco", "CIDEr", 131.4, *_COCO, README),
    Published("git-base-textcaps", "CIDEr", 64.9, *_TEXTCAPS, README),
    Published("git-base-vqav2", "VQA accuracy", 72.72, *_VQAV2, README),
    Published("git-base-textvqa", "VQA accuracy", 18.81, *_TEXTVQA, README),
    Published("git-base-vatex", "CIDEr", 60.0, *_VATEX, README),
    Published("git-base-msrvtt", "CIDEr", 57.8, *_MSRVTT, README),
    Published("git-base-msrvtt-qa", "exact match", 41.0, *_MSRVTT_QA, README),
    Published("git-large-coco", "CIDEr", 138.5, *_COCO, README),
    Published("git-large-textcaps", "CIDEr", 106.3, *_TEXTCAPS, README),
    Published("git-large-vqav2", "VQA accuracy", 75.51, *_VQAV2, README),
    Published("git-large-textvqa", "VQA accuracy", 37.47, *_TEXTVQA, README),
    # VALOR gives BLEU-4 41.6 too, but the same number for the ten times larger GIT: left out as doubtful.
    Published("git-large-vatex", "METEOR", 26.2, *_VATEX, VALOR),
    Published("git-large-vatex", "ROUGE-L", 54.3, *_VATEX, VALOR),
    Published("git-large-vatex", "CIDEr", 72.5, *_VATEX, VALOR),
    Published("git-large-msrvtt", "BLEU-4", 48.7, *_MSRVTT, VALOR),
    Published("git-large-msrvtt", "METEOR", 30.9, *_MSRVTT, VALOR),
    Published("git-large-msrvtt", "ROUGE-L", 64.9, *_MSRVTT, VALOR),
    Published("git-large-msrvtt", "CIDEr", 64.1, *_MSRVTT, VALOR),
    Published("git-large-msrvtt-qa", "exact match", 42.7, *_MSRVTT_QA, VALOR),
    Published("git-large-r-coco", "CIDEr", 137.6, *_COCO, README),
    Published("git-large-r-textcaps", "CIDEr", 105.3, *_TEXTCAPS, README),
)


def released_name(model: str, preset: str | None = None) -> str | None:
    """The released checkpoint that a model's name, or the preset named with it, means; None for any other."""
    name = preset or model.removeprefix(HUB_OWNER)
    return name if name in PRESETS else None


def published(checkpoint: str | None) -> tuple[Published, ...]:
    """The published numbers of a released checkpoint, none for others."""
    return tuple(one for one in PUBLISHED if one.checkpoint == checkpoint)
