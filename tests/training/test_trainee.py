"""A model while it learns: its running mean, its adapters, what is kept of its insides, and how it comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import loud_model
from torch import Tensor, nn

from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.training.config import LoraConfig
from pixtell.training.dist import World
from pixtell.training.freeze import checkpoint_gradients
from pixtell.training.lora import add_lora, merged
from pixtell.training.step import captions, learn
from pixtell.training.trainee import Trainee, some_patches

from .tiny_runs import CONFIG, fresh_loader, fresh_model, run_of, unequal


def steps(folder: Path, count: int, **changes: object) -> tuple[Trainee, list[dict[str, Tensor]]]:
    """A trainee after some steps, and its plain weights after each."""
    optim = {"lr": 1e-2, "encoder_lr": 1e-2, "warmup": 1, **changes.pop("optim", {})}  # type: ignore[dict-item]
    trainee = Trainee.of(run_of(optim=optim, **changes), 50, fresh_model(), World())
    seen = []
    for step in range(count):
        learn(trainee, [fresh_loader(folder).batch(step)], step)
        seen.append({name: t.detach().clone() for name, t in trainee.plain(mean=False).state_dict().items()})
    return trainee, seen


def test_the_mean_follows_the_weights(tmp_path: Path) -> None:
    trainee, seen = steps(tmp_path, 3, optim={"ema": 0.5})
    mean = dict(fresh_model().state_dict())
    for weights in seen:
        mean = {name: 0.5 * mean[name] + 0.5 * weights[name] for name in mean}
    assert unequal(trainee.plain().state_dict(), mean, atol=1e-6) == []
    assert unequal(trainee.plain().state_dict(), seen[-1], atol=1e-4) != []


def test_one_process_alone_has_whole_copies_with_either_strategy(tmp_path: Path) -> None:
    one, other = (steps(tmp_path, 2, dist={"strategy": strategy})[1][-1] for strategy in ("fsdp2", "ddp"))
    assert unequal(one, other) == []


def test_a_plain_model_is_not_a_copy_where_it_need_not_be() -> None:
    trainee = Trainee.of(run_of(), 6, fresh_model(), World())
    plain = trainee.plain()
    assert not plain.training and trainee.model.training
    assert plain.decoder.word_embedding.weight.data_ptr() == trainee.model.decoder.word_embedding.weight.data_ptr()


def test_adapters_alone_learn_and_come_out_as_plain_weights(tmp_path: Path) -> None:
    trainee, seen = steps(tmp_path, 3, lora={"rank": 2, "alpha": 4.0, "targets": ["decoder.*.qkv", "vision.*.fc_in"]})
    changed = unequal(seen[-1], fresh_model().state_dict())
    assert changed == [
        "vision.blocks.0.mlp.fc_in.weight",
        "decoder.blocks.0.attention.qkv.weight",
        "decoder.blocks.1.attention.qkv.weight",
    ]
    batch = fresh_loader(tmp_path).batch(0)
    with torch.inference_mode():
        adapted = trainee.model.eval()(trainee.model.see(batch.pixels_BFCHW), batch.ids_BKT)
        plain = trainee.plain()
        torch.testing.assert_close(plain(plain.see(batch.pixels_BFCHW), batch.ids_BKT), adapted, atol=1e-5, rtol=1e-5)
    kept = [name for name in trainee.tensors() if name.startswith("optimizer.")]
    assert len(kept) == 3 * 2 * 3, "three adapters of two weights, each with two moments and a count"


def test_new_adapters_change_nothing_and_wrong_names_are_told() -> None:
    model, twin = loud_model(), loud_model()
    config = LoraConfig(targets=("*.fc_out",))
    add_lora(model, config)
    assert [name for name, p in model.named_parameters() if p.requires_grad and ".lora_" not in name] == []
    assert unequal(merged(model.state_dict(), config), twin.state_dict()) == []
    with pytest.raises(ConfigError, match=r"no linear layer is called decoder\.\*\.query; they end in fc_in, fc_out"):
        add_lora(loud_model(), LoraConfig(targets=("decoder.*.query", "*.qkv")))


def kept_bytes(trainee: Trainee, folder: Path) -> tuple[int, dict[str, Tensor]]:
    """How much a forward pass keeps for the backward pass, and the gradients."""
    sizes = []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(0 if isinstance(tensor, nn.Parameter) else tensor.numel() * tensor.element_size())
        return tensor

    trainee.begin(0)
    (part,) = captions(trainee, [fresh_loader(folder).batch(0)]).parts
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        torch.manual_seed(0)
        loss = trainee.learner(part.pixels_BFCHW, part.ids_BKT, part.weight_BKT)
    torch.autograd.backward(loss)
    return sum(sizes), {name: p.grad.clone() for name, p in trainee.model.named_parameters() if p.grad is not None}


def test_insides_computed_again_save_memory_and_change_nothing(tmp_path: Path) -> None:
    whole, sparing = (
        kept_bytes(Trainee.of(run_of(gradient_checkpointing=c, optim={}), 6, fresh_model(), World()), tmp_path)
        for c in (False, True)
    )
    assert sparing[0] < 0.75 * whole[0]
    assert whole[1].keys() == sparing[1].keys()
    for name, gradient in whole[1].items():
        torch.testing.assert_close(sparing[1][name], gradient, atol=1e-6, rtol=1e-5, msg=name)


def test_checkpointing_reaches_every_block() -> None:
    model: GitModel = fresh_model()
    checkpoint_gradients(model)
    assert all("forward" in vars(block) for block in model.vision.get_submodule("blocks").children())
    assert all("finish" in vars(block) for block in model.decoder.blocks)


def test_some_patches_are_left_out_and_each_medium_loses_others() -> None:
    torch.manual_seed(3)
    visual_BPD = torch.arange(4 * 10, dtype=torch.float32).view(4, 10, 1).expand(4, 10, 2).requires_grad_()
    kept = some_patches(visual_BPD, 0.3)
    assert kept.shape == (4, 7, 2)
    places = [sorted(set((medium[:, 0] - 10 * number).tolist())) for number, medium in enumerate(kept)]
    assert all(len(own) == 7 and min(own) >= 0 and max(own) < 10 for own in places), "tokens of its own, none twice"
    assert len({tuple(own) for own in places}) > 1
    kept.sum().backward()
    assert visual_BPD.grad is not None and int(visual_BPD.grad.count_nonzero()) == kept.numel()
    assert some_patches(visual_BPD, 0.0) is visual_BPD
    assert some_patches(visual_BPD, 0.99).shape == (4, 1, 2)


def test_the_share_of_patches_decides_what_is_learnt(tmp_path: Path) -> None:
    steady = replace(CONFIG, text=replace(CONFIG.text, dropout=0.0, attention_dropout=0.0))
    batch = fresh_loader(tmp_path).batch(0)

    def loss(share: float, step: int) -> float:
        run = run_of(optim={"patch_dropout": share}, precision="fp32")
        return learn(Trainee.of(run, 6, fresh_model(steady), World()), [batch], step).loss

    assert loss(0.0, 0) == loss(0.0, 1), "nothing else is left to chance"
    assert loss(0.5, 0) == loss(0.5, 0), "what is left out follows from the step"
    assert len({loss(0.0, 0), loss(0.5, 0), loss(0.5, 1)}) == 3
