"""The whole column: one input or many, any order and batch, encoded once; its scores are the model's own."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import loud_model

import pixtell
from pixtell.cache import KVCache
from pixtell.captioner import TOGETHER_ON_CPU, Captioner, EncodedMedia, batches, choose_device, choose_dtype
from pixtell.config import ClipVitConfig, DecodeOptions, ModelConfig, PixelConfig, TextConfig
from pixtell.errors import ConfigError, InputError
from pixtell.media import Media, open_media
from pixtell.results import Caption
from pixtell.tokenizer import Tokenizer

TEXT = "a the dog cat boy girl man ball snow grass runs sits red blue two on in what is who where of"
WORDS = TEXT.split()
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, "'", "s", "?", ".")
QUESTIONS = [
    "what is red?",
    "who runs",
    "where is the dog of the girl in the snow",
    "is it",
    "what",
    "who sits on grass",
]


def captioner(frames: int = 0, batch_size: int = 8, pixels: PixelConfig | None = None) -> Captioner:
    text = TextConfig(len(VOCABULARY), 24, 2, 3, 32, 64, cls_id=2, sep_id=3, embedding_eps=1e-8)
    config = ModelConfig(ClipVitConfig(16, 8, 16, 2, 2, 24), text, pixels or PixelConfig(size=16), frames)
    return Captioner(loud_model(config, seed=4, std=0.5), Tokenizer(VOCABULARY), "tiny", batch_size)


def pictures(count: int, size: tuple[int, int] = (20, 16)) -> list[Image.Image]:
    generator = np.random.default_rng(7)
    return [Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)) for _ in range(count)]


def same(one: Caption, other: Caption) -> bool:
    return one.token_ids == other.token_ids and math.isclose(one.score, other.score, abs_tol=1e-4)


@pytest.fixture
def encoder_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of pictures in each pass of the image encoder."""
    runs: list[int] = []
    from pixtell.vision import ClipVit

    original = ClipVit.forward

    def counted(self: ClipVit, pixels_BCHW: torch.Tensor) -> torch.Tensor:
        runs.append(len(pixels_BCHW))
        return original(self, pixels_BCHW)

    monkeypatch.setattr(ClipVit, "forward", counted)
    yield runs


@pytest.mark.parametrize("beams", [1, 4])
def test_ten_questions_cost_one_encoding(encoder_runs: list[int], beams: int) -> None:
    questions = [f"{question} {word}" for question in QUESTIONS[:5] for word in ("dog", "red ball")]
    answers = captioner(batch_size=3).ask(pictures(1)[0], questions, beams=beams, max_new_tokens=6)
    assert encoder_runs == [1]
    assert [answer.question for answer in answers] == questions


def test_a_batch_goes_through_the_encoder_in_parts_and_lies_in_one_piece(encoder_runs: list[int]) -> None:
    encoded = captioner(batch_size=11).encode(pictures(12))
    assert encoder_runs == [TOGETHER_ON_CPU, TOGETHER_ON_CPU, 11 - 2 * TOGETHER_ON_CPU, 1]
    joined = KVCache.join([one.cache for one in encoded[:11]])
    assert joined.visual_keys.data_ptr() == encoded[0].cache.visual_keys.data_ptr(), "a copy of all of it"


@pytest.mark.parametrize("beams", [1, 3])
def test_any_batch_and_order_equals_one_at_a_time(beams: int) -> None:
    photos = pictures(4)
    jobs = [(photos[number % 4], QUESTIONS[number % 6]) for number in range(8)]
    alone = [captioner(batch_size=1).ask(photo, question, beams=beams) for photo, question in jobs]
    assert len({answer.token_ids for answer in alone}) > 3, "answers that are all alike prove nothing"
    for seed, batch_size in ((0, 8), (1, 3), (2, 2)):
        order = random.Random(seed).sample(range(8), 8)
        together = captioner(batch_size=batch_size).ask(
            [jobs[place][0] for place in order], [jobs[place][1] for place in order], beams=beams
        )
        assert all(same(answer, alone[place]) for answer, place in zip(together, order, strict=True))


def test_pictures_of_different_grids_share_no_batch_and_keep_their_order() -> None:
    ours = captioner(pixels=PixelConfig(size=16, fit="aspect", max_size=32))
    photos = [picture for size in ((16, 16), (40, 20), (20, 40)) for picture in pictures(2, size)]
    mixed = [photos[place] for place in (0, 2, 4, 1, 3, 5)]
    encoded = ours.encode(mixed)
    assert [one.visual_tokens for one in encoded] == [5, 9, 9, 5, 9, 9]
    assert all(same(a, ours.caption(b)) for a, b in zip(ours.caption(mixed), mixed, strict=True))


