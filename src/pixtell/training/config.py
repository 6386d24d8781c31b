"""What decides a training, section by section: frozen, typed, closed, checked at birth.

In: the fields of a run file (`run_file.py` reads it). Out: a `RunConfig`, or every problem at once: names that are
unknown, values out of range (pydantic finds these) and settings that contradict each other (`contradictions`).

The surprising thing: nothing here says how many processes train. The batches and their order are the same on one as on
many, so a run may be stopped on eight GPUs and go on with four.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0.0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartConfig(_Closed):
    """What the weights start from: a checkpoint (`model`), CLIP's encoder (`clip`), or parts of a small model.

    `model` is anything that `pixtell --model` takes, or the folder of a run or of one of its states: the newest weights
    that it saved, or their running mean where it keeps one. `clip` is the hub's name or a folder of CLIP's weights,
    beside which the decoder starts at random, as the authors' did; `vocab` is then its vocab.txt (by default
    bert-base-uncased's, out of the `mini` extra). `efficientnet` is the number of EfficientNet-Lite in the small model,
    `layers` the decoder's, of a small model MiniLM's.

    The rest changes what a model has when it is given: `size`, `fit` and `max_size` of its pixels, `frames` its number
    of temporal embeddings (new ones are zero), and both dropouts.
    """

    model: str | None = None
    clip: str | None = None
    vocab: str | None = None
    efficientnet: Annotated[int, Field(ge=0, le=2)] | None = None
    layers: Annotated[int, Field(ge=1, le=48)] | None = None
    size: Positive | None = None
    fit: Literal["crop", "aspect", "squash"] | None = None
    max_size: Positive | None = None
    frames: Natural | None = None
    dropout: Share | None = None
    attention_dropout: Share | None = None


class RowsConfig(_Closed):
    """Rows of one data set: `data` are its files, or patterns of them, in any format that is read.

    `pictures` is the folder of what the files only name, `split` chooses from a file that holds several. `ask` puts
    questions made from the captions in their place, those that `pixtell data ask` writes.
    """

    data: str | tuple[str, ...]
    pictures: str | None = None
    split: str | None = None
    ask: bool = False


class StreamConfig(RowsConfig):
    """One source of batches: rows, and how they are learnt.

    `consensus` above 0 lets captions count the more, the more they say what the picture's others say too: that share of
    a caption's weight is its CIDEr-D against the others, over the mean of all captions (arXiv 1712.09532). The rest is
    told by `pixtell.data.loader.Stream`; defaults are the published ones (git-facts 1.3).
    """

    weight: Positive = 1
    media: Positive = 32
    texts: Positive = 5
    frames: Positive = 1
    flip: bool = False
    area: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    max_tokens: Annotated[int, Field(ge=3)] = 42
    switch_marks: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    shape: Literal["square", "squash"] | None = None
    sizes: tuple[Positive, ...] = ()
    exact: bool = False
    color_jitter: Share = 0.0
    consensus: Share = 0.0


class OptimConfig(_Closed):
    """AdamW, and learning rates at their peak. The defaults are the paper's (git-facts 1.3), but for the betas.

    `lr` is that of decoder and prefix; the encoder's is a fifth of it unless `encoder_lr` says otherwise. Both warm up
    over `warmup` steps and fall along a cosine to 0. `accumulation` batches make a step. `ema` above 0 keeps a running
    mean of the weights with that decay, which is then what is evaluated and kept. The encoder stays as it is for the
    first `frozen_encoder_steps`; then its last `encoder_blocks` blocks learn, with what follows them (none given: all
    of it). Lower blocks are the dear ones to train and the ones least in need of it. `patch_dropout` is the share of a
    medium's visual tokens that the decoder doesn't see in a step, others each time (arXiv 2208.07220).
    """

    lr: Rate = 5e-5
    encoder_lr: Rate | None = None
    warmup: Positive = 500
    weight_decay: Rate = 0.01
    betas: tuple[Share, Share] = (0.9, 0.98)
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    label_smoothing: Share = 0.1
    accumulation: Positive = 1
    ema: Share = 0.0
    frozen_encoder_steps: Natural = 0
    encoder_blocks: Positive | None = None
    patch_dropout: Share = 0.0

    @property
    def rate_of_encoder(self) -> float:
        """A fifth of the decoder's (paper, appendix), unless it is given."""
        return self.lr / 5 if self.encoder_lr is None else self.encoder_lr


class LoraConfig(_Closed):
    """Low-rank adapters (arXiv 2106.09685): only they learn, and are added to the plain weights at the end.

    `targets` are patterns of the names of linear layers, such as `decoder.*.qkv`.
    """

    rank: Positive = 8
    alpha: Annotated[float, Field(gt=0.0)] = 16.0
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("decoder.*.qkv", "decoder.*.out")


