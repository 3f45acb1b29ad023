"""Which image formats are read and written: one line for each."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from PIL import Image

from jaxpercept.errors import InputError

JPEG, PNG, WEBP, AVIF, BMP, TIFF = "JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF"
# The suffixes that we write, and Pillow's name of the format.
WRITTEN = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".webp": WEBP,
    ".avif": AVIF,
    ".bmp": BMP,
    ".tif": TIFF,
    ".tiff": TIFF,
}
WRITE_SUFFIXES = tuple(WRITTEN)
_JPEG_SUFFIXES = (".jpe", ".jfif", ".mpo")  # read, and written as .jpg
_ONLY_READ = (*_JPEG_SUFFIXES, ".gif", ".apng", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2")
READ_SUFFIXES = (".jpg", ".jpeg", *(s for s in WRITTEN if WRITTEN[s] != JPEG), *_ONLY_READ)
LONGEST_SIDE = {JPEG: 65_500, WEBP: 16_383, AVIF: 65_536, BMP: 2**31 - 1}  # that a format can hold
_OF_FILES = (".exr", ".hdr", ".heic", ".heif", ".jxl", ".psd", ".raw", ".dng", ".md", ".jsonl")


def written_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of what is made of the image `path`: its own where we write that, `.jpg` for the
    other names of JPEG, and else `.png`."""
    suffix = Path(path).suffix
    if suffix.lower() in WRITTEN:
        return suffix
    return ".jpg" if suffix.lower() in _JPEG_SUFFIXES else ".png"


def check_writable_name(path: str | os.PathLike[str]) -> Path:
    """`path`, if its suffix is a format we write; `InputError` that lists them otherwise."""
    path = Path(path)
    if path.suffix.lower() not in WRITTEN:
        raise InputError(
            f"{path}: unknown image suffix {path.suffix!r}; use one of {', '.join(WRITE_SUFFIXES)}"
        )
    return path


def names_a_file(path: str | os.PathLike[str]) -> bool:
    """Whether a name that does not exist yet is meant as a file's, as `x.png` and `x.txt` are, and
    `styled` and `styled.v2` are not: by a suffix that is known for files of any kind."""
    if os.fspath(path).endswith(("/", os.sep)):
        return False
    suffix = Path(path).suffix.lower()
    if suffix in WRITTEN or suffix in _ONLY_READ or suffix in _OF_FILES:
        return True
    known = mimetypes.MimeTypes().types_map  # the built-in ones, whatever this machine adds
    return any(suffix in kinds for kinds in known) or suffix in Image.registered_extensions()
