"""Which format a file is of, by what is in it; its name is never trusted.

In: a path. Out: its kind, and the content of a JSON file, which has to be read for that anyway.

The surprising thing: COCO's references and a model's results on COCO are both JSON with `image_id` and `caption`. The
latter are refused by name, since a score of texts against texts of another model means nothing.
"""

from __future__ import annotations

import csv
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pixtell.data.formats.entry import Entry, Misshapen, load_json, parse_json
from pixtell.errors import InputError

Kind = Literal[
    "tar",
    "folder",
    "rows",
    "coco captions",
    "karpathy",
    "vqa questions",
    "vqa annotations",
    "textvqa",
    "video qa",
    "video captions",
    "msvd csv",
    "msvd lines",
    "image tsv",
    "text tsv",
    "caption lines",
    "parquet",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
READ = (
    "WebDataset tars; parquet; JSON lines; COCO captions, Karpathy's, VQAv2, TextVQA, TextCaps, MSRVTT, VATEX, "
    "MSRVTT-QA and MSVD-QA JSON; MSVD's captions; TSV files of GIT's authors; captions.txt; a folder of pictures or "
    "clips"
)

HEAD = 64 * 1024  # bytes of a file that are looked at
LEAST_BASE64 = 32  # characters; shorter ones may be a caption of one word
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")

# First bytes of files that are not read, and what they are.
_STRANGERS = (
    (b"\x1f\x8b", "is gzip: unpack it first"),
    (b"PK\x03\x04", "is a zip archive: unpack it first"),
    (b"(\xb5/\xfd", "is Zstandard: unpack it first"),
    (b"BZh", "is bzip2: unpack it first"),
    (b"\xfd7zXZ", "is xz: unpack it first"),
    (b"\xff\xd8\xff", "is a picture: name the folder that it lies in"),
    (b"\x89PNG", "is a picture: name the folder that it lies in"),
)

_PICTURE_COLUMNS = ("image", "image_name", "file_name", "filename")
_CAPTION_COLUMNS = ("caption", "text", "comment")
MSVD_COLUMNS = ("videoid", "start", "end", "language", "description")
_MSVD_LINE = re.compile(rb"[\w-]{11}_\d+_\d+ ")  # 11: the length of YouTube's ids


@dataclass(frozen=True)
class Source:
    """A file or folder of a data set; `content` is a JSON file's value."""

    path: Path
    kind: Kind
    content: Any = None


def recognise(path: Path) -> Source:
    """Find out what a path is. Raises `InputError` for what is missing, empty, broken or not a data set."""
    if path.is_dir():
        return Source(path, "folder")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError:
        raise InputError("missing", f"{path}: no such file or folder") from None
    except OSError as error:
        raise InputError("unreadable", f"{path}: can't be read ({error.strerror or error})") from None
    if _is_tar(head):
        return Source(path, "tar")
    if head.startswith(b"PAR1"):
        return Source(path, "parquet")
    for start, words in _STRANGERS:
        if head.startswith(start):
            raise _not_read(path, words)
    text = head.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise InputError("empty", f"{path}: there is nothing in it")
    if b"\0" in text:
        raise _not_read(path, "is neither a tar nor UTF-8 text")
    if text[:1] in b"{[":
        return _recognise_json(path, text)
    first, _, _ = text.partition(b"\n")
    value = first.partition(b"\t")[2].strip()
    if value[:1] in (b"[", b"{"):
        return Source(path, "text tsv")
    if len(value) >= LEAST_BASE64 and _BASE64.fullmatch(value):
        return Source(path, "image tsv")
    header = first.decode("utf-8", "replace")
    if value or csv_columns(header):
        return Source(path, "caption lines")
    if set(MSVD_COLUMNS) <= {name.strip().lower() for name in header.split(",")}:
        return Source(path, "msvd csv")
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith(b"#"))
    if _MSVD_LINE.match(next(lines, b"")):
        return Source(path, "msvd lines")
    raise _not_read(path, "is text of another kind")


