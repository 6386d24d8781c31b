"""Each control over what is said shows in every text, and none in what it is not for."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY_VOCABULARY
from torch import Tensor

from pixtell.model import GitModel
from pixtell.tokenizer import Tokenizer

from .caption_folders import caption, photo, says
from .conftest import Run

TOKENIZER = Tokenizer(TINY_VOCABULARY)


def pieces_of(text: str) -> list[str]:
    return [TINY_VOCABULARY[token] for token in TOKENIZER.encode(text)]


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["--prefix", "by night"], lambda text: text.startswith("by night ")),
        (["--suffix", ", 35mm"], lambda text: text.endswith(", 35mm")),
        (["--trigger", "sks"], lambda text: text.startswith("sks, ")),
        (["--start-with", "the red"], lambda text: text.startswith("the red ")),
        (["--ban", "dog", "--ban", "No"], lambda text: "no" not in pieces_of(text)),
        (["--max-new-tokens", "2"], lambda text: len(pieces_of(text)) <= 2),
        (["--no-repeat-ngram", "1"], lambda text: len(set(pieces_of(text))) == len(pieces_of(text))),
        (["--start-with", "a dog", "--replace", "dog=wolf"], lambda text: text.startswith("a wolf")),
    ],
    ids=str,
)
def test_each_control_shows_in_every_text(
    run: Run, tiny: list[str], folder: Path, tmp_path: Path, words: list[str], holds: Callable[[str], bool]
) -> None:
    _, plain = caption(run, tiny, folder, tmp_path / "plain")
    _, rows = caption(run, tiny, folder, tmp_path / "told", *words)
    assert says(rows) and all(map(holds, says(rows)))
    assert not all(map(holds, says(plain)))


def test_no_text_is_shorter_than_asked(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    longest = ["--max-new-tokens", "20"]
    _, plain = caption(run, tiny, folder, tmp_path / "plain", *longest)
    _, rows = caption(run, tiny, folder, tmp_path / "told", *longest, "--min-new-tokens", "18")
    assert min(len(pieces_of(text)) for text in says(plain)) < 18
    assert min(len(pieces_of(text)) for text in says(rows)) >= 18


@pytest.mark.parametrize("beams", ["1", "4"])
def test_a_banned_word_never_appears(run: Run, tiny: list[str], folder: Path, tmp_path: Path, beams: str) -> None:
    _, plain = caption(run, tiny, folder, tmp_path / "plain", "--beams", beams)
    word = says(plain)[0].replace("?", " ").replace(".", " ").split()[0]
    _, rows = caption(run, tiny, folder, tmp_path / "told", "--beams", beams, "--ban", word)
    assert any(word in text for text in says(plain))
    assert not any(word in text.replace("?", " ").replace(".", " ").split() for text in says(rows))


def test_several_texts_questions_and_labels_with_one_encoding(
    run: Run, tiny: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    see = GitModel.see

    def counted(self: GitModel, pixels_BFCHW: Tensor, **more: bool) -> Tensor:
        seen.append(len(pixels_BFCHW))
        return see(self, pixels_BFCHW, **more)

    monkeypatch.setattr(GitModel, "see", counted)
    words = ["--results", "3", "--ask", "who?", "--ask", "what is it?", "--classify", "dog", "--classify", "cat"]
    _, rows = caption(run, tiny, folder, tmp_path, *words)
    good = [row for row in rows if row["status"] == "ok" and "same_as" not in row]
    assert sum(seen) == len(good)
    for row in good:
        assert len(row["alternatives"]) == 2
        assert [question for question, _ in row["answers"]] == ["who?", "what is it?"]
        assert {label for label, _ in row["labels"]} == {"dog", "cat"}
    _, only = caption(run, tiny, folder, tmp_path / "only", "--no-caption", "--ask", "who?")
    assert says(only) == [""] * len(says(only)) and [row["answers"][0] for row in only if "answers" in row] == [
        row["answers"][0] for row in rows if "answers" in row
    ]


def test_low_scores_are_set_aside(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    _, plain = caption(run, tiny, folder, tmp_path / "plain")
    scores = sorted(float(str(row["mean_logprob"])) for row in plain if row["status"] == "ok")
    outcome, rows = caption(run, tiny, folder, tmp_path / "told", "--min-score", str(scores[5]), "--sidecar", "txt")
    assert f"{sum(score < scores[5] for score in scores)} set aside for review" in outcome.err
    for row in rows:
        if row["status"] == "ok":
            low = float(str(row["mean_logprob"])) < scores[5]
            assert (row.get("review", False), Path(str(row["name"])).with_suffix(".txt").exists()) == (low, not low)


def test_sampling_is_repeatable_by_its_seed(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    texts = []
    for number, seed in enumerate(("1", "1", "2")):
        words = ["--temperature", "5", "--seed", seed]
        texts.append(says(caption(run, tiny, folder, tmp_path / str(number), *words)[1]))
    assert texts[0] == texts[1] != texts[2]


def with_words(model: Path, place: Path, words: dict[str, str]) -> list[str]:
    """Options for the same model with other words in its vocabulary."""
    folder = Path(shutil.copytree(model, place / "other"))
    pieces = [words.get(piece, piece) for piece in TINY_VOCABULARY]
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
    return ["--model", str(folder), "--max-new-tokens", "6"]


def test_openings_are_stripped(run: Run, tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    tiny = with_words(tiny_model, tmp_path, {"dog": "picture", "cat": "of"})
    words = ["--start-with", "a picture of"]
    _, plain = caption(run, tiny, folder, tmp_path / "plain", *words)
    _, rows = caption(run, tiny, folder, tmp_path / "told", *words, "--strip-openings")
    assert [f"a picture of {text}" for text in says(rows)] == says(plain)


def test_writing_is_not_read_out(run: Run, tiny: list[str], tiny_model: Path, folder: Path, tmp_path: Path) -> None:
    _, plain = caption(run, tiny, folder, tmp_path / "plain")
    (often, _), *_ = Counter(
        piece for text in says(plain) for piece in pieces_of(text) if piece.isalpha()
    ).most_common()
    numbered = with_words(tiny_model, tmp_path, {often: "42"})
    _, loose = caption(run, numbered, folder, tmp_path / "loose")
    _, rows = caption(run, numbered, folder, tmp_path / "told", "--no-text")
    assert any("42" in text for text in says(loose)) and not any("42" in text for text in says(rows))


def test_labels_come_from_a_file_too(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("dog\nred ball\n")
    words = ["--labels", str(tmp_path / "labels.txt"), "--classify", "cat"]
    _, (row,) = caption(run, tiny, photos[0], tmp_path, *words)
    assert {label for label, _ in row["labels"]} == {"dog", "red ball", "cat"}


def test_a_caption_that_says_nothing_is_told(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    words = ["--choice", "yes", "--replace", "yes=", "--sidecar", "txt", "--out-dir", str(tmp_path / "texts")]
    outcome, rows = caption(run, tiny, folder, tmp_path, *words)
    assert "9 ok (9 without text), 1 failed" in outcome.err and "no_text" not in outcome.err
    assert [row["code"] for row in rows if row["status"] == "ok"] == ["no_text"] * 9


def test_what_leaves_nothing_to_say_is_refused(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    outcome, rows = caption(run, tiny, photos[0], tmp_path, "--start-with", "a dog", "--ban", "dog")
    assert (outcome.code, rows, list(tmp_path.iterdir())) == (2, [], [])
    assert "start_with 'a dog' says 'dog', which is banned" in outcome.err


def test_controls_of_captions_leave_answers_alone(
    run: Run, tiny: list[str], photos: list[Path], tmp_path: Path
) -> None:
    ask = ["--ask", "who is it?"]
    _, (plain,) = caption(run, tiny, photos[0], tmp_path / "plain", *ask)
    for number, words in enumerate(
        (["--start-with", "the red"], ["--choice", "snow"], ["--min-new-tokens", "6"], ["--no-repeat-ngram", "1"])
    ):
        _, (row,) = caption(run, tiny, photos[0], tmp_path / str(number), *ask, *words)
        assert row["answers"] == plain["answers"], words
        assert row["settings"]["answers"] == {"max_new_tokens": 6}
    _, (greedy,) = caption(run, tiny, photos[0], tmp_path / "greedy", *ask, "--beams", "1", "--max-new-tokens", "2")
    assert len(pieces_of(greedy["answers"][0][1])) <= 2, "how texts are searched for holds for both"


@pytest.mark.parametrize(
    ("given", "words", "name", "value"),
    [
        ([], ["--no-exif"], "respect_exif", False),
        ([], ["--length-penalty", "0"], "length_penalty", 0.0),
        (["--temperature", "5"], ["--seed", "0"], "seed", 0),
    ],
)
def test_settings_that_are_nought_count(
    run: Run, tiny: list[str], tmp_path: Path, given: list[str], words: list[str], name: str, value: object
) -> None:
    """They are told with the rows, and a run with them is another job than one without."""
    path, made = photo(tmp_path / "a.png", 1), [*given, "--on-existing", "overwrite"]
    _, (before,) = caption(run, tiny, path, tmp_path, *made)
    outcome, (row,) = caption(run, tiny, path, tmp_path, *made, *words)
    assert name not in before["settings"] and row["settings"][name] == value
    assert "done before" not in outcome.err
    assert "all done before" in caption(run, tiny, path, tmp_path, *made, *words)[0].err


def test_what_is_as_ever_is_no_setting(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    """So that a journal stays good when an option is added."""
    plain = {"model", "model_sha256", "dtype", "max_new_tokens"}
    _, (row,) = caption(run, tiny, photos[0], tmp_path / "plain")
    assert set(row["settings"]) == plain
    _, (row,) = caption(run, tiny, photos[0], tmp_path / "asked", "--ask", "who?", "--beams", "2")
    assert set(row["settings"]) == {*plain, "questions", "beams"}
