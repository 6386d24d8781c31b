"""Speed of captioning, ours beside transformers', in one run: from pixels to 20 new tokens.

    python benchmarks/generate.py                                # git-base, 1 and 8 pictures, greedy and 4 beams
    python benchmarks/generate.py --images 8 --types bf16 int8   # the model's part of a night of photos, quicker
    python benchmarks/generate.py --size tiny --repeats 1        # does it work at all

Both sides hold the same random weights and do the same work: exactly 20 tokens, [SEP] forbidden before. Every case is
timed in float32 and bfloat16 on both sides and in int8 on ours (where the processor has it), in an order that turns
round at each repeat, and the median counts; the quickest run stands beside it, since on a machine with other work the
two differ. In float32 the greedy tokens of both sides must agree; of the other types the report says how many of the
greedy tokens are ours in the first type. The table goes to stderr; the last line of stdout is JSON with every number in
milliseconds for the whole batch, and ratios (transformers' time over ours: above 1 we are faster). `--threads 1 --clock
cpu` counts processor time, for machines that have other work, where the wall clock measures the others.
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
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.placement import choose_dtype, ready

NEW_TOKENS = 20
BEAMS = (1, 4)
TYPES = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
THEIRS = ("fp32", "bf16")
SIZES = {
    "base": PRESETS["git-base"].model,
    "tiny": ModelConfig(
        ClipVitConfig(image_size=32, patch_size=16, width=32, layers=2, heads=2, mlp_width=64),
        TextConfig(vocab_size=200, width=48, layers=2, heads=2, mlp_width=64, max_positions=64),
    ),
}


@dataclass(frozen=True)
class Case:
    """One row of the table: its numbers are milliseconds for the whole batch, `agree` the share of equal tokens."""

    images: int
    beams: int
    ours: dict[str, float]
    transformers: dict[str, float]
    ours_quickest: dict[str, float]
    transformers_quickest: dict[str, float]
    agree: dict[str, float]

    @property
    def ratios(self) -> dict[str, float]:
        """Their time over ours: in each type, their better one over each of ours, and each side's best."""
        same = {name: time / self.ours[name] for name, time in self.transformers.items()}
        theirs = min(self.transformers.values())
        beside = {f"{name}_to_their_best": theirs / time for name, time in self.ours.items()}
        ratios = {**same, **beside, "best": theirs / min(self.ours.values())}
        ratios["best_quickest"] = min(self.transformers_quickest.values()) / min(self.ours_quickest.values())
        return {name: round(ratio, 3) for name, ratio in ratios.items()}


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
Side = tuple[str, str]


def runners(config: ModelConfig, types: Sequence[str]) -> dict[Side, Runner]:
    """(side, type) -> a function from pixels (in float32) and a number of beams to tokens."""
    checkpoint = random_checkpoint(config)
    cpu = torch.device("cpu")
    found: dict[Side, Runner] = {}
    for name in types:
        weights = choose_dtype(TYPES[name], cpu)
        ours = ready(build_model(checkpoint, weights), cpu, TYPES[name])
        found["ours", name] = lambda pixels, beams, m=ours, d=weights: our_tokens(m, pixels.to(d), beams)
        if name in THEIRS:
            theirs = their_model(checkpoint, weights)
            found["transformers", name] = lambda pixels, beams, m=theirs, d=weights: their_tokens(
                m, pixels.to(d), beams
            )
    return found


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def measure(sides: dict[Side, Runner], pixels_BCHW: Tensor, beams: int, repeats: int, clock: str = "wall") -> Case:
    """Time all sides on one batch; raises `SystemExit` when they don't do the same work."""
    tokens = {key: run(pixels_BCHW, beams) for key, run in sides.items()}  # also warms up
    for key, rows in tokens.items():
        assert all(len(row) == NEW_TOKENS for row in rows), f"{key} made {[len(row) for row in rows]} tokens"
    if beams == 1 and ("ours", "fp32") in sides and tokens["ours", "fp32"] != tokens["transformers", "fp32"]:
        raise SystemExit(
            "error: in float32 the greedy tokens of both sides differ; speed means nothing until they agree"
        )
    times: dict[Side, list[float]] = {key: [] for key in sides}
    order = list(sides)
    for _ in range(repeats):
        for key in order:
            start = CLOCKS[clock]()
            sides[key](pixels_BCHW, beams)
            times[key].append(1000 * (CLOCKS[clock]() - start))
        order.reverse()

    def of(side: str, number: Callable[[list[float]], float]) -> dict[str, float]:
        return {name: round(number(values), 2) for (whose, name), values in times.items() if whose == side}

    own = {name: torch.tensor(rows) for (whose, name), rows in tokens.items() if whose == "ours"}
    first = next(iter(own.values()))
    agree = {name: round(float((ids == first).float().mean()), 3) for name, ids in own.items()}
    return Case(
        len(pixels_BCHW),
        beams,
        of("ours", statistics.median),
        of("transformers", statistics.median),
        of("ours", min),
        of("transformers", min),
        agree,
    )


def header(types: Sequence[str]) -> str:
    theirs = "".join(f"{name:>9}" for name in types if name in THEIRS)
    return (
        f"{'ms a picture':<14}{'ours':>5}{''.join(f'{name:>9}' for name in types)}   transformers{theirs}"
        f"   best to best: {'median':>7}{'quickest':>10}"
    )


def line(case: Case) -> str:
    """A case for a person: milliseconds a picture on both sides, and how many times faster our best type is."""
    what = f"{case.images} x {'greedy' if case.beams == 1 else f'{case.beams} beams'}"
    ours, theirs = (
        "".join(f"{time / case.images:>9.1f}" for time in side.values()) for side in (case.ours, case.transformers)
    )
    ratios = case.ratios
    return f"{what:<19}{ours}{theirs:>{15 + len(theirs)}}{ratios['best']:>23.2f}x{ratios['best_quickest']:>9.2f}x"


def usable_types() -> list[str]:
    """All number types, without int8 where the processor has no such product."""
    try:
        choose_dtype("int8", torch.device("cpu"))
    except ConfigError:
        return list(THEIRS)
    return list(TYPES)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Speed of captioning beside transformers.")
    parser.add_argument("--size", choices=SIZES, default="base", help="git-base, or a tiny model to try the script")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 8], help="batch sizes")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each; the median counts")
    parser.add_argument("--threads", type=int, help="threads of torch (as many as it chooses)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="wall clock or processor time")
    parser.add_argument("--types", choices=TYPES, nargs="+", help="number types (all that this processor has)")
    options = parser.parse_args(arguments)
    types = options.types or usable_types()
    if not set(types) & set(THEIRS):
        parser.error("--types: name fp32 or bf16 too, transformers has no other")
    try:
        import transformers
    except ImportError:
        print("error: transformers is not installed: pip install transformers==5.23.0", file=sys.stderr)
        return 1
    if options.threads:
        torch.set_num_threads(options.threads)
    config = SIZES[options.size]
    size = config.vision.image_size
    sides = runners(config, types)
    cases = []
    print(header(types), file=sys.stderr)
    for images in options.images:
        pixels_BCHW = torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(images))
        for beams in BEAMS:
            cases.append(measure(sides, pixels_BCHW, beams, options.repeats, options.clock))
            print(line(cases[-1]), file=sys.stderr, flush=True)
    report = {
        "benchmark": "generate",
        "size": options.size,
        "new_tokens": NEW_TOKENS,
        "repeats": options.repeats,
        "clock": options.clock,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "fp32_greedy_tokens_agree": "fp32" in types,
        "cases": [{**asdict(case), "ratios": case.ratios} for case in cases],
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
