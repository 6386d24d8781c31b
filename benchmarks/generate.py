"""Speed of captioning, ours beside transformers', in one run: from pixels to 20 new tokens.

    python benchmarks/generate.py                                # git-base, 1 and 8 pictures, greedy and 4 beams
    python benchmarks/generate.py --size tiny --repeats 1        # does it work at all

Both sides hold the same random weights and do the same work: exactly 20 tokens, [SEP] forbidden before. Every case is
timed in float32 and bfloat16 on both sides, in an order that turns round at each repeat, and the median counts. In
float32 the greedy tokens of both sides must agree. The table goes to stderr; the last line of stdout is JSON with every
number in milliseconds for the whole batch, and ratios (transformers' time over ours: above 1 we are faster).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.hub_config import model_config_json
from pixtell.checkpoint.state import Checkpoint, expected, to_foreign
from pixtell.config import PRESETS, ClipVitConfig, DecodeOptions, ModelConfig, TextConfig
from pixtell.decoding import Prompt, generate
from pixtell.model import GitModel

NEW_TOKENS = 20
BEAMS = (1, 4)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIZES = {
    "base": PRESETS["git-base"].model,
    "tiny": ModelConfig(
        ClipVitConfig(image_size=32, patch_size=16, width=32, layers=2, heads=2, mlp_width=64),
        TextConfig(vocab_size=200, width=48, layers=2, heads=2, mlp_width=64, max_positions=64),
    ),
}


@dataclass(frozen=True)
class Case:
    """One row of the table: its numbers are milliseconds for the whole batch."""

    images: int
    beams: int
    ours: dict[str, float]
    transformers: dict[str, float]

    @property
    def ratios(self) -> dict[str, float]:
        """Their time over ours: in each dtype, and each side's best dtype."""
        same = {name: self.transformers[name] / self.ours[name] for name in DTYPES}
        best = min(self.transformers.values()) / min(self.ours.values())
        return {name: round(ratio, 3) for name, ratio in {**same, "best": best}.items()}


def random_checkpoint(config: ModelConfig) -> Checkpoint:
    """Weights that keep the size of what they read, so that texts differ and greedy choices are clear."""
    generator = torch.Generator().manual_seed(7)

    def draw(name: str, shape: tuple[int, ...]) -> Tensor:
        noise = torch.randn(shape, generator=generator)
        if "embedding.weight" in name and "patch" not in name:
            return noise * (2.0 if "position" in name else 1.0) * shape[1] ** -0.5
        if len(shape) > 1:
            return noise * noise[0].numel() ** -0.5
        return 1 + 0.1 * noise if name.endswith("weight") else 0.1 * noise

    return Checkpoint(config, {name: draw(name, shape) for name, shape in expected(config).items()}, ())


