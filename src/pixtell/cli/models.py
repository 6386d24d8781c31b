"""`pixtell models`: which models there are, how large they are, what for, and which are on this machine.

In: the presets, the bundled model's own files and huggingface_hub's cache. Out: a table, or JSON. The surprising thing:
sizes are counted from the table of tensor names and shapes, so that neither torch nor the network is needed.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from pixtell.cli.options import AsJson, CacheDir
from pixtell.cli.output import put, put_json
from pixtell.config import BUNDLED, BUNDLED_FOLDER, HUB_OWNER, PRESETS, PixelConfig, Preset

EXAMPLE = "Example:  pixtell models --json"
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

# By how a released model's name ends; the first that fits. (microsoft/GenerativeImage2Text, README)
PURPOSES = (
    ("-msrvtt-qa", "questions about clips"),
    ("-msrvtt", "captions of clips"),
    ("-vatex", "captions of clips"),
    ("-coco", "captions of photos"),
    ("-textcaps", "captions of photos with words in them"),
    ("-vqav2", "questions about photos"),
    ("-textvqa", "questions about words in photos"),
    ("", "a start for fine-tuning"),
)


@dataclass(frozen=True)
class Listing:
    """A line of the table; `where` is bundled, cached, hub or files (never put on the hub)."""

    name: str
    parameters: int
    pixels: str
    frames: int
    where: str
    purpose: str


def models(as_json: AsJson = False, cache_dir: CacheDir = None) -> int:
    """List the models that have names.

    `cached` ones are on this machine; `hub` ones are fetched when first used; `files` ones were never put on the hub:
    give the path of the authors' model.pt and --preset.
    """
    listings = [*bundled(), *(released(preset, cache_dir) for preset in PRESETS.values())]
    if as_json:
        for listing in listings:
            put_json(asdict(listing))
        return 0
    rows = [("MODEL", "SIZE", "PIXELS", "FRAMES", "WHERE", "FOR")]
    rows += [
        (
            listing.name,
            f"{listing.parameters / 1e6:.0f} M",
            listing.pixels,
            str(listing.frames),
            listing.where,
            listing.purpose,
        )
        for listing in listings
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        put("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def released(preset: Preset, cache_dir: str | None = None) -> Listing:
    """A released model's line."""
    from pixtell.checkpoint.names import entries

    sizes = [math.prod(entry.shape) for entry in entries(preset.model, tied_head=True)]
    where = ("cached" if in_cache(preset, cache_dir) else "hub") if preset.on_hub else "files"
    purpose = next(words for end, words in PURPOSES if preset.name.endswith(end))
    if "r" in preset.name.split("-"):  # trained without the captions that hold tags for persons' names
        purpose += " (no name tags)"
    return Listing(preset.name, sum(sizes), spelled(preset.authors_pixels), preset.model.frames or 1, where, purpose)


def bundled() -> list[Listing]:
    """The bundled model's line, from its own files; none in an installation without it."""
    from safetensors import safe_open

    if not BUNDLED_FOLDER.is_dir():
        return []
    config = json.loads((BUNDLED_FOLDER / CONFIG).read_text(encoding="utf-8"))
    with safe_open(BUNDLED_FOLDER / WEIGHTS[0], framework="numpy") as file:
        parameters = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    pixels = PixelConfig(**config["pixels"])
    return [Listing(BUNDLED, parameters, spelled(pixels), config["frames"] or 1, "bundled", "trying things out")]


def spelled(pixels: PixelConfig) -> str:
    """Size and fit of the pictures a model is shown."""
    size = f"{pixels.size}-{pixels.max_size}" if pixels.max_size else str(pixels.size)
    return f"{size} {pixels.fit}"


def in_cache(preset: Preset, cache_dir: str | None) -> bool:
    """Whether huggingface_hub's cache holds the model's config and weights."""
    from huggingface_hub import try_to_load_from_cache

    def held(file: str) -> bool:
        return isinstance(try_to_load_from_cache(HUB_OWNER + preset.name, file, cache_dir=cache_dir), str)

    return held(CONFIG) and any(map(held, WEIGHTS))
