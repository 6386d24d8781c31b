"""`pixtell caption`: its lines, its JSON, and that the command says what the library says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import pixtell

from .conftest import Run


def test_one_photo_is_one_plain_line(run: Run, tiny: list[str], tiny_model: Path, photos: list[Path]) -> None:
    expected = pixtell.load(str(tiny_model)).caption(str(photos[0]), max_new_tokens=6).text
    outcome = run("caption", photos[0], *tiny)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{expected}\n", "")


def test_several_inputs_are_named_in_order(run: Run, tiny: list[str], photos: list[Path], clip: Path) -> None:
    inputs = [clip, *photos]
    alone = [run("caption", one, *tiny).out.strip() for one in inputs]
    outcome = run("caption", *inputs, *tiny)
    assert outcome.lines == [f"{one}\t{text}" for one, text in zip(inputs, alone, strict=True)]
    assert outcome.code == 0


def test_batches_never_change_results(run: Run, tiny: list[str], photos: list[Path], clip: Path) -> None:
    one_by_one = run("caption", *photos, clip, *tiny, "--batch-size", "1")
    assert one_by_one.out == run("caption", *photos, clip, *tiny, "--batch-size", "3").out


def test_json_is_an_object_a_line(run: Run, tiny: list[str], photos: list[Path]) -> None:
    outcome = run("caption", *photos, *tiny, "--json")
    first = outcome.objects[0]
    assert list(first) == ["source", "text", "score", "logprob", "mean_logprob", "token_ids", "token_logprobs"]
    assert [row["source"] for row in outcome.objects] == list(map(str, photos))
    assert first["logprob"] == pytest.approx(sum(first["token_logprobs"]), abs=1e-3)


def test_json_holds_alternatives_when_more_are_asked_for(run: Run, tiny: list[str], photos: list[Path]) -> None:
    (row,) = run("caption", photos[0], *tiny, "--results", "3", "--json").objects
    assert len(row["alternatives"]) == 2
    assert list(row["alternatives"][0]) == ["text", "score", "logprob", "mean_logprob", "token_ids", "token_logprobs"]
    plain = run("caption", photos[0], *tiny, "--results", "3").lines
    assert plain == [row["text"], *(other["text"] for other in row["alternatives"])]


def test_a_folder_is_its_photos_or_one_clip(run: Run, tiny: list[str], photos: list[Path]) -> None:
    folder = photos[0].parent
    assert run("caption", folder, *tiny).out == run("caption", *photos, *tiny).out
    outcome = run("caption", folder, *tiny, "--json", "--as-clip")
    assert [row["source"] for row in outcome.objects] == [str(folder)]


def test_standard_input(run: Run, tiny: list[str], photos: list[Path]) -> None:
    outcome = run("caption", "-", *tiny, stdin=photos[0].read_bytes())
    assert outcome.out == run("caption", photos[0], *tiny).out


def test_streamed_words_join_to_the_greedy_text(run: Run, tiny: list[str], photos: list[Path]) -> None:
    assert run("caption", photos[0], *tiny, "--stream").out == run("caption", photos[0], *tiny, "--beams", "1").out


def test_sampling_follows_the_seed(run: Run, tiny: list[str], photos: list[Path]) -> None:
    def sampled(seed: int) -> str:
        return run("caption", photos[0], *tiny, "--temperature", "5", "--results", "4", "--seed", str(seed)).out

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_a_banned_word_does_not_appear(run: Run, tiny: list[str], photos: list[Path]) -> None:
    word = run("caption", photos[0], *tiny).out.split()[0].strip("?.")
    assert word not in run("caption", photos[0], *tiny, "--ban", word).out.replace("?", " ").split()


@pytest.mark.parametrize("beams", [1, 4])
def test_only_choices_are_said(run: Run, tiny: list[str], photos: list[Path], beams: int) -> None:
    outcome = run("caption", *photos, *tiny, "--choice", "red ball", "--choice", "blue", "--beams", beams)
    assert outcome.code == 0
    assert {line.split("\t")[1] for line in outcome.lines} <= {"red ball", "blue"}


def test_exif_is_followed_unless_told_otherwise(run: Run, tiny: list[str], tmp_path: Path, photos: list[Path]) -> None:
    turned = tmp_path / "turned.png"
    picture = Image.open(photos[0])
    exif = picture.getexif()
    exif[0x0112] = 3
    picture.save(turned, exif=exif)
    upside_down = tmp_path / "upside_down.png"
    picture.transpose(Image.Transpose.ROTATE_180).save(upside_down)

    def logprob(path: Path, *options: str) -> object:
        return run("caption", path, *tiny, "--json", *options).objects[0]["logprob"]

    assert logprob(turned) == logprob(upside_down)
    assert logprob(turned, "--no-exif") == logprob(photos[0]) != logprob(turned)


def test_more_frames_than_embeddings(run: Run, tiny: list[str], clip: Path) -> None:
    refused = run("caption", clip, *tiny, "--frames", "8")
    assert refused.code == 1
    assert "8 frames" in refused.err and "6 temporal embeddings" in refused.err
    assert run("caption", clip, *tiny, "--frames", "8", "--resample-frames").code == 0


def test_the_bundled_model_says_once_what_it_is(run: Run, bundled: str, photos: list[Path]) -> None:
    outcome = run("caption", *photos)
    assert outcome.code == 0
    assert outcome.err.count("pixtell-mini") == 1
    assert run("caption", *photos, "--model", bundled).err == ""


@pytest.mark.parametrize("extra", [["--json"], ["second.png"]])
def test_only_one_plain_text_is_streamed(run: Run, tiny: list[str], photos: list[Path], extra: list[str]) -> None:
    outcome = run("caption", photos[0], *extra, *tiny, "--stream")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--stream writes one plain text" in outcome.err
