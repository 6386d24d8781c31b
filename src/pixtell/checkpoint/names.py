"""One table of tensor names: ours, the authors' (`model.pt`) and transformers' (the hub), with every shape.

In: a `ModelConfig`. Out: an `Entry` for each of our tensors, with its shape and the names it goes by elsewhere. Both
directions of every conversion read this table, so they can't disagree, and it is known before a model is built.

The surprising thing: there is one rule for every difference in layout. Where another layout has several tensors for
one of ours (queries, keys and values; one temporal embedding a frame), ours is theirs laid end to end along the
first dimension. Sources: git-facts, "Key map"; authors' `layers/CLIP/model.py`, `layers/decoder.py`; transformers
5.23 `models/git/modeling_git.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pixtell.config import ClipVitConfig, ModelConfig
from pixtell.errors import CheckpointError

Shape = tuple[int, ...]
Foreign = Literal["authors", "hub"]

# Blocks or frames; a config that asks for more is refused before the table is spelled out for it.
MAX_REPEATS = 1000


@dataclass(frozen=True)
class Row:
    """A line of the table: `*` stands for weight and bias, `{i}` for a block's number, `{k}` for a frame's.

    `shape` is the weight's, in the letters of `_sizes`; a bias has the first of them.
    """

    ours: str
    shape: str
    authors: tuple[str, ...]
    hub: tuple[str, ...]


_VISION = "git.image_encoder.vision_model."
_VISION_BLOCK = _VISION + "encoder.layers.{i}."
_RESBLOCK = "image_encoder.transformer.resblocks.{i}."

VISION_ROWS = (
    Row("vision.class_embedding", "E", ("image_encoder.class_embedding",), (_VISION + "embeddings.class_embedding",)),
    Row(
        "vision.position_embedding",
        "N E",
        ("image_encoder.positional_embedding",),
        (_VISION + "embeddings.position_embedding.weight",),
    ),
    Row(
        "vision.patch_embedding.weight",
        "E 3 p p",
        ("image_encoder.conv1.weight",),
        (_VISION + "embeddings.patch_embedding.weight",),
    ),
    Row("vision.ln_pre.*", "E", ("image_encoder.ln_pre.*",), (_VISION + "pre_layrnorm.*",)),
    Row("vision.ln_post.*", "E", ("image_encoder.ln_post.*",), (_VISION + "post_layernorm.*",)),
)

VISION_BLOCK_ROWS = (
    Row("vision.blocks.{i}.ln_1.*", "E", (_RESBLOCK + "ln_1.*",), (_VISION_BLOCK + "layer_norm1.*",)),
    Row(
        "vision.blocks.{i}.attention.qkv.*",
        "3E E",
        (_RESBLOCK + "attn.in_proj_*",),
        tuple(f"{_VISION_BLOCK}self_attn.{part}_proj.*" for part in "qkv"),
    ),
    Row(
        "vision.blocks.{i}.attention.out.*",
        "E E",
        (_RESBLOCK + "attn.out_proj.*",),
        (_VISION_BLOCK + "self_attn.out_proj.*",),
    ),
    Row("vision.blocks.{i}.ln_2.*", "E", (_RESBLOCK + "ln_2.*",), (_VISION_BLOCK + "layer_norm2.*",)),
    Row("vision.blocks.{i}.mlp.fc_in.*", "M E", (_RESBLOCK + "mlp.c_fc.*",), (_VISION_BLOCK + "mlp.fc1.*",)),
    Row("vision.blocks.{i}.mlp.fc_out.*", "E M", (_RESBLOCK + "mlp.c_proj.*",), (_VISION_BLOCK + "mlp.fc2.*",)),
)

FRAME_ROWS = (
    # transformers wrote `temperal` until 4.56 (see HUB_SPELLINGS); the authors always do.
    Row("prefix.temporal_embedding", "F 1 E", ("img_temperal_embedding.{k}",), ("git.img_temporal_embedding.{k}",)),
)

TEXT_ROWS = (
    Row(
        "prefix.projection.*",
        "D E",
        ("textual.visual_projection.0.*",),
        ("git.visual_projection.visual_projection.0.*",),
    ),
    Row(
        "prefix.layer_norm.*",
        "D",
        ("textual.visual_projection.1.*",),
        ("git.visual_projection.visual_projection.1.*",),
    ),
    Row(
        "decoder.word_embedding.weight",
        "V D",
        ("textual.embedding.words.weight",),
        ("git.embeddings.word_embeddings.weight",),
    ),
    Row(
        "decoder.position_embedding.weight",
        "T D",
        ("textual.embedding.positions.weight",),
        ("git.embeddings.position_embeddings.weight",),
    ),
    Row("decoder.embedding_layer_norm.*", "D", ("textual.embedding.layer_norm.*",), ("git.embeddings.LayerNorm.*",)),
    Row("decoder.head.bias", "V", ("textual.output.bias",), ("output.bias",)),
)

HEAD_ROW = Row("decoder.head.weight", "V D", ("textual.output.weight",), ("output.weight",))


def _layer_row(ours: str, shape: str, *theirs: str) -> Row:
    """A row of the decoder's layers, which the authors and transformers name alike but for the beginning."""
    return Row(
        "decoder.blocks.{i}." + ours,
        shape,
        tuple("textual.transformer.encoder.layer.{i}." + name for name in theirs),
        tuple("git.encoder.layer.{i}." + name for name in theirs),
    )


