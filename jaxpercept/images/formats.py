"""The image formats that are read and written, one line for each."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from PIL import Image

from jaxpercept.errors import InputError

JPEG, PNG, WEBP, AVIF, BMP, TIFF = "JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF"
# The suffixes that we write, and Pillow's names of their formats.
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
_JPEG_SUFFIXES = (".jpe", ".jfif", ".mpo")  # read these; write them as .jpg
_ONLY_READ = (*_JPEG_SUFFIXES, ".gif", ".apng", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2")
READ_SUFFIXES = (".jpg", ".jpeg", *(s for s in WRITTEN if WRITTEN[s] != JPEG), *_ONLY_READ)
LONGEST_SIDE = {JPEG: 65_500, WEBP: 16_383, AVIF: 65_536, BMP: 2**31 - 1}  # in pixels
_OF_FILES = (".exr", ".hdr", ".heic", ".heif", ".jxl", ".psd", ".raw", ".dng", ".md", ".jsonl")


def written_suffix(path: str | os.PathLike[str]) -> str:
    """Returns the suffix of the output made from the image `path`: its own if we write that format,
    `.jpg` for the other JPEG suffixes, else `.png`."""
    suffix = Path(path).suffix
    if suffix.lower() in WRITTEN:
        return suffix
    return ".jpg" if suffix.lower() in _JPEG_SUFFIXES else ".png"


def check_writable_name(path: str | os.PathLike[str]) -> Path:
    """Returns `path` if we write the format of its suffix; otherwise raises an `InputError` that
    lists the formats."""
    path = Path(path)
    if path.suffix.lower() not in WRITTEN:
        raise InputError(
            f"{path}: unknown image suffix {path.suffix!r}; use one of {', '.join(WRITE_SUFFIXES)}"
        )
    return path


def names_a_file(path: str | os.PathLike[str]) -> bool:
    """Returns whether a name that does not exist yet means a file. It does if it has a suffix known
    for any kind of file: `x.png` and `x.txt` mean files, `styled` and `styled.v2` mean folders."""
    if os.fspath(path).endswith(("/", os.sep)):
        return False
    suffix = Path(path).suffix.lower()
    if suffix in WRITTEN or suffix in _ONLY_READ or suffix in _OF_FILES:
        return True
    known = mimetypes.MimeTypes().types_map  # only the built-in ones, equal on every machine
    return any(suffix in kinds for kinds in known) or suffix in Image.registered_extensions()
