"""What a model is, in numbers: frozen, checked at birth, and closed.

A `ModelConfig` holds everything needed to build a model and to feed it: the image encoder, the text decoder, the
pixels it was trained on and the number of temporal embeddings. `PRESETS` has a line for each of the 19 checkpoints
that the authors released (microsoft/GenerativeImage2Text, README; `parameter.yaml` of each model).

The surprising thing: a released checkpoint has two sets of pixels. The authors fed the VQA models pictures with their
aspect kept and the video models CLIP's colours; the hub's `preprocessor_config.json` crops the first to a square and
gives the second other colours and another filter. Published numbers need the authors' pixels, so they are the default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pixtell.errors import ConfigError

BUNDLED = "pixtell-mini"  # the model in the package
BUNDLED_FOLDER = Path(__file__).resolve().parent / "models" / BUNDLED
HUB_OWNER = "microsoft/"  # whose the released checkpoints are on the hub

Resample = Literal["bicubic", "bilinear"]
Fit = Literal["crop", "aspect", "squash"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


def _positive(owner: object, *names: str) -> list[str]:
    return [f"{name} must be at least 1, got {getattr(owner, name)}" for name in names if getattr(owner, name) < 1]


@dataclass(frozen=True)
class ClipVitConfig:
    """A CLIP vision transformer (paper 2.1 and table 11). Defaults are ViT-B/16 at 224 pixels.

    `image_size` is the side whose patch grid the learned position embeddings cover; pictures of another size get
    them resized on the fly. A patch grid of g x g gives g * g + 1 visual tokens: the class token counts.
    """

    image_size: int = 224
    patch_size: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp_width: int = 3072

    def __post_init__(self) -> None:
        problems = _positive(self, "image_size", "patch_size", "width", "layers", "heads", "mlp_width")
        if not problems and self.width % self.heads:
            problems.append(f"width {self.width} is not a multiple of heads {self.heads}")
        if not problems and self.image_size < self.patch_size:
            problems.append(f"image_size {self.image_size} is smaller than one patch of {self.patch_size}")
        if problems:
            raise ConfigError.listing("vision", problems)

    @property
    def grid(self) -> int:
        """Patches along one side of the learned position grid."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class EfficientNetLiteConfig:
    """EfficientNet-Lite, the mobile encoder of the bundled model; its last feature map is the visual tokens.

    `variant` is the number in the model's name (lite0 to lite4). A picture of H x W pixels gives
    ceil(H / 32) * ceil(W / 32) tokens of `width` channels; there is no class token and no position embedding: the
    convolutions carry position.
    """

    variant: int = 0
    image_size: int = 224
    width: int = 1280

    def __post_init__(self) -> None:
        problems = _positive(self, "image_size", "width")
        if self.variant not in range(5):
            problems.append(f"variant must be 0, 1, 2, 3 or 4, got {self.variant}")
        if problems:
            raise ConfigError.listing("vision", problems)


VisionConfig = ClipVitConfig | EfficientNetLiteConfig