class ScstConfig(_Closed):
    """Self-critical training (arXiv 1612.00563): `samples` texts a picture against a baseline, as the authors did.

    `baseline` is the greedy text's reward (the authors'), or the mean of the other samples' (arXiv 2003.09971).
    `captions` above 0 learns the captions as they are beside it: that share of the loss is theirs.
    """

    samples: Annotated[int, Field(ge=1)] = 5
    baseline: Literal["greedy", "mean"] = "greedy"
    max_new_tokens: Positive = 40
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
    captions: Share = 0.0


class DistConfig(_Closed):
    """How processes share the work: each holds the whole model (`ddp`), or a slice of it (`fsdp2`)."""

    strategy: Literal["ddp", "fsdp2"] = "ddp"


class LoadingConfig(_Closed):
    """Who makes batches: `workers` processes open pictures (0: a thread does), `ahead` batches ahead of the model.

    More than `max_broken` rows that can't be used end the run; fewer are named and passed over.
    """

    workers: Natural = 1
    ahead: Positive = 2
    max_broken: Natural = 100


class SavingConfig(_Closed):
    """Every `every` steps the state is written, by default while the training goes on; the newest `keep` are kept."""

    every: Positive = 100
    keep: Positive = 2
    asynchronous: bool = True


class LogConfig(_Closed):
    """A line every `every` steps; `tensorboard` writes the same numbers for it (extra `tensorboard`)."""

    every: Positive = 20
    tensorboard: bool = False


class LookedAtConfig(RowsConfig):
    """Rows that are looked at; files of which nothing else is to be said stand for themselves."""

    @model_validator(mode="before")
    @classmethod
    def _of_files(cls, given: object) -> object:
        return given if isinstance(given, dict | RowsConfig) else {"data": given}

    @model_serializer(mode="wrap")
    def _as_files(self, whole: SerializerFunctionWrapHandler) -> object:
        """Files alone are written as such, as they are in the seals of models from before there was more to say."""
        fields = whole(self)
        return fields["data"] if self == LookedAtConfig(data=self.data) else fields


class ValidationConfig(_Closed):
    """What is looked at on the way: every `every` steps, `limit` rows of `captions` and of `questions`.

    Each is files, or a table with `data`, `pictures`, `split` and, of `questions`, `ask`. Where the data have no such
    part, `held_out` rows of the first stream's are looked at and learnt by no stream.
    `before` looks before the first step, too; `keep_best` makes the best of what was looked at the finished model, by
    CIDEr and exact answers, or else by the loss, rather than the last.
    """

    every: Positive = 500
    before: bool = False
    keep_best: bool = False
    held_out: Natural = 0
    limit: Positive = 200
    captions: LookedAtConfig | None = None
    questions: LookedAtConfig | None = None


class RunConfig(_Closed):
    """A whole run, of `steps` steps, or of `epochs` passes over the first stream; one stage of a run file with several.

    `precision` is that of the matrix products; weights and optimiser are float32 either way. `gradient_checkpointing`
    computes the blocks' insides again in the backward pass instead of keeping them: less memory, a third more time.
    `frozen` names parts that don't learn: `vision`, `prefix`, `decoder` or the beginning of any weight's name.
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    steps: Positive | None = None
    epochs: Annotated[float, Field(gt=0.0)] | None = None
    precision: Literal["bf16", "fp32"] = "bf16"
    gradient_checkpointing: bool = False
    frozen: tuple[str, ...] = ()
    start: StartConfig = StartConfig()
    streams: Annotated[tuple[StreamConfig, ...], Field(min_length=1)]
    optim: OptimConfig = OptimConfig()
    lora: LoraConfig | None = None
    scst: ScstConfig | None = None
    dist: DistConfig = DistConfig()
    loading: LoadingConfig = LoadingConfig()
    saving: SavingConfig = SavingConfig()
    log: LogConfig = LogConfig()
    validation: ValidationConfig = ValidationConfig()

    def deciding(self) -> dict[str, object]:
        """The settings that decide the weights, by dotted name: what a resumed run must share with the state's."""
        undeciding = {"dist", "loading", "saving", "log", "validation"}
        decide = dict(flattened(self.model_dump(mode="json", exclude=undeciding)))
        # States from before there were such settings have none of them.
        later = [
            f"streams.{n}.{name}" for n in range(len(self.streams)) for name in ("ask", "color_jitter", "consensus")
        ]
        for name in (*later, "optim.patch_dropout"):
            if not decide[name]:
                del decide[name]
        # Of validation only what is taken away from the training decides anything.
        return decide | ({"validation.held_out": self.validation.held_out} if self.validation.held_out else {})


