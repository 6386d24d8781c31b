"""How good a model's texts are, on the validation data beside the project: captions, answers, captions of clips.

    python benchmarks/quality.py                   # all three of the bundled model; predictions to runs/quality.jsonl
    python benchmarks/quality.py --rescore         # scores of the predictions that are there

Two programs in one file: first every text is predicted and written, a JSON object a line with its references; then the
file is scored, so that a person can read what the numbers are about. Captions are scored by pycocoevalcap (CIDEr-D,
BLEU, ROUGE-L, on its PTB tokens, which need Java), answers by exact match. Clips are made from the photos by pans and
zooms with a fixed seed; their captions are scored against the photos' references. The last stdout line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import pixtell
from pixtell.captioner import Captioner
from pixtell.data.loader import open_picture
from pixtell.data.sources import TarSource
from pixtell.data.views import moving_views
from pixtell.errors import PixtellError
from pixtell.media import Media

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
TASKS = ("captions", "questions", "clips")
CLIP_SEED = 0
CHUNK = 32  # media opened at a time

Tokens = dict[str, list[str]]


@dataclass(frozen=True)
class Prediction:
    """What was said about one row, beside what people said. `question` is empty for captions."""

    task: str
    key: str
    question: str
    text: str
    references: tuple[str, ...]


def predict_captions(captioner: Captioner, source: TarSource, rows: range, beams: int) -> Iterator[Prediction]:
    """A caption of each photo."""
    for chunk in chunks(rows):
        examples = [source[row] for row in chunk]
        media = [Media((open_picture(example),), example.key, (0.0,)) for example in examples]
        for example, caption in zip(examples, captioner.caption(media, beams=beams), strict=True):
            references = tuple(pair.target for pair in example.texts)
            yield Prediction("captions", example.key, "", caption.text, references)


def predict_clips(captioner: Captioner, source: TarSource, rows: range, beams: int) -> Iterator[Prediction]:
    """A caption of each photo's clip; the move over it follows from the row's number alone."""
    frames, size = captioner.frames, captioner.config.pixels.size
    for chunk in chunks(rows):
        examples = [source[row] for row in chunk]
        media = []
        for row, example in zip(chunk, examples, strict=True):
            random = np.random.default_rng((CLIP_SEED, row))
            views = moving_views(open_picture(example), size, frames, random, flip=False)
            media.append(Media(tuple(views), example.key, tuple(float(second) for second in range(frames))))
        for example, caption in zip(examples, captioner.caption(media, beams=beams), strict=True):
            yield Prediction("clips", example.key, "", caption.text, tuple(pair.target for pair in example.texts))


def predict_questions(captioner: Captioner, source: TarSource, rows: range, beams: int) -> Iterator[Prediction]:
    """An answer to each question about each photo."""
    for row in rows:
        example = source[row]
        medium = captioner.encode(Media((open_picture(example),), example.key, (0.0,)))
        asked = [pair.prompt for pair in example.texts]
        for pair, answer in zip(example.texts, captioner.ask(medium, asked, beams=beams), strict=True):
            yield Prediction("questions", example.key, pair.prompt, answer.text, (pair.target,))


def chunks(rows: range) -> Iterator[range]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def write_predictions(path: Path, predictions: Iterator[Prediction]) -> None:
    """A JSON object a line, as they come."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number, prediction in enumerate(predictions, 1):
            file.write(json.dumps(asdict(prediction), ensure_ascii=False) + "\n")
            if number % 100 == 0:
                print(f"{number} texts", file=sys.stderr, flush=True)


def read_predictions(path: Path) -> list[Prediction]:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Prediction(**{**row, "references": tuple(row["references"])}) for row in rows]