def their_model(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """transformers' `GitForCausalLM` with the checkpoint's weights, through our converter."""
    import transformers

    transformers.logging.set_verbosity_error()
    config = transformers.GitConfig(**model_config_json(checkpoint.config, "float32"))
    model = transformers.GitForCausalLM(config)
    model.load_state_dict(to_foreign(checkpoint, "hub"))
    return model.to(dtype).eval()


def our_tokens(model: GitModel, pixels_BCHW: Tensor, beams: int) -> list[list[int]]:
    """Pixels to tokens on our side."""
    options = DecodeOptions(beams=beams, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS)
    prompts = [Prompt(medium, (model.config.text.cls_id,)) for medium in range(len(pixels_BCHW))]
    with torch.inference_mode():
        cache = model.prefill(model.see(pixels_BCHW[:, None]))
        return [list(found[0].ids) for found in generate(model, cache, prompts, options)]


def their_tokens(model: Any, pixels_BCHW: Tensor, beams: int) -> list[list[int]]:
    """Pixels to tokens on transformers' side."""
    start = torch.full((len(pixels_BCHW), 1), model.config.bos_token_id)
    with torch.inference_mode():
        ids = model.generate(
            pixel_values=pixels_BCHW,
            input_ids=start,
            attention_mask=torch.ones_like(start),
            num_beams=beams,
            do_sample=False,
            min_new_tokens=NEW_TOKENS,
            max_new_tokens=NEW_TOKENS,
            pad_token_id=0,
        )
    return ids[:, 1:].tolist()


Runner = Callable[[Tensor, int], list[list[int]]]


def runners(config: ModelConfig) -> dict[tuple[str, str], Runner]:
    """(side, dtype) -> a function from pixels (in float32) and a number of beams to tokens."""
    checkpoint = random_checkpoint(config)
    found: dict[tuple[str, str], Runner] = {}
    for name, dtype in DTYPES.items():
        ours, theirs = build_model(checkpoint, dtype), their_model(checkpoint, dtype)
        found["ours", name] = lambda pixels, beams, m=ours, d=dtype: our_tokens(m, pixels.to(d), beams)
        found["transformers", name] = lambda pixels, beams, m=theirs, d=dtype: their_tokens(m, pixels.to(d), beams)
    return found


def measure(sides: dict[tuple[str, str], Runner], pixels_BCHW: Tensor, beams: int, repeats: int) -> Case:
    """Time all four side by side, once to warm up and `repeats` times to count."""
    tokens = {key: run(pixels_BCHW, beams) for key, run in sides.items()}
    for key, rows in tokens.items():
        assert all(len(row) == NEW_TOKENS for row in rows), f"{key} made {[len(row) for row in rows]} tokens"
    if beams == 1 and tokens["ours", "fp32"] != tokens["transformers", "fp32"]:
        raise SystemExit(
            "error: in float32 the greedy tokens of both sides differ; speed means nothing until they agree"
        )
    times: dict[tuple[str, str], list[float]] = {key: [] for key in sides}
    order = list(sides)
    for _ in range(repeats):
        for key in order:
            start = time.perf_counter()
            sides[key](pixels_BCHW, beams)
            times[key].append(1000 * (time.perf_counter() - start))
        order.reverse()
    median = {key: round(statistics.median(values), 2) for key, values in times.items()}
    ours, theirs = ({name: median[side, name] for name in DTYPES} for side in ("ours", "transformers"))
    return Case(len(pixels_BCHW), beams, ours, theirs)


HEADER = (
    f"{'ms a picture':<14}{'ours fp32':>11}{'bf16':>9}{'transformers fp32':>20}{'bf16':>9}"
    f"   faster: {'fp32':>7}{'bf16':>9}{'best':>9}"
)


def line(case: Case) -> str:
    """A case for a person: milliseconds a picture on both sides, and how many times faster ours is."""
    what = f"{case.images} x {'greedy' if case.beams == 1 else f'{case.beams} beams'}"
    ours, theirs = ([side[name] / case.images for name in DTYPES] for side in (case.ours, case.transformers))
    ratios = [case.ratios[name] for name in (*DTYPES, "best")]
    return (
        f"{what:<14}{ours[0]:>11.1f}{ours[1]:>9.1f}{theirs[0]:>20.1f}{theirs[1]:>9.1f}"
        f"           {ratios[0]:>7.2f}x{ratios[1]:>8.2f}x{ratios[2]:>8.2f}x"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Speed of captioning beside transformers.")
    parser.add_argument("--size", choices=SIZES, default="base", help="git-base, or a tiny model to try the script")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 8], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each; the median counts")
    parser.add_argument("--threads", type=int, help="threads of torch (as many as it chooses)")
    options = parser.parse_args(arguments)
    try:
        import transformers
    except ImportError:
        print("error: transformers is not installed: pip install transformers==5.23.0", file=sys.stderr)
        return 1
    if options.threads:
        torch.set_num_threads(options.threads)
    config = SIZES[options.size]
    size = config.vision.image_size
    sides = runners(config)
    cases = []
    print(HEADER, file=sys.stderr)
    for images in options.images:
        pixels_BCHW = torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(images))
        for beams in BEAMS:
            cases.append(measure(sides, pixels_BCHW, beams, options.repeats))
            print(line(cases[-1]), file=sys.stderr, flush=True)
    report = {
        "benchmark": "generate",
        "size": options.size,
        "new_tokens": NEW_TOKENS,
        "repeats": options.repeats,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "fp32_greedy_tokens_agree": True,
        "cases": [{**asdict(case), "ratios": case.ratios} for case in cases],
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
