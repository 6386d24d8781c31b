"""The text decoder's shortcuts (two streams, shared visual pass, cache, padding) against the plain writing of GIT."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_git import text_logits
from tiny import TEXT, assert_near, loud_model, random_ids, tiny_config
from torch import Tensor

from pixtell.cache import KVCache
from pixtell.model import GitModel

MEDIA, VISUAL = 3, 7
MODEL = loud_model()
STATE = MODEL.state_dict()


def visual(media: int = MEDIA, seed: int = 4) -> Tensor:
    """visual_BPD as the prefix gives it: normalised."""
    return torch.randn(media, VISUAL, TEXT.width, generator=torch.Generator().manual_seed(seed))


def plain(visual_PD: Tensor, ids: list[int], model: GitModel = MODEL) -> Tensor:
    return text_logits(model.state_dict(), model.config, visual_PD, ids)


@pytest.fixture(autouse=True)
def no_gradients() -> object:
    with torch.inference_mode():
        yield


def feed(cache: KVCache, texts: list[list[int]]) -> Tensor:
    """One step with texts of any length, padded right; logits_RV."""
    longest = max(map(len, texts))
    padded = torch.tensor([text + [TEXT.pad_id] * (longest - len(text)) for text in texts])
    lengths = torch.tensor([len(text) for text in texts])
    return MODEL.step(padded, cache, None if len(set(map(len, texts))) == 1 else lengths)


def test_texts_that_share_a_visual_pass_equal_one_at_a_time() -> None:
    visual_BPD, ids_BKT = visual(), random_ids(MEDIA, 4, 6)
    logits_BKTV = MODEL(visual_BPD, ids_BKT)
    for medium in range(MEDIA):
        for text in range(4):
            assert_near(logits_BKTV[medium, text], plain(visual_BPD[medium], ids_BKT[medium, text].tolist()))


def test_padding_changes_nothing_before_it() -> None:
    visual_BPD, ids_BKT = visual(), random_ids(MEDIA, 2, 9)
    whole = MODEL(visual_BPD, ids_BKT)
    padded = ids_BKT.clone()
    padded[0, 0, 5:] = TEXT.pad_id
    padded[2, 1, 2:] = TEXT.pad_id
    other = MODEL(visual_BPD, padded)
    assert_near(other[0, 0, :5], whole[0, 0, :5])
    assert_near(other[2, 1, :2], whole[2, 1, :2])
    assert_near(other[1], whole[1])
    assert (other[0, 0, 5:] - whole[0, 0, 5:]).abs().max() > 0.1


def test_pictures_and_past_matter() -> None:
    """What the other tests prove equal is not equal because nothing is read."""
    visual_BPD, ids_BKT = visual(), random_ids(MEDIA, 1, 6)
    logits = MODEL(visual_BPD, ids_BKT)
    moved = MODEL(visual_BPD.roll(1, dims=0), ids_BKT)
    assert (logits - moved).abs().amax((1, 2, 3)).min() > 0.1
    changed = ids_BKT.clone()
    changed[:, :, 1] = (changed[:, :, 1] - 3) % 36 + 4
    assert (MODEL(visual_BPD, changed) - logits)[:, :, 0].abs().max() < 1e-5, "the future is unseen"
    assert (MODEL(visual_BPD, changed) - logits)[:, :, -1].abs().amax((1, 2)).min() > 0.1, "the past is seen"


@pytest.mark.parametrize("pieces", [[1] * 8, [8], [3, 1, 4], [1, 7]])
def test_prefill_and_steps_equal_forward_at_every_position(pieces: list[int]) -> None:
    visual_BPD, ids_BT = visual(), random_ids(MEDIA, 8)
    logits_BTV = MODEL(visual_BPD, ids_BT[:, None])[:, 0]
    cache = MODEL.prefill(visual_BPD).rows(range(MEDIA), capacity=8)
    seen = 0
    for piece in pieces:
        logits_RV = MODEL.step(ids_BT[:, seen : seen + piece], cache)
        seen += piece
        assert_near(logits_RV, logits_BTV[:, seen - 1])
    assert cache.lengths_R.tolist() == [8] * MEDIA


def test_rows_of_different_length_equal_one_at_a_time() -> None:
    visual_BPD = visual()
    prompts = [random_ids(length, seed=length).tolist() for length in (4, 1, 6)]
    cache = MODEL.prefill(visual_BPD).rows(range(MEDIA), capacity=12)
    texts = [list(prompt) for prompt in prompts]
    for more in ([], [[7], [8], [9]], [[10, 11, 12], [13], [14, 15]], [[16], [17], [18]]):
        if more:
            texts = [text + piece for text, piece in zip(texts, more, strict=True)]
        logits_RV = feed(cache, more or prompts)
        for row, text in enumerate(texts):
            assert_near(logits_RV[row], plain(visual_BPD[row], text)[-1])
    assert cache.lengths_R.tolist() == [len(text) for text in texts]


def test_reordered_and_dropped_rows_go_on_as_their_own() -> None:
    visual_BPD = visual()
    cache = MODEL.prefill(visual_BPD).rows([0, 1, 2], capacity=10)
    texts = [random_ids(length, seed=length).tolist() for length in (3, 5, 2)]
    media = [0, 1, 2]
    feed(cache, texts)
    for order in ([2, 2, 0, 1], [3, 0], [1, 0, 1], [2]):
        cache = cache.reorder(order)
        media = [media[row] for row in order]
        texts = [[*texts[row], 4 + 5 * place + len(order)] for place, row in enumerate(order)]
        logits_RV = MODEL.step(torch.tensor([[text[-1]] for text in texts]), cache)
        for row, text in enumerate(texts):
            assert_near(logits_RV[row], plain(visual_BPD[media[row]], text)[-1])


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, MEDIA - 1), st.integers(1, 4)), min_size=1, max_size=7))
def test_rows_of_any_media_in_any_order_equal_caches_of_their_own(rows: list[tuple[int, int]]) -> None:
    visual_BPD = visual()
    together = MODEL.prefill(visual_BPD)
    cache = together.rows([medium for medium, _ in rows], capacity=6)
    texts = [random_ids(length, seed=10 * row + length).tolist() for row, (_, length) in enumerate(rows)]
    first, second = feed(cache, texts), MODEL.step(torch.full((len(rows), 2), 5), cache)
    for row, (medium, _) in enumerate(rows):
        own = MODEL.prefill(visual_BPD[medium : medium + 1]).rows([0], capacity=6)
        assert_near(first[row], feed(own, [texts[row]])[0])
        assert_near(second[row], MODEL.step(torch.full((1, 2), 5), own)[0])


@pytest.mark.parametrize("together", [1, 2, 3, 9])
def test_media_in_several_passes_equal_media_in_one(together: int) -> None:
    visual_BPD = visual()
    once, parts = MODEL.prefill(visual_BPD), MODEL.prefill(visual_BPD, together)
    assert_near(parts.visual_keys, once.visual_keys)
    assert_near(parts.visual_values, once.visual_values)


def test_selected_and_joined_media_are_read_as_before() -> None:
    visual_BPD = visual()
    caches = [MODEL.prefill(visual_BPD[:1]), MODEL.prefill(visual_BPD[1:])]
    joined = KVCache.join(caches).select_media([2, 0])
    ids = random_ids(2, 4)
    logits_RV = MODEL.step(ids, joined.rows([1, 0], capacity=4))
    assert_near(logits_RV[0], plain(visual_BPD[0], ids[0].tolist())[-1])
    assert_near(logits_RV[1], plain(visual_BPD[2], ids[1].tolist())[-1])


def test_the_head_is_the_word_embedding_or_its_own() -> None:
    separate = loud_model(tiny_config(tied_head=False))
    assert "decoder.head.weight" in separate.state_dict() and "decoder.head.weight" not in STATE
    visual_BPD, ids_BKT = visual(1), random_ids(1, 1, 5)
    assert_near(separate(visual_BPD, ids_BKT)[0, 0], plain(visual_BPD[0], ids_BKT[0, 0].tolist(), separate))
    hidden = torch.randn(2, TEXT.width)
    assert_near(
        MODEL.decoder.logits(hidden), hidden @ STATE["decoder.word_embedding.weight"].T + MODEL.decoder.head.bias
    )


def test_both_layer_norm_epsilons_are_used() -> None:
    """At their real size (1e-8, 1e-12) nobody would notice one in the other's place."""
    model = loud_model(tiny_config(embedding_eps=0.5, layer_eps=0.1))
    visual_BPD, ids_BKT = visual(1), random_ids(1, 1, 5)
    twin = plain(visual_BPD[0], ids_BKT[0, 0].tolist(), model)
    assert_near(model(visual_BPD, ids_BKT)[0, 0], twin)
    assert (twin - plain(visual_BPD[0], ids_BKT[0, 0].tolist())).abs().max() > 0.1