def ptb_tokens(texts: Tokens) -> Tokens:
    """pycocoevalcap's PTB tokens of each text, joined by spaces; punctuation is left out."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokens: Tokens = PTBTokenizer().tokenize({key: [{"caption": text} for text in texts[key]] for key in texts})
    return tokens


def score_captions(predictions: Sequence[Prediction], tokenize: Callable[[Tokens], Tokens]) -> dict[str, float]:
    """CIDEr, BLEU and ROUGE-L of captions whose keys are all different."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    said = tokenize({prediction.key: [prediction.text] for prediction in predictions})
    references = tokenize({prediction.key: list(prediction.references) for prediction in predictions})
    with contextlib.redirect_stdout(sys.stderr):
        bleu, _ = Bleu(4).compute_score(references, said)
        cider, _ = Cider().compute_score(references, said)
        rouge, _ = Rouge().compute_score(references, said)
    numbers = {"CIDEr": cider, **{f"BLEU-{n}": score for n, score in enumerate(bleu, 1)}, "ROUGE-L": rouge}
    return {name: round(float(number), 4) for name, number in numbers.items()}


def score_questions(predictions: Sequence[Prediction]) -> dict[str, float]:
    """The share of answers that are the reference letter for letter, both in lower case, underscores as spaces."""

    def plain(text: str) -> str:
        return " ".join(text.lower().replace("_", " ").split())

    right = sum(plain(p.text) in {plain(reference) for reference in p.references} for p in predictions)
    return {"exact_match": round(right / len(predictions), 4)}


def score(predictions: Sequence[Prediction]) -> dict[str, dict[str, float]]:
    """The numbers of each task that was predicted."""
    found: dict[str, dict[str, float]] = {}
    for task in TASKS:
        chosen = [prediction for prediction in predictions if prediction.task == task]
        if chosen:
            numbers = score_questions(chosen) if task == "questions" else score_captions(chosen, ptb_tokens)
            found[task] = {"texts": len(chosen), **numbers}
    return found


def missing_for_captions() -> str | None:
    """What scoring captions needs and isn't here, in one line."""
    try:
        import pycocoevalcap  # noqa: F401 - only whether it is there
    except ImportError:
        return "pycocoevalcap is not installed: pip install pycocoevalcap==1.2"
    if shutil.which("java") is None:
        return "Java, which pycocoevalcap's tokenizer runs on, is not installed: apt install default-jre-headless"
    return None


def predict(options: argparse.Namespace, tasks: Sequence[str]) -> Iterator[Prediction]:
    """All tasks, one after the other, saying how long each took."""
    captioner = pixtell.load(options.model, batch_size=options.batch)
    for task in tasks:
        if task == "clips" and captioner.frames == 1:
            print("clips: left out, the model reads single pictures", file=sys.stderr)
            continue
        folder, run = {
            "captions": ("flickr8k", predict_captions),
            "questions": ("daquar", predict_questions),
            "clips": ("flickr8k", predict_clips),
        }[task]
        source = TarSource(sorted((options.data / folder).glob("val-*.tar")))
        start = time.monotonic()
        yield from run(captioner, source, range(min(options.limit or len(source), len(source))), options.beams)
        print(f"{task}: predicted in {time.monotonic() - start:.0f} s", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Quality of captions, answers and clips' captions.")
    parser.add_argument("--model", help="a name or path (default: the bundled model)")
    parser.add_argument("--limit", type=int, help="photos of each task (default: all)")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16, help="media that share a pass; changes no result")
    parser.add_argument("--only", choices=TASKS, nargs="+", default=TASKS)
    parser.add_argument("--predictions", type=Path, default=ROOT / "runs" / "quality.jsonl")
    parser.add_argument("--rescore", action="store_true", help="score the predictions that are there")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of flickr8k/val-*.tar and daquar/val-*.tar")
    options = parser.parse_args(arguments)
    missing = None if set(options.only) == {"questions"} else missing_for_captions()
    if missing:
        print(f"error: {missing} (or measure --only questions)", file=sys.stderr)
        return 1
    try:
        if not options.rescore:
            write_predictions(options.predictions, predict(options, options.only))
        predictions = [p for p in read_predictions(options.predictions) if p.task in options.only]
    except (PixtellError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report = {"benchmark": "quality", "model": options.model or "pixtell-mini", "beams": options.beams}
    print(json.dumps({**report, "limit": options.limit, "scores": score(predictions)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