@dataclass(frozen=True)
class TextConfig:
    """The text decoder: post-norm BERT layers over visual and text tokens (paper 2.1; table 11).

    `embedding_eps` is the layer-norm epsilon of the text embedding (1e-8 in the authors' code, 1e-12 in the hub's
    layout); `layer_eps` that of the blocks. `dropout` is that of hidden states,
    `attention_dropout` that of attention weights; both only in training. `tied_head` says whether the
    output layer is the word embedding itself.
    `max_positions` limits the text alone: visual tokens take no position.
    """

    vocab_size: int = 30522
    width: int = 768
    layers: int = 6
    heads: int = 12
    mlp_width: int = 3072
    max_positions: int = 1024
    dropout: float = 0.1
    attention_dropout: float = 0.1
    embedding_eps: float = 1e-8
    layer_eps: float = 1e-12
    tied_head: bool = True
    cls_id: int = 101
    sep_id: int = 102
    pad_id: int = 0

    def __post_init__(self) -> None:
        problems = _positive(self, "vocab_size", "width", "layers", "heads", "mlp_width", "max_positions")
        if not problems and self.width % self.heads:
            problems.append(f"width {self.width} is not a multiple of heads {self.heads}")
        for name in ("dropout", "attention_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                problems.append(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("cls_id", "sep_id", "pad_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                problems.append(f"{name} {getattr(self, name)} is outside the vocabulary of {self.vocab_size}")
        if problems:
            raise ConfigError.listing("text", problems)


@dataclass(frozen=True)
class PixelConfig:
    """How frames become pixels: the size, what gives when the picture is not square, the filter and the colours.

    `fit` is `crop` (short side to `size`, centre crop), `aspect` (short side to `size`, long side up to `max_size`,
    nothing cut off) or `squash` (both sides to `size`). `mean` and `std` are of values scaled to [0, 1], red, green,
    blue.
    """

    size: int = 224
    fit: Fit = "crop"
    max_size: int | None = None
    resample: Resample = "bicubic"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __post_init__(self) -> None:
        problems = _positive(self, "size")
        if self.fit not in ("crop", "aspect", "squash"):
            problems.append(f"fit must be crop, aspect or squash, got {self.fit!r}")
        if self.resample not in ("bicubic", "bilinear"):
            problems.append(f"resample must be bicubic or bilinear, got {self.resample!r}")
        if (self.fit == "aspect") != (self.max_size is not None):
            problems.append(f"max_size goes with fit 'aspect' and only with it, got {self.max_size} with {self.fit!r}")
        elif self.max_size is not None and self.max_size < self.size:
            problems.append(f"max_size {self.max_size} is smaller than size {self.size}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            problems.append(f"mean and std need three numbers each, std above 0, got {self.mean} and {self.std}")
        if problems:
            raise ConfigError.listing("pixels", problems)


@dataclass(frozen=True)
class ModelConfig:
    """One model: encoder, decoder, pixels, and `frames`, its number of temporal embeddings (0: single pictures)."""

    vision: VisionConfig = field(default_factory=ClipVitConfig)
    text: TextConfig = field(default_factory=TextConfig)
    pixels: PixelConfig = field(default_factory=PixelConfig)
    frames: int = 0

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise ConfigError(f"model: frames must be 0 or more, got {self.frames}")


@dataclass(frozen=True)
class Preset:
    """A released checkpoint: its name on the hub without `microsoft/`, its model, and both sets of pixels."""

    name: str
    model: ModelConfig
    hub_pixels: PixelConfig
    on_hub: bool = True

    @property
    def resizes_positions(self) -> bool:
        """Whether its pictures' patch grids vary, so that the position embeddings are resized (bicubic) to each."""
        return self.model.pixels.fit == "aspect"

    @property
    def authors_pixels(self) -> PixelConfig:
        """The pixels of the authors' `parameter.yaml`, which published numbers were made with."""
        return self.model.pixels


def _preset(name: str, *, large: bool, task: Literal["picture", "question", "clip"], on_hub: bool = True) -> Preset:
    size = (420 if large else 480) if task == "question" else 224
    vision = (
        ClipVitConfig(image_size=size, patch_size=14, width=1024, layers=24, heads=16, mlp_width=4096)
        if large
        else ClipVitConfig(image_size=size)
    )
    pixels = PixelConfig(size=size)
    if task == "question":
        pixels = PixelConfig(size=size, fit="aspect", max_size=560 if large else 640)
    hub_pixels = PixelConfig(size=size)
    if task == "clip":
        hub_pixels = PixelConfig(size=size, resample="bilinear", mean=HALF, std=HALF)
    return Preset(
        name, ModelConfig(vision=vision, pixels=pixels, frames=6 if task == "clip" else 0), hub_pixels, on_hub
    )


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _preset("git-base", large=False, task="picture"),
        _preset("git-base-coco", large=False, task="picture"),
        _preset("git-base-textcaps", large=False, task="picture"),
        _preset("git-base-vqav2", large=False, task="question"),
        _preset("git-base-textvqa", large=False, task="question"),
        _preset("git-base-vatex", large=False, task="clip"),
        _preset("git-base-msrvtt", large=False, task="clip", on_hub=False),
        _preset("git-base-msrvtt-qa", large=False, task="clip"),
        _preset("git-large", large=True, task="picture"),
        _preset("git-large-coco", large=True, task="picture"),
        _preset("git-large-textcaps", large=True, task="picture"),
        _preset("git-large-vqav2", large=True, task="question"),
        _preset("git-large-textvqa", large=True, task="question"),
        _preset("git-large-vatex", large=True, task="clip"),
        _preset("git-large-msrvtt", large=True, task="clip", on_hub=False),
        _preset("git-large-msrvtt-qa", large=True, task="clip"),
        _preset("git-large-r", large=True, task="picture"),
        _preset("git-large-r-coco", large=True, task="picture"),
        _preset("git-large-r-textcaps", large=True, task="picture"),
    )
}


