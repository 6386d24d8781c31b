"""What is looked at on the way: the loss of whole batches, captions beside their references, scores, exact answers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import loud_model
from tiny_data import VOCAB, captions_tar, drawing, noise, png, questions_tar, texts_tar, tokenizer, write_tar

from pixtell.captioner import Captioner
from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.data.dataset import Dataset
from pixtell.data.example import sequence
from pixtell.data.loader import open_picture
from pixtell.data.row import Stored
from pixtell.data.sources import RowSource, TarSource
from pixtell.errors import InputError
from pixtell.media import open_media
from pixtell.model import GitModel
from pixtell.pixels import to_pixels
from pixtell.training.dist import joined
from pixtell.training.loss import caption_loss
from pixtell.training.validation import (
    MAX_NEW_TOKENS,
    Look,
    answer_evaluator,
    caption_evaluator,
    evaluate_all,
    is_right,
    see_any,
)

from .tiny_runs import in_processes, quiet

PIXELS = PixelConfig(size=16)
TOKENIZER = tokenizer()
CONFIG = ModelConfig(
    ClipVitConfig(image_size=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=24),
    TextConfig(vocab_size=len(VOCAB), width=24, layers=2, heads=2, mlp_width=32, max_positions=48, cls_id=2, sep_id=3),
    PIXELS,
)
LOOK = Look(TOKENIZER, PIXELS, 5, quiet)


@pytest.fixture(scope="module")
def model() -> GitModel:
    return loud_model(CONFIG)


@pytest.fixture
def captions(tmp_path: Path) -> TarSource:
    return TarSource([captions_tar(tmp_path / "captions.tar")])


@pytest.fixture
def questions(tmp_path: Path) -> TarSource:
    return TarSource([questions_tar(tmp_path / "questions.tar")])


@torch.inference_mode()
def loss_one_by_one(model: GitModel, source: TarSource, rows: int) -> float:
    nats, tokens = 0.0, 0
    for row in range(rows):
        example = source[row]
        visual_BPD = model.see(to_pixels([open_picture(example)], PIXELS)[None])
        for pair in example.texts:
            ids, learnt = (torch.tensor(part)[None, None] for part in sequence(TOKENIZER, pair))
            count = int(learnt.sum())
            nats += count * float(caption_loss(model(visual_BPD, ids), ids, learnt, 0.0))
            tokens += count
    return nats / tokens


def test_the_loss_is_that_of_the_texts_one_by_one(model: GitModel, captions: TarSource) -> None:
    said: list[str] = []
    numbers = evaluate_all(model, [caption_evaluator(captions, replace(LOOK, say=said.append))])
    assert numbers == {"caption_loss": pytest.approx(loss_one_by_one(model, captions, 5), abs=1e-4)}
    assert len([line for line in said if "(reference: 'a " in line]) == 5
    rough = evaluate_all(model, [caption_evaluator(captions, replace(LOOK, bf16=True))])
    assert rough == {"caption_loss": pytest.approx(numbers["caption_loss"], abs=0.05)}


def test_captions_go_to_the_scorer_beside_their_references(model: GitModel, captions: TarSource) -> None:
    heard: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = []

    def score(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        heard.append((texts, references))
        return 0.25

    numbers = evaluate_all(model, [caption_evaluator(captions, replace(LOOK, limit=20), score)])
    assert numbers["cider"] == 0.25
    ((texts, references),) = heard
    assert [list(own) for own in references] == [[pair.target for pair in captions[row].texts] for row in range(8)]
    alone = []
    with torch.inference_mode():
        for row in range(8):
            pixels = to_pixels([open_picture(captions[row])], PIXELS)[None]
            alone.append(LOOK.answers(model, pixels, [[""]])[0][0])
    assert list(texts) == alone and len(set(alone)) > 1


def test_alike_captions_are_pointed_out(captions: TarSource, monkeypatch: pytest.MonkeyPatch, model: GitModel) -> None:
    said: list[str] = []
    monkeypatch.setattr(Look, "answers", lambda _, __, ___, asked: [["a dog"] for _ in asked])
    evaluate_all(model, [caption_evaluator(captions, replace(LOOK, say=said.append))])
    assert said[-1] == "  warning: all 5 captions are alike; the model may ignore the pictures"


def test_exact_answers_are_counted(questions: TarSource, monkeypatch: pytest.MonkeyPatch, model: GitModel) -> None:
    monkeypatch.setattr(Look, "answers", lambda _, __, ___, asked: [["red"] for _ in asked])
    said: list[str] = []
    look = replace(LOOK, say=said.append, limit=100)
    assert answer_evaluator(questions, look)(model) == {"exact_match": 0.25}
    assert answer_evaluator(questions, replace(look, limit=1))(model) == {"exact_match": 1.0}
    assert said[0] == "  what colour is it ?: 'red'  (reference: 'red')"


def test_questions_together_are_answered_as_alone(model: GitModel, captions: TarSource) -> None:
    asked = ["", "what colour is it ?", "what is on it", "is it red"]
    pixels = torch.stack([to_pixels([open_picture(captions[row])], PIXELS) for row in (3, 4)])
    with torch.inference_mode():
        first, second = LOOK.answers(model, pixels, [asked, asked[:1]])
        alone = [LOOK.answers(model, pixels[:1], [[question]])[0][0] for question in asked]
        assert second == LOOK.answers(model, pixels[1:], [asked[:1]])[0]
    assert first == alone and len(set(first)) > 1


def partly_broken(folder: Path) -> RowSource:
    """Eight rows: the first and the last can't be seen, of the third the file is gone."""
    texts = [(f"p{number}", {"captions": [f"word{number} on it", "a disc"]}) for number in range(8)]
    rows = list(TarSource([texts_tar(folder / "partly.tar", texts, broken=["p0", "p7"])])._rows)
    gone = replace(rows[2][0], media=Stored(folder / "gone.mp4", "gone.mp4"))
    return RowSource(Dataset("partly", (*(row for row, _ in rows[:2]), gone, *(row for row, _ in rows[3:]))))


