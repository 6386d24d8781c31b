"""The whole path in one object: what the user has -> what they read.

In: photos, clips and questions in any form. Out: results of strings and numbers (`results.py`). The surprising thing:
everything about a medium is settled by `encode`, so its result can be captioned, asked and classified any number of
times, and passing the medium itself is only a shorthand.

A list is always several inputs. A clip given as a list of frames goes through `open_media`, or inside the list.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import IO, Any, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixtell.cache import KVCache
from pixtell.checkpoint.convert import Pixels, build_model, load_checkpoint
from pixtell.config import BUNDLED, DecodeOptions, ModelConfig
from pixtell.constraints import closed_list, filters_of
from pixtell.decoding.loop import Prompt, generate, stream
from pixtell.decoding.scoring import score_continuations
from pixtell.decoding.strategies import Hypothesis
from pixtell.errors import ConfigError, InputError
from pixtell.media import Media, open_media
from pixtell.model import GitModel
from pixtell.pixels import to_pixels
from pixtell.placement import choose_device, choose_dtype, number_type, ready
from pixtell.results import Answer, Caption, Classification, LabelScore
from pixtell.tokenizer import Tokenizer

# Media that go through the encoder together on a CPU, however many texts are searched for at once: what lies between
# two products fits the caches better then (47 ms a picture of git-base in int8, 50 with 16 together).
TOGETHER_ON_CPU = 4
Waiting = tuple[int, str, Tensor]  # a medium to be encoded: its place, its name, its pixels_FCHW
Item = TypeVar("Item")
Key = TypeVar("Key")


@dataclass(frozen=True)
class EncodedMedia:
    """A photo or clip after everything that doesn't depend on text: its visual keys and values in every layer.

    Those encoded together share memory, which is freed with the last of them.
    """

    source: str
    cache: KVCache = field(repr=False)

    @property
    def visual_tokens(self) -> int:
        return int(self.cache.visual_keys.shape[3])


# What counts as one input; a list is several. `open_media` says how each is read.
OneInput = (
    str
    | os.PathLike[str]
    | bytes
    | IO[bytes]
    | Image.Image
    | np.ndarray[Any, Any]
    | tuple[Any, ...]
    | Media
    | EncodedMedia
)


class Captioner:
    """A model with its tokenizer, on a device. Make one with `pixtell.load`.

    `batch_size` is how many media or prompts share a pass; it changes speed and memory, never results.
    """

    def __init__(self, model: GitModel, tokenizer: Tokenizer, name: str = "", batch_size: int = 8) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {batch_size}")
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.batch_size = batch_size

    @property
    def config(self) -> ModelConfig:
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> str:
        """What the model computes in: `float32`, `bfloat16`, `float16` or `int8`."""
        return number_type(self.model)

    @property
    def frames(self) -> int:
        """Frames taken of a clip unless told otherwise: the model's temporal embeddings, or 1 for a picture model."""
        return self.config.frames or 1

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the model as it computes: config, vocabulary, and every tensor by name, type, shape, bytes."""
        digest = hashlib.sha256(json.dumps(asdict(self.config), sort_keys=True).encode())
        digest.update("\n".join(self.tokenizer.vocabulary).encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @overload
    def encode(
        self, media: OneInput, *, frames: int | None = None, resample_frames: bool = False, **reading: Any
    ) -> EncodedMedia: ...
    @overload
    def encode(
        self, media: list[Any], *, frames: int | None = None, resample_frames: bool = False, **reading: Any
    ) -> list[EncodedMedia]: ...
    @torch.inference_mode()
    def encode(self, media: Any, *, frames: int | None = None, resample_frames: bool = False, **reading: Any) -> Any:
        """Encode one input to an `EncodedMedia`, or a list of inputs to a list of them.

        An input is anything `open_media` reads (`reading` holds its options: sampling, seed, respect_exif,
        max_pixels), a `Media`, or an `EncodedMedia`, which comes back as it is. `frames` is how many are taken of a
        clip; `resample_frames` stretches a clip model's temporal embeddings over more frames than it has. Media of
        equal size share a pass. Raises `InputError` for the first input that can't be used.
        """
        if resample_frames and not self.config.frames:
            raise ConfigError(
                f"resample_frames: {self.name or 'the model'} reads single pictures, it has no embeddings"
            )
        inputs = media if isinstance(media, list) else [media]
        opened: list[Media | EncodedMedia] = [
            one if isinstance(one, Media | EncodedMedia) else open_media(one, frames=frames or self.frames, **reading)
            for one in inputs
        ]
        encoded = self._encode_opened(opened, resample_frames)
        return encoded if isinstance(media, list) else encoded[0]

    @overload
    def caption(self, media: OneInput, options: DecodeOptions | None = None, **changes: Any) -> Caption: ...
    @overload
    def caption(self, media: list[Any], options: DecodeOptions | None = None, **changes: Any) -> list[Caption]: ...
    def caption(self, media: Any, options: DecodeOptions | None = None, **changes: Any) -> Any:
        """Caption one input (a `Caption`) or a list of inputs (a list of them).

        `options` says how text is searched for; `changes` are single fields of it, as in `caption(photo, beams=1)`.
        """
        options = replace(options or DecodeOptions(), **changes)
        encoded = self._encoded(media)
        texts = self._search([(medium, "") for medium in encoded], options)
        captions = [self._caption(medium, found) for medium, found in zip(encoded, texts, strict=True)]
        return captions if isinstance(media, list) else captions[0]

    @overload
    def ask(self, media: OneInput, question: str, options: DecodeOptions | None = None, **changes: Any) -> Answer: ...
    @overload
    def ask(
        self, media: Any, question: str | Sequence[str], options: DecodeOptions | None = None, **changes: Any
    ) -> list[Answer]: ...
    def ask(
        self, media: Any, question: str | Sequence[str], options: DecodeOptions | None = None, **changes: Any
    ) -> Any:
        """Answer a question about one input (an `Answer`), or several (a list of them).

        One input with a list of questions is encoded once; a list of inputs takes one question for all, or a list of
        as many. The prompt is built here: never put [CLS] or [SEP] into a question.
        """
        options = replace(options or DecodeOptions(), **changes)
        several = isinstance(media, list) or not isinstance(question, str)
        encoded = self._encoded(media)
        questions = [question] * len(encoded) if isinstance(question, str) else list(question)
        if not isinstance(media, list):
            encoded = encoded * len(questions)
        if len(questions) != len(encoded):
            raise ConfigError(
                f"{len(encoded)} inputs and {len(questions)} questions: give one question for all or one for each"
            )
        for text in questions:
            if not text.strip():
                raise InputError("text", "the question is empty: write one, or ask for a caption")
        texts = self._search(list(zip(encoded, questions, strict=True)), options)
        answers = [
            Answer(**vars(self._caption(medium, found)), question=text)
            for medium, text, found in zip(encoded, questions, texts, strict=True)
        ]
        return answers if several else answers[0]

    @overload
    def classify(self, media: OneInput, labels: Sequence[str], *, question: str = "") -> Classification: ...
    @overload
    def classify(self, media: list[Any], labels: Sequence[str], *, question: str = "") -> list[Classification]: ...
    @torch.inference_mode()
    def classify(self, media: Any, labels: Sequence[str], *, question: str = "") -> Any:
        """Choose among `labels` for one input (a `Classification`) or a list of inputs (a list of them).

        Each label's text is scored exactly, [SEP] included, as a caption or as the answer to `question`, and the
        probabilities are among the labels given (paper 4.5 generates the class name; scoring all names also ranks
        the rest). Thousands of labels are fine: shared beginnings are computed once.
        """
        ids = closed_list("labels", labels, self.tokenizer)
        prompt = self.tokenizer.prompt(question)
        results = []
        encoded = self._encoded(media)
        for medium in encoded:
            scored = score_continuations(self.model, medium.cache, 0, prompt, ids)
            sums = [math.fsum(logprobs) for logprobs in scored]
            shares = torch.tensor(sums, dtype=torch.float64).softmax(0).tolist()
            ranked = sorted(map(LabelScore, labels, shares, sums), key=lambda score: -score.logprob)
            results.append(Classification(medium.source, tuple(ranked)))
        return results if isinstance(media, list) else results[0]

    def check(self, options: DecodeOptions) -> None:
        """Raise `ConfigError` where this model can't do what `options` ask, before anything is encoded."""
        filters_of(options, self.tokenizer)

    def stream(
        self, media: Any, question: str = "", options: DecodeOptions | None = None, **changes: Any
    ) -> Iterator[str]:
        """The caption of one input, or the answer about it, in pieces as they are settled; joined, they are the text.

        Only greedy decoding and sampling settle words on the way, so the default here is one beam.
        """
        options = replace(options or DecodeOptions(beams=1), **changes)
        if isinstance(media, list):
            raise ConfigError(f"stream gives one text, got a list of {len(media)} inputs")
        (medium,) = self._encoded(media)
        prompt = Prompt(0, self.tokenizer.prompt(question))
        ids: list[int] = []
        told = 0
        for _, token in stream(self.model, medium.cache, [prompt], options, filters_of(options, self.tokenizer)):
            ids.append(token)
            settled = self.tokenizer.settled(ids)
            if len(settled) > told:
                yield settled[told:]
                told = len(settled)
        if told < len(text := self.tokenizer.decode(ids)):
            yield text[told:]

    def _encoded(self, media: Any) -> list[EncodedMedia]:
        encoded = self.encode(media)
        return encoded if isinstance(encoded, list) else [encoded]

    def _encode_opened(self, opened: Sequence[Media | EncodedMedia], resample_frames: bool) -> list[EncodedMedia]:
        """Encode what is not yet, media of equal size together; results in the order of the inputs."""
        results = {place: one for place, one in enumerate(opened) if isinstance(one, EncodedMedia)}
        waiting: list[Waiting] = []
        for place, one in enumerate(opened):
            if isinstance(one, Media):
                self._check_frames(one, resample_frames)
                fitted = one.fitted == self.config.pixels
                pixels_FCHW = to_pixels(one.frames, self.config.pixels, one.source, fitted=fitted)
                waiting.append((place, one.source, pixels_FCHW))
        together = min(self.batch_size, TOGETHER_ON_CPU) if self.device.type == "cpu" else self.batch_size
        for batch in batches(waiting, _shape, self.batch_size):
            seen = [self._see(some, resample_frames) for some in batches(batch, _shape, together)]
            # All of a batch in one piece, as texts about all of them will read it.
            cache = self.model.prefill(torch.cat(seen), together)
            for (place, source, _), own in zip(batch, cache.split(), strict=True):
                results[place] = EncodedMedia(source, own)
        return [results[place] for place in range(len(opened))]

    def _see(self, waiting: Sequence[Waiting], resample_frames: bool) -> Tensor:
        """The visual tokens of media of one shape."""
        parameter = next(self.model.parameters())
        pixels_BFCHW = torch.stack([pixels for _, _, pixels in waiting]).to(parameter.device, parameter.dtype)
        return self.model.see(pixels_BFCHW, resample_frames=resample_frames)

    def _check_frames(self, media: Media, resample_frames: bool) -> None:
        if len(media.frames) <= self.frames or (resample_frames and self.config.frames):
            return
        model = self.name or "this model"
        raise InputError(
            "frames",
            f"{media.source}: {len(media.frames)} frames, but {model} has {self.config.frames} temporal embeddings: "
            + (
                f"ask for at most {self.frames} frames, or stretch the embeddings (resample_frames, --resample-frames)"
                if self.config.frames
                else "it reads single pictures, give it 1 frame"
            ),
        )

    def _search(self, requests: Sequence[tuple[EncodedMedia, str]], options: DecodeOptions) -> list[list[Hypothesis]]:
        """Search texts for (medium, question) pairs; those with equally many visual tokens share batches."""
        found: dict[int, list[Hypothesis]] = {}
        filters = filters_of(options, self.tokenizer)
        for batch in batches(list(enumerate(requests)), lambda item: item[1][0].visual_tokens, self.batch_size):
            # Questions about one medium share its place in the cache.
            media = list({id(medium): medium for _, (medium, _) in batch}.values())
            places = {id(medium): place for place, medium in enumerate(media)}
            prompts = [Prompt(places[id(medium)], self.tokenizer.prompt(text)) for _, (medium, text) in batch]
            cache = KVCache.join([medium.cache for medium in media])
            texts = generate(self.model, cache, prompts, options, filters)
            found.update({number: text for (number, _), text in zip(batch, texts, strict=True)})
        return [found[number] for number in range(len(requests))]

    def _caption(self, medium: EncodedMedia, found: Sequence[Hypothesis]) -> Caption:
        best, *others = (
            Caption(
                source=medium.source,
                text=self.tokenizer.decode(text.ids),
                score=text.score,
                logprob=math.fsum(text.logprobs),
                mean_logprob=math.fsum(text.logprobs) / max(1, len(text.logprobs)),
                token_ids=text.ids,
                token_logprobs=text.logprobs,
            )
            for text in found
        )
        return replace(best, alternatives=tuple(others))