@dataclass(frozen=True)
class DecodeOptions:
    """How text is searched for. The defaults are the authors' (`model.py`): 4 beams, length penalty 0.6.

    `max_new_tokens` counts word pieces after the prompt, [SEP] not included. (The authors' limit is 1024 with prompt;
    a smaller limit also makes their stopping bound tighter, so it stops much sooner.)
    `beams` 1 is greedy, or sampling when `temperature` is above 0; then `top_k`, `top_p` and `seed` apply.
    `scoring` picks whose beam search: `authors`, or `transformers` (whose `length_penalty` is then a plain exponent).
    `results` asks for several texts per input, best first. `banned` holds words or phrases that must not appear.
    `no_repeat_ngram` forbids repeating any run of that many tokens (0: off). `choices` closes the list: the text
    will be one of them (the authors' `trie_decoder.py` names ImageNet's classes so). The text begins with the words of
    `start_with` and goes on from them. `no_text` keeps writing from being read out, true or made up: what leads up to
    it ("that says"), quotation marks and digits.
    """

    max_new_tokens: int = 40
    min_new_tokens: int = 0
    beams: int = 4
    length_penalty: float = 0.6
    scoring: Literal["authors", "transformers"] = "authors"
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    results: int = 1
    banned: tuple[str, ...] = ()
    no_repeat_ngram: int = 0
    choices: tuple[str, ...] = ()
    start_with: str = ""
    no_text: bool = False

    def __post_init__(self) -> None:
        for name in ("banned", "choices"):  # a list may be given, but can't be hashed
            if not isinstance(getattr(self, name), str):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        problems = _positive(self, "max_new_tokens", "beams", "results")
        if not 0 <= self.min_new_tokens <= self.max_new_tokens:
            problems.append(f"min_new_tokens must be in 0..{self.max_new_tokens}, got {self.min_new_tokens}")
        if not 0 <= self.temperature < math.inf:
            problems.append(f"temperature must be 0 (no sampling) or more, and finite, got {self.temperature}")
        if not math.isfinite(self.length_penalty):
            problems.append(f"length_penalty must be a finite number, got {self.length_penalty}")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            problems.append(f"seed must be in 0..2**63 - 1, got {self.seed}")
        if self.temperature > 0 and self.beams > 1:
            problems.append(
                f"temperature {self.temperature} samples and {self.beams} beams search: use beams=1 to sample"
            )
        if self.temperature == 0 and (self.top_k or self.top_p != 1.0 or self.seed is not None):
            problems.append("top_k, top_p and seed only apply to sampling: set temperature above 0 and beams to 1")
        if self.top_k < 0 or not 0.0 < self.top_p <= 1.0:
            problems.append(f"top_k must be 0 or more and top_p in (0, 1], got {self.top_k} and {self.top_p}")
        if self.scoring not in ("authors", "transformers"):
            problems.append(f"scoring must be authors or transformers, got {self.scoring!r}")
        if self.temperature == 0 and self.results > self.beams:
            problems.append(f"{self.results} results need at least as many beams, got {self.beams} (or sample)")
        problems += [
            f"{name} must be a tuple of texts, got {getattr(self, name)!r}"
            for name in ("banned", "choices")
            if isinstance(getattr(self, name), str)
        ]
        if self.start_with and self.choices:
            problems.append(f"start_with {self.start_with!r} and choices both say what the text is: leave one out")
        if self.no_repeat_ngram < 0:
            problems.append(f"no_repeat_ngram must be 0 or more, got {self.no_repeat_ngram}")
        if problems:
            raise ConfigError.listing("decoding", problems)
