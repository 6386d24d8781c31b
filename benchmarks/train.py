"""Speed of training, ours beside transformers', in one run: forward, loss, backward and AdamW.

    python benchmarks/train.py                               # git-base, 1 and 5 captions a picture
    python benchmarks/train.py --images 2 --repeats 3        # quicker
    python benchmarks/train.py --size tiny --repeats 1       # does it work at all

Both sides start from the same random weights and take the same pictures and captions. Ours passes a picture once with
its K captions; transformers' `GitForCausalLM`, in a plain loop, takes the picture K times. Dropout is the model's, as
in a real training; our loss is the authors' with smoothing, theirs its own. Before anything is timed the losses of both
sides must agree, without dropout and smoothing, within 1e-5 of their size in float32. Each side lives in a process of
its own, so that its peak memory is its own; steps alternate between the sides in float32 and under bfloat16 autocast,
and their better type counts. Besides the wall clock the report has processor time, and for each the spread (slowest
less quickest, over the median), which tells how much of a ratio is noise. The table goes to stderr; the last line of
stdout is JSON, ratios being their time over ours (above 1 we are faster).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from generate import SIZES, random_checkpoint
from torch import Tensor

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.hub_config import model_config_json
from pixtell.checkpoint.state import Checkpoint, to_foreign

TOKENS = 14  # of a caption with [CLS] and [SEP]: COCO's have 10.5 words in the mean, and a few in two pieces
SMOOTHING = 0.1
RATE, DECAY = 1e-5, 0.01
SAME = 1e-5
TYPES = ("fp32", "bf16")
SIDES = ("ours", "transformers")
MIB = 2**20


@dataclass(frozen=True)
class Work:
    """What a side is asked to do: one step on so many pictures and captions, or only the loss for the comparison."""

    images: int
    texts: int
    type: str
    learn: bool


@dataclass(frozen=True)
class Done:
    """What became of it: the loss, seconds by both clocks, and the peak of memory in MiB."""

    loss: float
    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Timing:
    """One side and type in a case: seconds a step, quickest and median, their spread, captions a second, and MiB."""

    wall: float
    wall_quickest: float
    wall_spread: float
    cpu: float
    cpu_quickest: float
    cpu_spread: float
    texts_per_second: float
    memory_mib: float


@dataclass(frozen=True)
class Case:
    """One batch on both sides: timings by type. `losses_apart` is the relative difference in float32."""

    images: int
    texts: int
    losses_apart: float
    ours: dict[str, Timing]
    transformers: dict[str, Timing]

    @property
    def ratios(self) -> dict[str, float]:
        """Their time over ours: in each type, and each side's better type, by each clock."""
        found = {f"{name}_wall": self.transformers[name].wall / self.ours[name].wall for name in self.ours}
        for clock in ("wall", "wall_quickest", "cpu", "cpu_quickest"):
            best, theirs = (
                min(getattr(timing, clock) for timing in side.values()) for side in (self.ours, self.transformers)
            )
            found[f"best_{clock}"] = theirs / best
        memory = min(t.memory_mib for t in self.transformers.values()) / min(t.memory_mib for t in self.ours.values())
        return {name: round(ratio, 3) for name, ratio in (found | {"memory": memory}).items()}


def batch(images: int, texts: int, size: int, vocab_size: int) -> tuple[Tensor, Tensor]:
    """pixels_BFCHW and ids_BKT of a batch; [CLS] and [SEP] are pieces like others here, and nothing is padding."""
    generator = torch.Generator().manual_seed(images * 10 + texts)
    pixels_BFCHW = torch.randn(images, 1, 3, size, size, generator=generator)
    ids_BKT = torch.randint(1, vocab_size, (images, texts, TOKENS), generator=generator)
    return pixels_BFCHW, ids_BKT


Loss = Callable[[Tensor, Tensor, bool], Tensor]
Side = tuple[torch.nn.Module, torch.optim.Optimizer, Loss]