def test_rows_that_can_not_be_seen_are_told_and_passed_over(tmp_path: Path, model: GitModel) -> None:
    source, heard = partly_broken(tmp_path), list[str]()
    look = replace(LOOK, limit=8, say=heard.append)
    numbers = evaluate_all(model, [caption_evaluator(source, look, _characters)])
    rest = RowSource(Dataset("rest", tuple(row for row, _ in source._rows if row.id not in ("p0", "p2", "p7"))))
    alone = evaluate_all(model, [caption_evaluator(rest, replace(look, say=quiet), _characters)])
    assert numbers == pytest.approx(alone, abs=1e-5)
    told = [line for line in heard if "can't be seen" in line]
    assert len(told) == 1 and told[0].startswith("  warning: partly: 3 of 8 rows can't be seen, the first: p0: ")


def test_questions_that_can_not_be_seen_are_passed_over(
    tmp_path: Path, model: GitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Look, "answers", lambda _, __, ___, asked: [["red"] for _ in asked])
    qa = [{"qa": [{"question": "what colour is it ?", "answer": answer}]} for answer in ("red", "red", "blue")]
    tar = texts_tar(tmp_path / "q.tar", [(f"p{n}", texts) for n, texts in enumerate(qa)], broken=["p0"])
    heard: list[str] = []
    assert answer_evaluator(TarSource([tar]), replace(LOOK, say=heard.append))(model) == {"exact_match": 0.5}
    assert heard[0].startswith("  warning: q: 1 of 3 rows can't be seen, the first: p0: ")


def test_where_no_row_can_be_seen_one_line_says_so(tmp_path: Path, model: GitModel) -> None:
    texts = [(f"p{number}", {"caption": "a disc"}) for number in range(3)]
    source = TarSource([texts_tar(tmp_path / "none.tar", texts, broken=["p0", "p1"])])
    see_any(source, 3)
    told = "^none: none of the 2 rows to look at can be seen, the first: p0: "
    for look in (caption_evaluator(source, replace(LOOK, limit=2)), lambda _: see_any(source, 2)):
        with pytest.raises(InputError, match=told):
            look(model)


def test_two_processes_find_what_one_does(tmp_path: Path, model: GitModel) -> None:
    heard: list[str] = []
    evaluators = [caption_evaluator(partly_broken(tmp_path), replace(LOOK, limit=8, say=heard.append), _characters)]
    numbers = evaluate_all(model, evaluators)
    assert "3 of 8 rows" in heard[0]
    in_processes(2, _look, tmp_path)
    for rank in (0, 1):
        lines = (tmp_path / str(rank)).read_text().splitlines()
        assert [float(word) for word in lines[0].split()] == pytest.approx(list(numbers.values()), abs=1e-4)
        assert lines[1:] == heard


def _look(folder: Path) -> None:
    with joined(quiet) as world:
        heard: list[str] = []
        look = replace(LOOK, limit=8, world=world, say=heard.append)
        (folder / f"of-{world.rank}").mkdir()
        source = partly_broken(folder / f"of-{world.rank}")
        numbers = evaluate_all(loud_model(CONFIG), [caption_evaluator(source, look, _characters)])
        (folder / str(world.rank)).write_text("\n".join([" ".join(map(str, numbers.values())), *heard]))


