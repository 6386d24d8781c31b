"""The loop that people write around transformers: a folder of photos -> a line of JSON for each.

    python benchmarks/plain_loop.py --size base --dtype bfloat16 --beams 4 PHOTOS OUT.jsonl

Pillow, transformers' processor, batches of 8, `generate` of exactly 20 tokens, random weights. It captions the folder
once for every line of standard input, and prints how many seconds that took. `folder.py` runs it: in a process of its
own, so that nothing that Pixtell does to its process (`pixtell.memory`) makes this one quicker or slower.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from generate import NEW_TOKENS, SIZES, random_checkpoint, their_model
from PIL import Image
from transformers import CLIPImageProcessor

BATCH = 8


def caption_folder(model: Any, side: int, beams: int, photos: Path, out: Path) -> float:
    """Seconds from photos on disk to rows on disk."""
    processor = CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, resample=Image.Resampling.BICUBIC
    )
    paths = sorted(photos.iterdir())
    start = time.perf_counter()
    with out.open("w") as file, torch.inference_mode():
        for place in range(0, len(paths), BATCH):
            images = [Image.open(path).convert("RGB") for path in paths[place : place + BATCH]]
            pixels = processor(images=images, return_tensors="pt").pixel_values.to(model.dtype)
            ids = model.generate(
                pixel_values=pixels,
                num_beams=beams,
                do_sample=False,
                min_new_tokens=NEW_TOKENS,
                max_new_tokens=NEW_TOKENS,
                pad_token_id=0,
            )
            for path, row in zip(paths[place : place + BATCH], ids.tolist(), strict=True):
                file.write(json.dumps({"name": str(path), "ids": row}) + "\n")
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description="The loop that people write around transformers.")
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    checkpoint = random_checkpoint(SIZES[options.size])
    model = their_model(checkpoint, getattr(torch, options.dtype))
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds = caption_folder(model, checkpoint.config.vision.image_size, options.beams, options.photos, options.out)
        print(seconds, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
