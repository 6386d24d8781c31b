"""Time, projection and mask: features_BFNE -> visual_BPD."""

from __future__ import annotations

import pytest
import torch
from plain_git import norm, square_mask, visual_tokens
from tiny import assert_near

from pixtell.errors import InputError
from pixtell.prefix import VisualPrefix, prefix_mask

VISION_WIDTH, WIDTH, TOKENS = 10, 12, 4


def prefix_with(frames: int) -> VisualPrefix:
    prefix = VisualPrefix(VISION_WIDTH, WIDTH, frames)
    generator = torch.Generator().manual_seed(frames)
    with torch.no_grad():
        for parameter in prefix.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return prefix


def state_of(prefix: VisualPrefix) -> dict[str, torch.Tensor]:
    return {f"prefix.{name}": tensor for name, tensor in prefix.state_dict().items()}


def features(frames: int, media: int = 2) -> torch.Tensor:
    return torch.randn(media, frames, TOKENS, VISION_WIDTH, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(("embeddings", "frames"), [(0, 1), (6, 1), (6, 2), (6, 6)])
def test_equals_the_plain_writing(embeddings: int, frames: int) -> None:
    prefix, features_BFNE = prefix_with(embeddings), features(frames)
    with torch.inference_mode():
        visual_BPD = prefix(features_BFNE)
        twins = [visual_tokens(state_of(prefix), features_FNE) for features_FNE in features_BFNE]
    assert visual_BPD.shape == (2, frames * TOKENS, WIDTH)
    assert_near(visual_BPD, torch.stack(twins))


def test_a_photo_gets_the_first_temporal_embedding_before_the_projection() -> None:
    prefix, features_BFNE = prefix_with(3), features(1)
    with torch.inference_mode():
        shifted = features_BFNE[:, 0] + prefix.temporal_embedding[0]
        by_hand = norm(state_of(prefix), "prefix.layer_norm", prefix.projection(shifted))
        assert_near(prefix(features_BFNE), by_hand)
        without = norm(state_of(prefix), "prefix.layer_norm", prefix.projection(features_BFNE[:, 0]))
    assert (by_hand - without).abs().max() > 0.1, "the embedding matters"


def test_temporal_embeddings_are_born_zero() -> None:
    assert torch.equal(VisualPrefix(4, 4, 2).temporal_embedding, torch.zeros(2, 1, 4))
    assert "temporal_embedding" not in VisualPrefix(4, 4, 0).state_dict()


def test_more_frames_than_embeddings_are_refused_with_the_numbers() -> None:
    with pytest.raises(
        InputError, match=r"8 frames, but the model has 6 temporal embeddings.*resample_frames"
    ) as caught:
        prefix_with(6)(features(8))
    assert caught.value.code == "frames"


@pytest.mark.parametrize("resample", [False, True])
def test_several_frames_for_a_picture_model_are_refused(resample: bool) -> None:
    with pytest.raises(InputError, match="2 frames, but this model reads single pictures") as caught:
        prefix_with(0)(features(2), resample_frames=resample)
    assert caught.value.code == "frames"


def test_resampled_embeddings_lie_on_straight_lines_between_the_learned() -> None:
    prefix = prefix_with(3)
    learned = prefix.temporal_embedding.detach()
    with torch.inference_mode():
        stretched = prefix.temporal(5, resample=True)
        by_hand = torch.stack(
            [learned[0], (learned[0] + learned[1]) / 2, learned[1], (learned[1] + learned[2]) / 2, learned[2]]
        )
        assert_near(stretched, by_hand)
        assert torch.equal(prefix.temporal(2, resample=True), learned[:2]), "as many as there are: not stretched"
        assert prefix(features(5), resample_frames=True).shape == (2, 5 * TOKENS, WIDTH)


@pytest.mark.parametrize(("visual", "texts", "length"), [(3, 1, 1), (3, 1, 4), (5, 3, 4), (1, 4, 2)])
def test_mask_is_that_of_one_sequence_a_text(visual: int, texts: int, length: int) -> None:
    mask = prefix_mask(visual, texts, length)
    alone = square_mask(visual, length)[visual:]
    assert mask.shape == (texts * length, visual + texts * length)
    for text in range(texts):
        own = mask[text * length : (text + 1) * length]
        start = visual + text * length
        assert torch.equal(own[:, :visual], alone[:, :visual])
        assert torch.equal(own[:, start : start + length], alone[:, visual:])
        assert not own[:, visual:start].any() and not own[:, start + length :].any(), "other texts stay unseen"