def csv_columns(header: str) -> tuple[int, int] | None:
    """Which columns of a CSV file hold the picture and the caption; None where this is no such header."""
    try:
        names = [name.strip().lower() for name in next(csv.reader([header]), [])]
    except csv.Error:
        return None
    picture = next((place for place, name in enumerate(names) if name in _PICTURE_COLUMNS), None)
    caption = next((place for place, name in enumerate(names) if name in _CAPTION_COLUMNS), None)
    return None if picture is None or caption is None else (picture, caption)


def _is_tar(head: bytes) -> bool:
    if len(head) < tarfile.BLOCKSIZE:
        return False
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")  # checks the checksum
    except tarfile.TarError:
        return not head.strip(b"\0")  # a tar of no files
    return True


def _not_read(path: Path, words: str) -> InputError:
    return InputError("unsupported", f"{path}: {words}; data sets are read from {READ}")


def _recognise_json(path: Path, text: bytes) -> Source:
    """Lines, where the first is an object and not all; else one value, or lines of which the first is broken."""
    first, end, rest = text.partition(b"\n")
    if end and _is_object(first):
        _refuse_predictions(path, first)
        return Source(path, "rows")
    try:
        value = load_json(path)
    except InputError as error:
        # "Extra data" is json's word for more than one value: here for lines of which the first is longer than HEAD.
        if "Extra data" in str(error) or _is_object(rest.strip().partition(b"\n")[0]):
            return Source(path, "rows")
        raise
    return Source(path, _kind_of_list(path, value), value) if isinstance(value, list) else _document(path, value)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except Misshapen:
        return False


def _refuse_predictions(path: Path, line: bytes) -> None:
    if line.startswith(b'{"run": {'):
        raise InputError("unsupported", f"{path}: is a file of predictions: name the data set that they are about")


def _document(path: Path, value: Any) -> Source:
    """The kind of an object by the lists in it and by what their first objects have."""
    content = Entry(value)
    image, annotation = _first(content, "images"), _first(content, "annotations")
    if content.has("videos") and content.has("sentences"):
        return Source(path, "video captions", value)
    if image.has("sentences"):
        return Source(path, "karpathy", value)
    if content.has("questions") and _first(content, "questions").has("question_id"):
        return Source(path, "vqa questions", value)
    if annotation.has("question_id"):
        return Source(path, "vqa annotations", value)
    if annotation.has("bbox", "segmentation", "keypoints"):
        raise _not_read(path, "holds COCO's boxes: name the file of captions")
    if annotation.has("caption") or (image.has("id") and not content.values("annotations")):
        return Source(path, "coco captions", value)
    if _first(content, "data").has("image_id", "question"):
        return Source(path, "textvqa", value)
    if content.has("run"):
        raise InputError("unsupported", f"{path}: is a file of predictions: name the data set that they are about")
    if any(content.has(name) for name in ("images", "annotations", "questions", "data")):
        raise _not_read(path, "is JSON of a kind that is not known")
    return Source(path, "rows", [value])


def _first(content: Entry, name: str) -> Entry:
    """The first object of a list; an empty one where there is none."""
    return Entry(next((value for value in content.values(name) if isinstance(value, dict)), {}))


def _kind_of_list(path: Path, values: list[Any]) -> Kind:
    """The kind of a JSON list by its first object."""
    if not values:
        raise InputError("empty", f"{path}: is a JSON list of nothing")
    first = _first(Entry({"values": values}), "values")
    if first.has("question") and first.has("video_id"):
        return "video qa"
    if first.has("videoID"):
        return "video captions"
    if first.has("image_id") and first.has("caption") and not first.has("image", "file_name", "path"):
        raise InputError(
            "unsupported",
            f"{path}: is a COCO result file, texts of a model and not references: name the annotation file, such as "
            "captions_val2014.json or dataset_coco.json",
        )
    if first.has("question_id") and first.has("answer") and not first.has("question"):
        raise InputError(
            "unsupported",
            f"{path}: is a VQA result file, answers of a model and not references: name the files of questions and "
            "annotations",
        )
    return "rows"