def our_side(checkpoint: Checkpoint) -> Side:
    """The model, its optimiser, and pixels and ids to a loss."""
    from pixtell.memory import keep_freed_memory
    from pixtell.training.config import OptimConfig
    from pixtell.training.loss import caption_loss
    from pixtell.training.optim import build_optimizer

    keep_freed_memory()  # as `pixtell train` does
    model = build_model(checkpoint)

    def loss(pixels_BFCHW: Tensor, ids_BKT: Tensor, learn: bool) -> Tensor:
        logits_BKTV = model(model.see(pixels_BFCHW), ids_BKT)
        every = torch.ones_like(ids_BKT, dtype=torch.bool)
        return caption_loss(logits_BKTV, ids_BKT, every, SMOOTHING if learn else 0.0)

    optimizer = build_optimizer(model.named_parameters(), OptimConfig(lr=RATE, encoder_lr=RATE, weight_decay=DECAY))
    return model, optimizer, loss


def their_side(checkpoint: Checkpoint) -> Side:
    """The same of transformers, as a plain loop has it."""
    import transformers

    transformers.logging.set_verbosity_error()
    model: Any = transformers.GitForCausalLM(transformers.GitConfig(**model_config_json(checkpoint.config, "float32")))
    model.load_state_dict(to_foreign(checkpoint, "hub"))

    def loss(pixels_BFCHW: Tensor, ids_BKT: Tensor, learn: bool) -> Tensor:
        pixels_RCHW = pixels_BFCHW[:, 0].repeat_interleave(ids_BKT.shape[1], dim=0)
        ids_RT = ids_BKT.flatten(0, 1)
        found: Tensor = model(
            input_ids=ids_RT, attention_mask=torch.ones_like(ids_RT), pixel_values=pixels_RCHW, labels=ids_RT
        ).loss
        return found

    return model, torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY), loss


def live(side: str, size: str, threads: int, pipe: Connection) -> None:
    """A side's process: works until there is no more."""
    torch.set_num_threads(threads)
    config = SIZES[size]
    model, optimizer, loss_of = {"ours": our_side, "transformers": their_side}[side](random_checkpoint(config))
    while (work := received(pipe)) is not None:
        pixels_BFCHW, ids_BKT = batch(work.images, work.texts, config.vision.image_size, config.text.vocab_size)
        model.train(work.learn)
        optimizer.zero_grad(set_to_none=True)
        forget_peak()
        torch.manual_seed(0)
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=work.type == "bf16"), torch.set_grad_enabled(work.learn):
            loss = loss_of(pixels_BFCHW, ids_BKT, work.learn)
        if work.learn:
            torch.autograd.backward(loss)
            optimizer.step()
        pipe.send(Done(float(loss.detach()), time.perf_counter() - wall, time.process_time() - cpu, peak()))


def received(pipe: Connection) -> Work | None:
    """The next work; None at the end, also when nobody is left who would send any."""
    try:
        work: Work | None = pipe.recv()
    except EOFError:
        return None
    return work


def forget_peak() -> None:
    """Let the peak of this process's memory start anew (Linux: proc_pid_clear_refs(5)); elsewhere it stays."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak() -> float:
    """The most memory that this process held, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (MIB if sys.platform == "darwin" else 1024)


Ask = Callable[[str, Work], Done]


def losses_apart(ask: Ask, images: int, texts: int) -> float:
    """The relative difference of both sides' losses before any step; raises `SystemExit` when it is none to neglect."""
    ours, theirs = (ask(side, Work(images, texts, "fp32", learn=False)).loss for side in SIDES)
    apart = abs(ours - theirs) / abs(theirs)
    if not apart <= SAME:
        raise SystemExit(f"error: losses {ours:.7f} and {theirs:.7f} differ; speed means nothing until they agree")
    return apart


def measure(ask: Ask, images: int, texts: int, apart: float, types: Sequence[str], repeats: int) -> Case:
    """Time both sides in turn."""
    order = [(side, name) for name in types for side in SIDES]
    done: dict[tuple[str, str], list[Done]] = {key: [] for key in order}
    for key in order:
        ask(key[0], Work(images, texts, key[1], learn=True))  # warms up
    for _ in range(repeats):
        for side, name in order:
            done[side, name].append(ask(side, Work(images, texts, name, learn=True)))
        order.reverse()
    timings = {key: timing(some, images * texts) for key, some in done.items()}
    sides = ({name: timings[side, name] for name in types} for side in SIDES)
    return Case(images, texts, apart, *sides)


