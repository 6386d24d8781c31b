"""A model while it learns: its weights, what the optimiser remembers, their running mean, and how it lies on devices.

In: a model and a run's settings. Out: what a step needs (`learner`, `optimizer`), what is kept of it (`tensors`), and
the model as one would use it (`plain`). The surprising thing: DistributedDataParallel is put on anew when the encoder
thaws, since it decides once and for all which gradients it waits for.

    B media, F frames, C channels, H W pixels, K texts a medium, T tokens
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.state import Checkpoint
from pixtell.model import GitModel
from pixtell.training.config import RunConfig
from pixtell.training.dist import World, own_slice, replicate, shard, whole
from pixtell.training.freeze import checkpoint_gradients, ever_learning, hold_still, learning_weights
from pixtell.training.lora import add_lora, merged
from pixtell.training.loss import weighted_loss
from pixtell.training.optim import build_optimizer, clip_gradients, set_learning_rate


class Learner(nn.Module):
    """Pixels and texts -> one number, in one call: what is wrapped to be spread over processes."""

    def __init__(self, model: GitModel, smoothing: float, bf16: bool, patch_dropout: float) -> None:
        super().__init__()
        self.model = model
        self.smoothing = smoothing
        self.bf16 = bf16
        self.patch_dropout = patch_dropout

    def forward(self, pixels_BFCHW: Tensor, ids_BKT: Tensor, weight_BKT: Tensor) -> Tensor:
        """The weighted sum of the tokens' losses. All texts of a medium share one pass of its visual tokens."""
        with torch.autocast(pixels_BFCHW.device.type, torch.bfloat16, enabled=self.bf16):
            visual_BPD = some_patches(self.model.see(pixels_BFCHW), self.patch_dropout)
            logits_BKTV = self.model(visual_BPD, ids_BKT)
        return weighted_loss(logits_BKTV, ids_BKT, weight_BKT, self.smoothing)


def some_patches(visual_BPD: Tensor, dropout: float) -> Tensor:
    """All visual tokens but a share of `dropout`, drawn anew for each medium; one at least stays (arXiv 2208.07220).

    What is left needs no mark of its place: nothing in the decoder tells visual tokens apart but what they hold.
    """
    if not dropout:  # no random numbers are drawn where none are needed
        return visual_BPD
    media, patches, width = visual_BPD.shape
    kept = max(1, round(patches * (1 - dropout)))
    chosen_BP = torch.rand(media, patches, device=visual_BPD.device).argsort(1)[:, :kept]
    return visual_BPD.gather(1, chosen_BP[..., None].expand(-1, -1, width))


@dataclass
class Trainee:
    """Everything that changes in a training, in one place; `of` makes it."""

    run: RunConfig
    steps: int
    world: World
    model: GitModel
    core: Learner
    optimizer: torch.optim.AdamW
    learner: nn.Module = field(init=False)
    learning: frozenset[str] = frozenset()
    means: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunConfig, steps: int, model: GitModel, world: World) -> Trainee:
        """Prepare `model` (which is changed) to learn as `run` says. Raises `ConfigError` for parts it lacks."""
        model.to(world.device)
        if run.lora is not None:
            add_lora(model, run.lora)
        ever = ever_learning(model, run)
        hold_still(model, ever)
        if run.gradient_checkpointing:
            checkpoint_gradients(model)
        smoothing = 0.0 if run.scst is not None else run.optim.label_smoothing
        core = Learner(model, smoothing, run.precision == "bf16", run.optim.patch_dropout)
        if run.dist.strategy == "fsdp2" and world.size > 1:  # alone there is nobody to have the other slices
            shard(core, list(model.vision.get_submodule("blocks").children()), world)
        parameters = [(name, parameter) for name, parameter in model.named_parameters() if name in ever]
        trainee = cls(run, steps, world, model, core, build_optimizer(parameters, run.optim))
        trainee.learner = core
        if run.optim.ema:
            trainee.means = {name: parameter.detach().clone() for name, parameter in parameters}
        model.train()
        return trainee

    def begin(self, step: int) -> None:
        """Set the learning rates of `step`, and let those weights learn that learn from it on."""
        set_learning_rate(self.optimizer, self.run.optim, step, self.steps)
        learning = learning_weights(self.model, self.run, step)
        if learning != self.learning:
            hold_still(self.model, learning)
            self.learning = learning
            if self.run.dist.strategy == "ddp":
                self.learner = self.core  # lets go of the old one, and of its hooks
                self.learner = replicate(self.core, self.world)
        self.optimizer.zero_grad(set_to_none=True)

    def clip(self) -> float:
        """Limit the gradients' norm; returns what it was."""
        return clip_gradients([p for p in self.model.parameters() if p.grad is not None], self.run.optim.clip_norm)

    def update(self) -> None:
        """Take the step, and let the running mean follow."""
        self.optimizer.step()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in self.means:
                    own_slice(self.means[name]).lerp_(own_slice(parameter), 1 - self.run.optim.ema)

    def tensors(self) -> dict[str, Tensor]:
        """Everything a resume needs but the step, by name; to load, the tensors themselves are written to."""
        found = {f"model.{name}": tensor.detach() for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            moments = self.optimizer.state.get(parameter, {})
            found |= {f"optimizer.{name}.{moment}": tensor for moment, tensor in moments.items()}
        return found | {f"mean.{name}": tensor for name, tensor in self.means.items()}

    def plain(self, *, mean: bool = True) -> GitModel:
        """The model as one would use it, in evaluation mode: whole, with the mean of its weights, adapters merged.

        Without `mean`, as it is at this step. Weights that need none of that are shared, not copied. All processes must
        ask for it.
        """
        means = self.means if mean else {}
        state = {name: whole(means.get(name, t)).detach() for name, t in self.model.state_dict().items()}
        return build_model(Checkpoint(self.model.config, merged(state, self.run.lora), ()))