def test_dropout_only_in_training() -> None:
    model = loud_model(tiny_config(dropout=0.5))
    attention_only = loud_model(tiny_config(attention_dropout=0.5))
    visual_BPD, ids_BKT = visual(), random_ids(MEDIA, 2, 5)
    still = MODEL(visual_BPD, ids_BKT)
    for each in (model, attention_only):
        assert_near(each(visual_BPD, ids_BKT), still)
        torch.manual_seed(0)
        first = each.train()(visual_BPD, ids_BKT)
        second = each(visual_BPD, ids_BKT)
        torch.manual_seed(0)
        assert torch.equal(each(visual_BPD, ids_BKT), first)
        assert (first - second).abs().max() > 0.1 and (first - still).abs().max() > 0.1


def test_random_weights_are_the_authors() -> None:
    """Linear and embedding weights N(0, 0.02), biases 0, norms 1."""
    torch.manual_seed(3)
    for name, tensor in GitModel(tiny_config()).decoder.state_dict().items():
        if name.endswith("norm.weight"):
            assert torch.equal(tensor, torch.ones_like(tensor)), name
        elif name.endswith("bias"):
            assert not tensor.any(), name
        else:
            assert 0.015 < tensor.std() < 0.025 and tensor.mean().abs() < 0.004, name