def flattened(fields: object, name: str = "") -> list[tuple[str, object]]:
    """Every leaf of nested tables and lists with its dotted name."""
    pairs: list[tuple[str, object]] = []
    if isinstance(fields, dict):
        pairs = [(str(key), value) for key, value in fields.items()]
    elif isinstance(fields, list):
        pairs = [(str(number), value) for number, value in enumerate(fields)]
    else:
        return [(name, fields)]
    return [leaf for key, value in pairs for leaf in flattened(value, f"{name}.{key}" if name else key)]


def contradictions(run: RunConfig, inherited: Collection[str] = ()) -> list[str]:
    """What of a run can't hold together, a line each; settings `inherited` from another run may say nothing here."""
    found = []
    if (run.steps is None) == (run.epochs is None):
        found.append("steps, epochs: exactly one of them says how long to train")
    found += _about_the_start(run.start)
    vision_frozen = "vision" in run.frozen
    timed = run.optim.frozen_encoder_steps > 0
    own = {name for name in run.optim.model_fields_set if f"optim.{name}" not in inherited}
    chosen = [name for name in ("frozen_encoder_steps", "encoder_blocks") if name in own]
    if vision_frozen and chosen:
        found.append(f"frozen: the whole encoder is, so optim.{', optim.'.join(chosen)} say nothing")
    names = [*(f"optim.{name}" for name in chosen), *(["frozen"] if run.frozen and "frozen" not in inherited else [])]
    if run.lora is not None and names:
        found.append(f"lora: nothing but its adapters learns, so {', '.join(names)} say nothing")
    if timed and run.dist.strategy == "fsdp2":
        found.append(
            "optim.frozen_encoder_steps: fsdp2 can't thaw weights on the way; freeze them for a whole run (frozen)"
        )
    looked = run.validation
    if looked.held_out and (looked.captions is not None or looked.questions is not None):
        found.append("validation: held_out is for data without a part to look at; captions or questions name one")
    if looked.held_out > looked.limit:
        found.append(
            f"validation: held_out takes {looked.held_out} rows from the training, and limit looks at {looked.limit} "
            f"of them: set limit to {looked.held_out}, or hold out {looked.limit}"
        )
    if looked.captions is not None and looked.captions.ask:
        found.append("validation.captions.ask: captions are looked at as they are; ask goes with validation.questions")
    for number, stream in enumerate(run.streams):
        if stream.consensus and stream.ask:
            found.append(f"streams.{number}.consensus: captions agree or not, and ask puts questions in their place")
        if stream.consensus and run.scst is not None and not run.scst.captions:
            found.append(
                f"streams.{number}.consensus: captions are rewarded (scst), not learnt; scst.captions does both"
            )
    if run.scst is not None:
        if "label_smoothing" in own:
            found.append("optim.label_smoothing: self-critical training (scst) has no labels to smooth")
        if run.scst.baseline == "mean" and run.scst.samples < 2:
            found.append("scst.samples: the mean of the other samples needs at least 2")
    return [*found, *never_reached(run, run.steps)] if run.steps is not None and run.epochs is None else found


def never_reached(run: RunConfig, steps: int) -> list[str]:
    """What learning rates would come to after the end of a run of so many steps, a line each."""
    warmup, frozen = run.optim.warmup, run.optim.frozen_encoder_steps
    if warmup > steps:
        cure = f"a tenth of them is {max(1, steps // 10):,}"
        return [f"optim.warmup: learning rates rise for {warmup:,} steps, but the run has {steps:,}: {cure}"]
    if frozen and frozen + warmup > steps and run.lora is None and "vision" not in run.frozen:
        return [
            f"optim.frozen_encoder_steps: the encoder is frozen for {frozen:,} steps, and its rate rises for "
            f"{warmup:,} (optim.warmup), but the run has {steps:,}: lower them, or freeze it for good (frozen)"
        ]
    return []


def _about_the_start(start: StartConfig) -> list[str]:
    """A checkpoint and CLIP's encoder bring a shape of their own."""
    given = start.model_fields_set
    found = []
    if start.model is not None and start.clip is not None:
        found.append("start: a checkpoint (model) brings its own encoder, so clip does not go with it")
    if start.model is not None and (others := sorted(given & {"efficientnet", "layers", "vocab"})):
        found.append(f"start: a checkpoint brings its own shape: {', '.join(others)} do not go with model")
    if start.clip is not None and "efficientnet" in given:
        found.append("start: efficientnet does not go with clip: each is an image encoder")
    if start.clip is None and start.model is None:
        if start.vocab is not None:
            found.append("start: the small model cuts its own vocabulary, so vocab does not go with it")
        if start.layers is not None and start.layers > 6:
            found.append(f"start: MiniLM has 6 layers, but layers is {start.layers}")
    if (start.fit == "aspect") != (start.max_size is not None):
        found.append("start: max_size goes with fit 'aspect', and each needs the other")
    return found