TEXT_BLOCK_ROWS = (
    _layer_row("attention.qkv.*", "3D D", "attention.self.query.*", "attention.self.key.*", "attention.self.value.*"),
    _layer_row("attention.out.*", "D D", "attention.output.dense.*"),
    _layer_row("attention_layer_norm.*", "D", "attention.output.LayerNorm.*"),
    _layer_row("mlp.fc_in.*", "S D", "intermediate.dense.*"),
    _layer_row("mlp.fc_out.*", "D S", "output.dense.*"),
    _layer_row("mlp_layer_norm.*", "D", "output.LayerNorm.*"),
)

# CLIP's own projection, which GIT never applies, and the position numbers that older transformers stored.
IGNORED: dict[Foreign, frozenset[str]] = {
    "authors": frozenset({"image_encoder.proj"}),
    "hub": frozenset(
        {
            "git.image_encoder.visual_projection.weight",
            "git.embeddings.position_ids",
            "git.image_encoder.vision_model.embeddings.position_ids",
        }
    ),
}

# Beginnings of names that were spelled otherwise in older files: old -> today's.
HUB_SPELLINGS = {"git.img_temperal_embedding.": "git.img_temporal_embedding."}


@dataclass(frozen=True)
class Entry:
    """One of our tensors: its name and shape, and the names of its equal parts in the other layouts."""

    ours: str
    shape: Shape
    authors: tuple[str, ...]
    hub: tuple[str, ...]

    def theirs(self, layout: Foreign) -> tuple[str, ...]:
        """The names in `layout`; each stands for an equal part along the first dimension."""
        return self.authors if layout == "authors" else self.hub

    def part_shape(self, layout: Foreign) -> Shape:
        """The shape of one such part."""
        return (self.shape[0] // len(self.theirs(layout)), *self.shape[1:])


def entries(config: ModelConfig, *, tied_head: bool) -> list[Entry]:
    """Spell the table out for a model with CLIP's encoder; with `tied_head`, the head's matrix has no entry.

    Raises `CheckpointError` for another encoder (only our own layout knows it) and for absurd numbers of blocks.
    """
    vision, text = config.vision, config.text
    if not isinstance(vision, ClipVitConfig):
        raise CheckpointError(
            f"only models with CLIP's image encoder have names in the authors' and the hub's layouts; this one has "
            f"{type(vision).__name__.removesuffix('Config')}: keep it in Pixtell's own layout"
        )
    check_repeats(config)
    sizes = _sizes(vision, config)
    rows = [(row, [0]) for row in VISION_ROWS]
    rows += [(row, list(range(vision.layers))) for row in VISION_BLOCK_ROWS]
    rows += [(row, [0]) for row in FRAME_ROWS if config.frames]
    rows += [(row, [0]) for row in (*TEXT_ROWS, *(() if tied_head else (HEAD_ROW,)))]
    rows += [(row, list(range(text.layers))) for row in TEXT_BLOCK_ROWS]
    return [entry for row, blocks in rows for block in blocks for entry in _spelled(row, block, config.frames, sizes)]


def check_repeats(config: ModelConfig) -> None:
    """Raise `CheckpointError` when a config asks for so many blocks or frames that it can't be meant."""
    counts = {"text layers": config.text.layers, "frames": config.frames}
    if isinstance(config.vision, ClipVitConfig):
        counts["vision layers"] = config.vision.layers
    absurd = [f"{count:,} {what}" for what, count in counts.items() if count > MAX_REPEATS]
    if absurd:
        raise CheckpointError(f"the config asks for {' and '.join(absurd)}; at most {MAX_REPEATS:,} are read")


def _sizes(vision: ClipVitConfig, config: ModelConfig) -> dict[str, int]:
    text = config.text
    return {
        "1": 1,
        "3": 3,
        "E": vision.width,
        "3E": 3 * vision.width,
        "M": vision.mlp_width,
        "N": vision.grid**2 + 1,
        "p": vision.patch_size,
        "F": config.frames,
        "D": text.width,
        "3D": 3 * text.width,
        "S": text.mlp_width,
        "T": text.max_positions,
        "V": text.vocab_size,
    }


def _spelled(row: Row, block: int, frames: int, sizes: dict[str, int]) -> list[Entry]:
    shape = tuple(sizes[letter] for letter in row.shape.split())

    def names(patterns: tuple[str, ...], part: str) -> tuple[str, ...]:
        return tuple(
            pattern.replace("*", part).replace("{i}", str(block)).replace("{k}", str(frame))
            for pattern in patterns
            for frame in range(frames if "{k}" in pattern else 1)
        )

    return [
        Entry(
            names((row.ours,), part)[0],
            shape[:1] if part == "bias" else shape,
            names(row.authors, part),
            names(row.hub, part),
        )
        for part in (("weight", "bias") if row.ours.endswith("*") else ("",))
    ]