def timing(done: Sequence[Done], texts: int) -> Timing:
    """What the steps of one side and type have in common."""
    walls, cpus = [one.wall for one in done], [one.cpu for one in done]
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    spreads = ((max(some) - min(some)) / statistics.median(some) for some in (walls, cpus))
    wall_spread, cpu_spread = (round(spread, 3) for spread in spreads)
    memory = round(max(one.memory for one in done), 1)
    times = [round(seconds, 4) for seconds in (wall, min(walls), cpu, min(cpus))]
    return Timing(*times[:2], wall_spread, *times[2:], cpu_spread, round(texts / wall, 2), memory)


def lines(case: Case) -> list[str]:
    """A case for people: a line for each side and type, and one for the ratios."""
    what = f"{case.images} x {case.texts}"
    found = []
    for side, timings in (("ours", case.ours), ("transformers", case.transformers)):
        for name, one in timings.items():
            found.append(
                f"{what:<8}{side:<13}{name:<5}{one.wall:>9.3f} s +-{one.wall_spread / 2:>4.0%}"
                f"{one.cpu:>9.3f} s +-{one.cpu_spread / 2:>4.0%}{one.texts_per_second:>9.2f}{one.memory_mib:>8.0f}"
            )
    ratios = case.ratios
    found.append(
        f"{what:<8}faster, best type to best: {ratios['best_wall']:.2f}x by the clock, {ratios['best_cpu']:.2f}x in "
        f"processor time; {ratios['memory']:.2f}x the memory there"
    )
    return found


def shared(cases: Sequence[Case]) -> dict[str, float]:
    """Our captions a second in the last case over those in the first, by type: what sharing the prefix is worth."""
    first, last = cases[0].ours, cases[-1].ours
    return {name: round(last[name].texts_per_second / first[name].texts_per_second, 3) for name in first}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Speed of training beside transformers.")
    parser.add_argument("--size", choices=SIZES, default="base", help="git-base, or a tiny model to try the script")
    parser.add_argument("--images", type=int, default=4, help="pictures in a batch")
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 5], help="captions of each picture")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each; the median counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--types", choices=TYPES, nargs="+", default=TYPES, help="number types")
    options = parser.parse_args(arguments)
    try:
        import transformers
    except ImportError:
        print("error: transformers is not installed: pip install transformers==5.23.0", file=sys.stderr)
        return 1
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Any] = {}
    for side in SIDES:
        pipes[side], other = context.Pipe()
        context.Process(target=live, args=(side, options.size, options.threads, other), daemon=True).start()
        other.close()  # so that a process that dies ends the wait for it

    def ask(side: str, work: Work) -> Done:
        pipes[side].send(work)
        try:
            done: Done = pipes[side].recv()
        except EOFError:
            raise SystemExit(f"error: the process of {side} died; what it says is above") from None
        return done

    # All of them first: with the first step, and its dropout, the weights of both sides part.
    apart = {texts: losses_apart(ask, options.images, texts) for texts in options.texts}
    cases = []
    print(
        f"{'pictures x captions':<26}{'wall clock':>12}{'processor time':>25}{'texts/s':>10}{'MiB':>8}", file=sys.stderr
    )
    for texts in options.texts:
        cases.append(measure(ask, options.images, texts, apart[texts], options.types, options.repeats))
        print(*lines(cases[-1]), sep="\n", file=sys.stderr, flush=True)
    for pipe in pipes.values():
        pipe.send(None)
    worth = ", ".join(f"{ratio:.2f}x in {name}" for name, ratio in shared(cases).items())
    texts = f"{options.texts[-1]} captions of a picture instead of {options.texts[0]}"
    print(f"ours, {texts}: captions a second {worth}", file=sys.stderr)
    report = {
        "benchmark": "train",
        "size": options.size,
        "tokens": TOKENS,
        "repeats": options.repeats,
        "threads": options.threads,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "losses_agree": True,
        "captions_a_second_last_to_first": shared(cases),
        "cases": [{**asdict(case), "ratios": case.ratios} for case in cases],
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