def load(
    name: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    *,
    pixels: Pixels = "auto",
    revision: str | None = None,
    cache_dir: str | None = None,
    offline: bool = False,
    vocab: str | None = None,
    preset: str | None = None,
    batch_size: int = 8,
) -> Captioner:
    """Load a model: None is the bundled one, else a released name, a hub name or a path (see `load_checkpoint`).

    `device` is `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`; `dtype` is `auto` (float32 on a CPU,
    bfloat16 on a GPU that has it), `float32`, `bfloat16`, `float16`, or `int8` (on a CPU: the quickest there, its texts
    are as good but not always the same; see `packed.py`). Raises `CheckpointError` and `ConfigError`.
    """
    place = choose_device(device)
    weights = choose_dtype(dtype, place)
    checkpoint = load_checkpoint(
        name, pixels=pixels, revision=revision, cache_dir=cache_dir, offline=offline, vocab=vocab, preset=preset
    )
    model = ready(build_model(checkpoint, weights), place, dtype)
    return Captioner(model, Tokenizer(checkpoint.vocab), str(name or BUNDLED), batch_size)


def _shape(one: Waiting) -> torch.Size:
    return one[2].shape


def batches(items: Iterable[Item], key: Callable[[Item], Key], size: int) -> Iterator[list[Item]]:
    """Cut `items` into lists of at most `size` whose keys are equal, each list in the order given."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]