def _characters(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """A score to which the order matters."""
    return float(sum(place * len(text) for place, text in enumerate(texts)) + len(references))


def test_the_model_is_looked_at_as_it_is_used(model: GitModel) -> None:
    seen: list[tuple[bool, bool]] = []

    def look(model: GitModel) -> dict[str, float]:
        seen.append((model.training, torch.is_grad_enabled()))
        return {f"number{len(seen)}": 1.0}

    assert evaluate_all(model.train(), [look, look]) == {"number1": 1.0, "number2": 1.0}
    assert seen == [(False, False)] * 2 and torch.is_grad_enabled()


def clips_tar(path: Path, seconds: Sequence[int]) -> Path:
    """A row for each of these numbers of frames, of one a photo; no two frames are alike."""
    files: list[tuple[str, bytes | dict[str, object]]] = []
    for number, count in enumerate(seconds):
        frames = [noise((24, 20), 10 * number + frame) for frame in range(count)]
        clip = io.BytesIO()
        frames[0].save(clip, "GIF", save_all=True, append_images=frames[1:], duration=100)
        content = png(frames[0]) if count == 1 else clip.getvalue()
        files += [(f"{number}.{'png' if count == 1 else 'gif'}", content), (f"{number}.json", {"captions": ["a disc"]})]
    return write_tar(path, files)  # type: ignore[arg-type]


def test_clips_are_looked_at_as_inference_does(tmp_path: Path) -> None:
    """With as many frames as the model has embeddings, photos with one, and media of equally many together."""
    source = TarSource([clips_tar(tmp_path / "clips.tar", [9, 1, 7, 1, 8])])
    model = loud_model(replace(CONFIG, frames=3))
    batches = list(LOOK.batches(source, model, {}))
    assert [(seen.rows, len(seen.pixels_BFCHW[0])) for seen in batches] == [((0, 2, 4), 3), ((1, 3), 1)]
    for seen in batches:
        for row, pixels_FCHW in zip(seen.rows, seen.pixels_BFCHW, strict=True):
            assert torch.equal(pixels_FCHW, to_pixels(open_media(source[row].image, frames=3).frames, PIXELS))
    heard: list[Sequence[str]] = []
    evaluate_all(model, [caption_evaluator(source, LOOK, lambda texts, _: heard.append(texts) or 0.0)])
    captioner = Captioner(model, TOKENIZER)
    inputs = [source[row].image for row in range(5)]
    found = captioner.caption(inputs, beams=1, max_new_tokens=MAX_NEW_TOKENS)
    assert heard == [[caption.text for caption in found]] and len(set(heard[0])) > 2


def test_a_model_of_pictures_sees_the_middle_of_a_clip(tmp_path: Path, model: GitModel) -> None:
    source = TarSource([clips_tar(tmp_path / "clips.tar", [9, 1])])
    (seen,) = LOOK.batches(source, model, {})
    assert seen.pixels_BFCHW.shape[1] == 1
    assert torch.equal(seen.pixels_BFCHW[0], to_pixels([open_picture(source[0])], PIXELS))


def test_pictures_that_keep_their_aspect_come_one_at_a_time(tmp_path: Path, model: GitModel) -> None:
    """They come out at different sizes, which no tensor can hold together."""
    files: list[tuple[str, bytes | dict[str, object]]] = []
    for number, size in enumerate([(48, 40), (40, 80), (60, 60)]):
        files += [(f"{number}.png", png(drawing("red", "disc", size))), (f"{number}.json", {"captions": ["a"]})]
    source = TarSource([write_tar(tmp_path / "a.tar", files)])  # type: ignore[arg-type]
    look = replace(LOOK, pixels=PixelConfig(size=32, fit="aspect", max_size=48))
    shapes = [tuple(seen.pixels_BFCHW.shape[-2:]) for seen in look.batches(source, model, {})]
    assert shapes == [(32, 38), (48, 24), (32, 32)]


def test_names_are_counted_and_captions_scored(
    tmp_path: Path, model: GitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a class only the whole name is right; a score of captions would praise half of it."""
    said = {"dog": "siberian husky", "cat": "cat", "crane": "crane machine", "photo": "a disc"}
    texts = [("dog", {"label": "Siberian husky"}), ("cat", {"word": "cat"}), ("crane", {"label": "crane bird"})]
    source = TarSource([texts_tar(tmp_path / "a.tar", [*texts, ("photo", {"caption": "a red disc"})])])
    answers = iter(said.values())
    monkeypatch.setattr(Look, "answers", lambda _, __, ___, asked: [[next(answers)] for _ in asked])
    scored: list[Sequence[str]] = []
    numbers = evaluate_all(model, [caption_evaluator(source, LOOK, lambda texts, _: scored.append(texts) or 0.5)])
    assert (numbers["exact_match"], numbers["cider"], scored) == (2 / 3, 0.5, [["a disc"]])
    named = RowSource(Dataset("named", tuple(row for row, _ in source._rows[:3])))
    answers = iter(said.values())
    assert evaluate_all(model, [caption_evaluator(named, LOOK, _characters)]).keys() == {"caption_loss", "exact_match"}


@pytest.mark.parametrize(
    ("text", "reference", "right"),
    [("a disc", "A Disc", True), ("a disc", "a disc of", False), ("", "\u4e2d", False), ("\u4e2d", "\u4e2d", True)],
)
def test_what_is_right_is_what_the_vocabulary_can_spell(text: str, reference: str, right: bool) -> None:
    assert is_right(text, reference, TOKENIZER) is right


def test_numbers_of_one_name_are_averaged(model: GitModel) -> None:
    assert evaluate_all(model, [lambda _: {"a": 1.0}, lambda _: {"a": 0.5, "b": 3.0}]) == {"a": 0.75, "b": 3.0}
