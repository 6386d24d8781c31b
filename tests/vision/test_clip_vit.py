"""CLIP's vision transformer against a plain writing, `F.interpolate` in the open, and transformers' GitVisionModel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from plain_git import clip_features
from tiny import EFFICIENTNET, VISION, assert_near, loud_model, random_pixels, tiny_config
from torch import Tensor

from pixtell.checkpoint.state import Checkpoint, to_foreign
from pixtell.config import ClipVitConfig
from pixtell.vision import ClipVit, EfficientNetLite, build

ENCODER = loud_model().vision
HUB = "git.image_encoder."


def pictures(height: int, width: int, count: int = 2) -> Tensor:
    return random_pixels(count, 1, height, width)[:, 0]


def state_of(encoder: ClipVit) -> dict[str, Tensor]:
    return {f"vision.{name}": tensor for name, tensor in encoder.state_dict().items()}


def test_the_learned_grid_equals_the_plain_writing() -> None:
    pixels_BCHW = pictures(16, 16)
    with torch.inference_mode():
        features_BNE = ENCODER(pixels_BCHW)
        assert features_BNE.shape == (2, 5, VISION.width)
        for picture, features_NE in zip(pixels_BCHW, features_BNE, strict=True):
            assert_near(features_NE, clip_features(state_of(ENCODER), VISION, picture))


def resized_by_hand(rows: int, columns: int) -> Tensor:
    """Position embeddings [1 + rows * columns, E]: the class token's as it is, the rest channel by channel."""
    learned = ENCODER.position_embedding.detach()
    channels = []
    for channel in learned[1:].T:
        picture = channel.view(1, 1, VISION.grid, VISION.grid)
        resized = F.interpolate(picture, size=(rows, columns), mode="bicubic", align_corners=False)
        channels.append(resized.flatten())
    return torch.cat([learned[:1], torch.stack(channels, dim=1)])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 5), (5, 2), (3, 3), (4, 2), (2, 1), (30, 40)])
def test_positions_of_other_grids_are_interpolated(rows: int, columns: int) -> None:
    with torch.inference_mode():
        positions = ENCODER.positions(rows, columns)
    assert positions.shape == (1 + rows * columns, VISION.width)
    assert torch.equal(positions[0], ENCODER.position_embedding[0])
    assert_near(positions, resized_by_hand(rows, columns))


def test_rows_come_before_columns() -> None:
    """A wide grid that were read as a tall one would put these corners elsewhere."""
    with torch.inference_mode():
        wide = ENCODER.positions(2, 6)[1:].view(2, 6, -1)
    top_left, top_right, bottom_left, bottom_right = ENCODER.position_embedding[1:]
    for place, learned in (((0, 0), top_left), ((0, 5), top_right), ((1, 0), bottom_left), ((1, 5), bottom_right)):
        distances = [(wide[place] - other).norm() for other in ENCODER.position_embedding[1:]]
        assert min(distances) == (wide[place] - learned).norm()


@pytest.mark.parametrize(("height", "width"), [(24, 40), (40, 16), (8, 8), (8, 32)])
def test_a_grid_that_is_not_square_equals_a_model_born_with_it(height: int, width: int) -> None:
    """The plain writing reads a square grid; here its positions are replaced by those resized by hand."""
    pixels_BCHW, rows, columns = pictures(height, width), height // 8, width // 8
    with torch.inference_mode():
        features_BNE = ENCODER(pixels_BCHW)
        patches = F.unfold(pixels_BCHW, kernel_size=8, stride=8).transpose(1, 2)
        tokens = patches @ ENCODER.patch_embedding.weight.flatten(1).T
        everything = torch.cat([ENCODER.class_embedding.expand(2, 1, -1), tokens], dim=1)
        x = ENCODER.ln_pre(everything + resized_by_hand(rows, columns))
        for block in ENCODER.blocks:
            x = block(x)
        assert features_BNE.shape == (2, 1 + rows * columns, VISION.width)
        assert_near(features_BNE, ENCODER.ln_post(x))


@pytest.mark.parametrize(("height", "width"), [(23, 16), (16, 17), (31, 39)])
def test_pixels_that_fill_no_patch_are_dropped(height: int, width: int) -> None:
    pixels_BCHW = pictures(height, width)
    whole = pixels_BCHW[:, :, : height // 8 * 8, : width // 8 * 8]
    with torch.inference_mode():
        assert_near(ENCODER(pixels_BCHW), ENCODER(whole))


def test_bfloat16_positions_are_resized_in_float32() -> None:
    rough = ClipVit(VISION)
    rough.load_state_dict(ENCODER.state_dict())
    positions = rough.to(torch.bfloat16).positions(3, 5)
    assert positions.dtype == torch.bfloat16
    from_rounded = resized_by_hand(3, 5)
    assert (positions.float() - from_rounded).abs().max() < 0.02


@pytest.mark.parametrize(("size", "height", "width"), [(16, 16, 16), (16, 24, 40), (24, 40, 32)])
def test_parity_with_transformers(size: int, height: int, width: int) -> None:
    transformers = pytest.importorskip("transformers")
    config = replace(tiny_config(), vision=replace(VISION, image_size=size))
    model = loud_model(config, seed=size)
    checkpoint = Checkpoint(config, model.state_dict(), ())
    theirs = transformers.GitVisionModel(
        transformers.GitVisionConfig(
            image_size=size,
            patch_size=VISION.patch_size,
            hidden_size=VISION.width,
            num_hidden_layers=VISION.layers,
            num_attention_heads=VISION.heads,
            intermediate_size=VISION.mlp_width,
        )
    ).eval()
    state = {name.removeprefix(HUB): t for name, t in to_foreign(checkpoint, "hub").items() if name.startswith(HUB)}
    theirs.load_state_dict(state)
    pixels_BCHW = pictures(height, width)
    with torch.inference_mode():
        twin = theirs(pixels_BCHW, interpolate_pos_encoding=True).last_hidden_state
        assert_near(model.vision(pixels_BCHW), twin)


def test_released_encoders_have_the_published_number_of_parameters() -> None:
    """git-facts 1.1: 85.80 M and 303.18 M without CLIP's own projection."""
    with torch.device("meta"):
        base = ClipVit(ClipVitConfig())
        large = ClipVit(ClipVitConfig(224, 14, width=1024, layers=24, heads=16, mlp_width=4096))
    assert round(sum(p.numel() for p in base.parameters()) / 1e6, 2) == 85.80
    assert round(sum(p.numel() for p in large.parameters()) / 1e6, 2) == 303.18


def test_build_picks_by_the_config() -> None:
    assert isinstance(build(VISION), ClipVit)
    with torch.device("meta"):
        assert isinstance(build(EFFICIENTNET), EfficientNetLite)
