"""What a file is likely to be, by its name, and by its first bytes where the name doesn't tell.

In: a name; a few bytes. Out: whether it is worth a row. What it really is, `media.py` finds out when it is decoded.

The surprising thing: photos and clips that Pixtell can't read (JPEG XL, Windows Media) count as media, so that each has
a row which says so; a camera's raw files don't, as they mostly lie beside the JPEG of the same photo.
"""

from __future__ import annotations

import os
from typing import Literal

Named = Literal["media", "tar", "packed tar", "zip", "parquet", "csv", "tsv", "jsonl", "other", "unknown"]

HEAD = 64  # bytes that `looks_like_media` needs


def _suffixes(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_PHOTOS = _suffixes(".jpg .jpeg .jpe .jfif .png .apng .webp .gif .tif .tiff .bmp .dib .avif .heic .heif .hif .jxl .jp2")
_MEDIA = _PHOTOS | _suffixes(
    ".mp4 .m4v .mov .qt .3gp .3g2 .mkv .webm .avi .wmv .flv .mpg .mpeg .mts .m2ts .ogv",
)
SIDECARS = _suffixes(".txt .caption .json .xmp .srt .vtt")
_OTHERS = SIDECARS | _suffixes(
    ".cr2 .cr3 .nef .arw .dng .raf .orf .rw2 .pef .srw .psd .xcf .svg .pdf",
    ".html .htm .xml .md .rst .log .yaml .yml .toml .ini .cfg .py .sh .db .sqlite .npy .npz .pt .pth .ckpt",
    ".safetensors .onnx .index .doc .docx .xls .xlsx .gz .bz2 .xz .zst .7z .rar .mp3 .wav .flac .m4a .aac .ogg",
)
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_CONTAINERS: dict[str, Named] = {
    ".tar": "tar",
    ".tgz": "packed tar",
    ".tbz2": "packed tar",
    ".txz": "packed tar",
    ".zip": "zip",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}

_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF, and the three that follow
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM
    b"\x00\x00\x00\x0cJXL ",
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")  # mp4, mov, HEIC, AVIF


def suffix_of(name: str) -> str:
    """The suffix in small letters, with its dot; empty for a name without one."""
    return os.path.splitext(name)[1].lower()


def kind_of(name: str) -> Named:
    """What the name says."""
    suffix = suffix_of(name)
    if suffix in _MEDIA:
        return "media"
    if suffix in _CONTAINERS:
        return _CONTAINERS[suffix]
    if suffix in _PACKED and os.path.splitext(name)[0].lower().endswith(".tar"):
        return "packed tar"
    return "other" if suffix in _OTHERS else "unknown"


def is_photo(name: str) -> bool:
    """Whether the name is a photo's, or a short animation's."""
    return suffix_of(name) in _PHOTOS


def looks_like_media(head: bytes) -> bool:
    """Whether `head`, the first `HEAD` bytes of a file, begins a photo or a clip."""
    if head.startswith(_STARTS) or head[4:8] in _BOXES:
        return True
    if head.startswith(b"RIFF"):
        return head[8:12] in (b"WEBP", b"AVI ")
    # "BM" alone begins too many texts: the size of the header that follows is small.
    return head.startswith(b"BM") and 12 <= int.from_bytes(head[14:18], "little") <= 124


def head_of(path: str) -> bytes:
    """The first bytes of a file, none where it can't be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(HEAD)
    except (OSError, ValueError):
        return b""


def is_hidden(name: str) -> bool:
    """Whether a path (of a member of an archive) lies in or is something hidden; macOS puts its own into zips."""
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in name.split("/"))