def test_a_score_is_a_teacher_forced_re_score() -> None:
    ours = captioner()
    for options in (DecodeOptions(), DecodeOptions(beams=1), DecodeOptions(beams=1, temperature=1.0, seed=3)):
        photo = pictures(3)[2]
        caption = ours.caption(photo, options, max_new_tokens=8)
        with torch.inference_mode():
            visual_BPD = ours.model.see(_pixels(ours, photo))
            ids = [ours.tokenizer.cls_id, *caption.token_ids]
            logprobs_TV = ours.model(visual_BPD, torch.tensor([[ids]]))[0, 0].log_softmax(-1)
        said = [*caption.token_ids, ours.tokenizer.sep_id][: len(caption.token_logprobs)]
        again = [float(logprobs_TV[place, token]) for place, token in enumerate(said)]
        assert caption.token_logprobs == pytest.approx(again, abs=1e-4)
        assert caption.logprob == pytest.approx(sum(again), abs=1e-4)
        assert caption.mean_logprob == pytest.approx(sum(again) / len(again), abs=1e-4)


def _pixels(ours: Captioner, photo: Image.Image) -> torch.Tensor:
    from pixtell.pixels import to_pixels

    return to_pixels(open_media(photo).frames, ours.config.pixels)[None]


def test_streamed_pieces_join_to_the_whole() -> None:
    ours = captioner()
    for photo in pictures(6):
        for question in ("", *QUESTIONS[:2]):
            pieces = list(ours.stream(photo, question, max_new_tokens=12, min_new_tokens=3))
            whole = ours.ask(photo, question, beams=1, max_new_tokens=12, min_new_tokens=3) if question else None
            whole = whole or ours.caption(photo, beams=1, max_new_tokens=12, min_new_tokens=3)
            assert "".join(pieces) == whole.text
            assert len(pieces) > 1


def test_an_apostrophe_waits_for_what_closes_up_with_it() -> None:
    ours = captioner()
    pieces = list(ours.stream(pictures(1)[0], choices=("the dog ' s ball",)))
    assert "".join(pieces) == "the dog's ball"


def test_classes_are_scored_exactly() -> None:
    ours, photo = captioner(), pictures(2)[1]
    labels = ["dog", "red dog", "red ball", "the girl on the grass", "cat"]
    found = ours.classify(photo, labels)
    with torch.inference_mode():
        visual_BPD = ours.model.see(_pixels(ours, photo))
        sums = {}
        for label in labels:
            ids = [ours.tokenizer.cls_id, *ours.tokenizer.encode(label), ours.tokenizer.sep_id]
            logprobs_TV = ours.model(visual_BPD, torch.tensor([[ids]]))[0, 0].log_softmax(-1)
            sums[label] = sum(float(logprobs_TV[place, token]) for place, token in enumerate(ids[1:]))
    whole = sum(map(math.exp, sums.values()))
    assert [score.label for score in found.labels] == sorted(labels, key=lambda label: -sums[label])
    for score in found.labels:
        assert score.logprob == pytest.approx(sums[score.label], abs=1e-4)
        assert score.probability == pytest.approx(math.exp(sums[score.label]) / whole, rel=1e-3)
    assert found.label == found.labels[0].label and found.probability == found.labels[0].probability


def test_thousands_of_labels_in_one_call() -> None:
    labels = [f"{a} {b} {c}" for a in WORDS[:16] for b in WORDS[:16] for c in WORDS[:12]]
    found = captioner().classify(pictures(2), labels)
    assert [len(one.labels) for one in found] == [len(labels)] * 2
    assert sum(score.probability for score in found[0].labels) == pytest.approx(1)


def test_choices_are_the_only_texts() -> None:
    choices = ("red ball", "the dog", "blue")
    for beams in (1, 4):
        assert {one.text for one in captioner().caption(pictures(6), choices=choices, beams=beams)} <= set(choices)


def test_banned_words_are_not_said() -> None:
    ours, photos = captioner(), pictures(4)
    said = {word for one in ours.caption(photos) for word in one.text.split()}
    some = tuple(sorted(said)[:2])
    assert not {word for one in ours.caption(photos, banned=some) for word in one.text.split()} & set(some)


