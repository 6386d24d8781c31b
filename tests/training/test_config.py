"""What decides a run: the paper's defaults, and what can't hold together."""

from __future__ import annotations

import pytest

from pixtell.training.config import RunConfig, contradictions, flattened

from .tiny_runs import run_of


def problems(**changes: object) -> list[str]:
    return contradictions(run_of(**{"steps": 600, "optim": {}, **changes}))


def test_defaults_are_the_papers() -> None:
    run = RunConfig.model_validate({"steps": 500, "streams": [{"data": "*.tar"}]})
    assert (run.optim.rate_of_encoder, run.optim.lr, run.optim.warmup) == (1e-5, 5e-5, 500)
    assert (run.optim.weight_decay, run.optim.label_smoothing) == (0.01, 0.1)
    (stream,) = run.streams
    assert (stream.area, stream.flip, stream.max_tokens) == (0.8, False, 42)
    assert contradictions(run) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 2}, "steps, epochs: exactly one"),
        ({"steps": None}, "steps, epochs: exactly one"),
        ({"start": {"model": "x", "layers": 2, "efficientnet": 0}}, "efficientnet, layers do not go with model"),
        ({"start": {"model": "x", "clip": "y"}}, "model) brings its own encoder"),
        ({"start": {"clip": "x", "efficientnet": 0}}, "efficientnet does not go with clip"),
        ({"start": {"vocab": "x"}}, "the small model cuts its own vocabulary"),
        ({"start": {"layers": 7}}, "MiniLM has 6 layers, but layers is 7"),
        ({"start": {"model": "x", "fit": "aspect"}}, "max_size goes with fit 'aspect'"),
        ({"frozen": ["vision"], "optim": {"encoder_blocks": 3}}, "the whole encoder is, so optim.encoder_blocks"),
        ({"lora": {}, "frozen": ["vision"]}, "lora: nothing but its adapters learns, so frozen say nothing"),
        ({"lora": {}, "optim": {"encoder_blocks": 1}}, "so optim.encoder_blocks say nothing"),
        ({"dist": {"strategy": "fsdp2"}, "optim": {"frozen_encoder_steps": 5}}, "fsdp2 can't thaw"),
        ({"validation": {"held_out": 3, "captions": "a.tar"}}, "held_out is for data without a part to look at"),
        (
            {"validation": {"held_out": 30, "limit": 20}},
            "held_out takes 30 rows from the training, and limit looks at 20 of them: set limit to 30, or hold out 20",
        ),
        ({"validation": {"captions": {"data": "a.tar", "ask": True}}}, "ask goes with validation.questions"),
        ({"scst": {}, "optim": {"label_smoothing": 0.1}}, "no labels to smooth"),
        ({"steps": 499}, "optim.warmup: learning rates rise for 500 steps, but the run has 499: a tenth of them is 49"),
        (
            {"optim": {"frozen_encoder_steps": 101}},
            "frozen for 101 steps, and its rate rises for 500 (optim.warmup), but",
        ),
        ({"scst": {"samples": 1, "baseline": "mean"}}, "needs at least 2"),
        ({"streams": [{"data": "x", "consensus": 0.5, "ask": True}]}, "streams.0.consensus: captions agree or not"),
        ({"streams": [{"data": "x", "consensus": 0.5}], "scst": {}}, "scst.captions does both"),
    ],
)
def test_what_can_not_hold_together(changes: dict[str, object], words: str) -> None:
    (problem,) = problems(**changes)
    assert words in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"start": {"model": "x", "size": 480, "fit": "aspect", "max_size": 640, "frames": 6, "dropout": 0.0}},
        {"start": {"clip": "x", "vocab": "y", "layers": 12}},
        {"lora": {}, "dist": {"strategy": "fsdp2"}},
        {"scst": {"samples": 1}},
        {"scst": {"captions": 0.1}, "streams": [{"data": "x", "consensus": 0.5}]},
        {"steps": None, "epochs": 0.5},
        {"steps": 500},
        {"optim": {"frozen_encoder_steps": 100}},
    ],
)
def test_what_can(changes: dict[str, object]) -> None:
    assert problems(**changes) == []