def test_several_results_come_best_first() -> None:
    best = captioner().caption(pictures(1)[0], results=3)
    scores = [best.score, *(one.score for one in best.alternatives)]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    assert len({one.token_ids for one in (best, *best.alternatives)}) == 3


def test_shapes_of_results() -> None:
    ours, photos = captioner(), pictures(2)
    assert isinstance(ours.caption(photos[0]), Caption)
    assert [type(one) for one in ours.caption(photos)] == [Caption, Caption]
    assert ours.caption([]) == []
    assert len(ours.ask(photos, "what is red?")) == 2
    assert [one.question for one in ours.ask(photos, ["what", "who"])] == ["what", "who"]
    encoded = ours.encode(photos[0])
    assert isinstance(encoded, EncodedMedia) and ours.encode(encoded) is encoded
    assert str(ours.caption(encoded)) == ours.caption(photos[0]).text


def test_a_clip_is_a_list_inside_the_list() -> None:
    ours, frames = captioner(frames=3), pictures(3)
    (clip,) = ours.encode([frames])
    assert clip.visual_tokens == 15
    assert same(ours.caption([frames])[0], ours.caption(open_media(frames)))


def test_more_frames_than_embeddings() -> None:
    ours, clip = captioner(frames=3), open_media(pictures(5))
    with pytest.raises(InputError, match=r"5 frames, but tiny has 3 temporal embeddings: .*resample_frames") as error:
        ours.encode(clip)
    assert error.value.code == "frames"
    assert ours.encode(clip, resample_frames=True).visual_tokens == 25
    with pytest.raises(InputError, match="reads single pictures"):
        captioner().encode(clip)
    with pytest.raises(ConfigError, match="single pictures"):
        captioner().encode(clip, resample_frames=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda ours, photo: ours.ask(photo, "  "), "question is empty"),
        (lambda ours, photo: ours.ask([photo, photo], ["what"]), "2 inputs and 1 questions"),
        (lambda ours, photo: ours.classify(photo, []), "at least one text"),
        (lambda ours, photo: ours.classify(photo, "dog"), "at least one text"),
        (lambda ours, photo: ours.classify(photo, ["dog", "Dog", " "]), "2 problems"),
        (lambda ours, photo: ours.caption(photo, beams=2, temperature=1.0), "use beams=1 to sample"),
        (lambda ours, photo: list(ours.stream(photo, beams=2)), "beams settle nothing"),
        (lambda ours, photo: list(ours.stream([photo])), "gives one text"),
        (lambda ours, photo: ours.caption(photo, max_new_tokens=80), "64"),
        (lambda ours, photo: Captioner(ours.model, ours.tokenizer, batch_size=0), "batch_size"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(wrong: Any, message: str) -> None:
    with pytest.raises(pixtell.PixtellError, match=message):
        wrong(captioner(), pictures(1)[0])


def test_devices_and_number_types() -> None:
    cpu = torch.device("cpu")
    assert choose_device("cpu") == cpu and choose_dtype("auto", cpu) == torch.float32
    assert choose_dtype("bfloat16", cpu) == torch.bfloat16
    with pytest.raises(ConfigError, match="device 'tpu9'"):
        choose_device("tpu9")
    with pytest.raises(ConfigError, match="int3"):
        choose_dtype("int3", cpu)


def test_loading_in_bfloat16_says_about_the_same(tiny_model: Path, photos: list[Path]) -> None:
    exact, quick = pixtell.load(str(tiny_model)), pixtell.load(str(tiny_model), dtype="bfloat16")
    scores = [one.classify(str(photos[0]), ["dog", "cat", "red ball"]).labels for one in (exact, quick)]
    by_label = [{score.label: score.logprob for score in found} for found in scores]
    assert by_label[1] == pytest.approx(by_label[0], rel=0.05)


def test_media_may_be_opened_before(photos: list[Path]) -> None:
    media = open_media(photos[0])
    assert isinstance(media, Media)
    assert same(captioner().caption(media), captioner().caption(str(photos[0])))


def test_batches_keep_the_order_within_a_key() -> None:
    assert list(batches([3, 1, 5, 2, 4, 7], lambda n: n % 2, 2)) == [[3, 1], [5, 7], [2, 4]]


def test_the_digest_is_of_the_weights(tiny_model: Path) -> None:
    one, same, other = (pixtell.load(str(tiny_model)) for _ in range(3))
    next(other.model.parameters()).data.view(-1)[0] += 1e-3
    assert one.sha256 == same.sha256
    assert len({one.sha256, other.sha256, pixtell.load(str(tiny_model), dtype="bfloat16").sha256}) == 3