def test_what_another_run_was_given_may_say_nothing() -> None:
    changes: dict[str, object] = {
        "scst": {}, "lora": {}, "frozen": ["vision"], "optim": {"label_smoothing": 0.1, "encoder_blocks": 2}
    }  # fmt: skip
    assert len(problems(**changes)) == 3
    names = ["frozen", "optim.label_smoothing", "optim.encoder_blocks"]
    assert contradictions(run_of(steps=600, **changes), inherited=names) == []
    timed = run_of(steps=600, frozen=["vision"], optim={"frozen_encoder_steps": 590})
    assert contradictions(timed, inherited=["optim.frozen_encoder_steps"]) == []


def test_a_run_is_closed_and_frozen() -> None:
    run = run_of()
    with pytest.raises(ValueError, match="frozen"):
        run.steps = 4


def test_a_resumed_run_may_change_what_does_not_decide_the_weights() -> None:
    one = run_of()
    other = run_of(saving={"every": 7}, dist={"strategy": "fsdp2"}, log={"every": 1}, validation={"every": 9})
    assert one.deciding() == other.deciding()
    for change in ({"seed": 1}, {"steps": 7}, {"optim": {"lr": 1.0}}, {"precision": "fp32"}, {"frozen": ["vision"]}):
        assert one.deciding() != run_of(**change).deciding()
    assert one.deciding() != run_of(validation={"held_out": 3}).deciding(), "what is not learnt decides, too"


def test_states_from_before_a_setting_was_know_their_run() -> None:
    assert [name for name in run_of().deciding() if name.endswith("ask")] == []
    asked = run_of(streams=[{"data": "unused", "media": 2}, {"data": "x", "ask": True}]).deciding()
    assert [name for name in asked if name.endswith("ask")] == ["streams.1.ask"]
    later = {"streams.0.color_jitter": 0.2, "streams.0.consensus": 0.5, "optim.patch_dropout": 0.25}
    assert not later.keys() & run_of().deciding().keys()
    changed = run_of(
        streams=[{"data": "unused", "media": 2, "color_jitter": 0.2, "consensus": 0.5}], optim={"patch_dropout": 0.25}
    ).deciding()
    assert {name: changed[name] for name in later} == later


def test_rows_to_look_at_are_files_or_a_table() -> None:
    table = {"data": ("a.tar", "b.tar"), "split": "val", "ask": True}
    looked = run_of(validation={"captions": "a.tar", "questions": table}).validation
    assert looked.captions is not None and (looked.captions.data, looked.captions.split) == ("a.tar", None)
    assert looked.questions is not None and looked.questions.data == ("a.tar", "b.tar") and looked.questions.ask
    assert looked.questions.split == "val" and looked.questions.pictures is None
    with pytest.raises(ValueError, match=r"validation\.captions\.splti"):
        run_of(validation={"captions": {"data": "a.tar", "splti": "val"}})


def test_files_to_look_at_are_sealed_as_they_always_were() -> None:
    """So a stage that was finished before there were tables is still known as finished."""
    sealed = run_of(validation={"captions": "a.tar", "questions": ["b.tar", "c.tar"]}).validation.model_dump(
        mode="json"
    )
    assert (sealed["captions"], sealed["questions"]) == ("a.tar", ["b.tar", "c.tar"])
    tables = run_of(validation={"captions": {"data": "a.tar", "split": "val"}}).validation.model_dump(mode="json")
    assert tables["captions"] == {"data": "a.tar", "pictures": None, "split": "val", "ask": False}


def test_settings_have_dotted_names() -> None:
    assert flattened({"a": {"b": 1, "c": [2, {"d": 3}]}}) == [("a.b", 1), ("a.c.0", 2), ("a.c.1.d", 3)]
