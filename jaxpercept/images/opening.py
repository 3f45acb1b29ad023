"""Opens image files and reads their headers before any pixel is decoded."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from jaxpercept import files
from jaxpercept.config import MAX_PIXELS
from jaxpercept.errors import InputError
from jaxpercept.images import boxes, colour, float_tiff, png
from jaxpercept.images.scaling import check_pixels

Source = str | os.PathLike[str] | bytes
MOST_BYTES = 1 << 30  # the limit for reading a pipe
_Turn = Image.Transpose
_TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}  # keyed by Exif's orientation
_OPEN_LOCK = threading.Lock()


def fetch(path: str | os.PathLike[str]) -> Source:
    """Returns the source for `path` that `read` and `size_of` can take repeatedly: the path of a
    regular file, or the bytes of an input that can be read only once (`-` for standard input,
    FIFOs, pipes, devices). Raises `InputError` for more than 1 GiB of bytes."""
    if os.fspath(path) == "-":
        return _drained(sys.stdin.buffer, "standard input")
    if files.is_special(path):
        with reported(os.fspath(path)), open(path, "rb") as file:
            return _drained(file, os.fspath(path))
    return path


def _drained(file: Any, name: str) -> bytes:
    data = files.at_most(file, MOST_BYTES)
    if len(data) > MOST_BYTES:
        raise InputError(f"{name}: has more than 1 GiB; give an image")
    if not data:
        raise InputError(f"{name}: is empty; give an image")
    return data


def size_of(
    source: Source, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> tuple[int, int]:
    """Returns the (height, width) of an upright image file from its header. Raises `InputError` as
    `read` does."""
    name = name or name_of(source)
    with reported(name), open_image(source, name, max_pixels) as image:
        return upright_size(image)


def encoding(data: bytes, name: str) -> tuple[str | None, bool]:
    """Returns Pillow's name of an image's format, and whether its pixels are stored upright in sRGB
    as 8-bit RGB or grey. Raises `InputError` as `read` does."""
    with reported(name), open_image(data, name, MAX_PIXELS) as image:
        plain = image.mode in ("RGB", "L") and _orientation(image) == 1
        return image.format, plain and colour.is_srgb(profile_of(image)[0], image.mode)


def profile_of(image: Image.Image) -> tuple[bytes | None, tuple[str, ...]]:
    """Returns the colour profile of an open file whose pixels are not read yet, or None for sRGB,
    and notes on what of it cannot be used."""
    notes: tuple[str, ...] = ()
    profile = image.info.get("icc_profile")
    if image.format == "PNG":
        profile, notes = png.implied_profile(image, has_one_channel(image))
    elif image.format in boxes.PATHS:
        profile, notes = boxes.implied_profile(image, has_one_channel(image))
    if profile is None and image.info.get("icc_profile", b"") is None:  # Pillow could not read it
        notes += ("its colour profile is damaged; taken as sRGB",)
    return profile, notes


def is_grey(source: Source) -> bool:
    """Returns whether the file has one colour channel. Raises `InputError` as `read` does."""
    with reported(name_of(source)), open_image(source, name_of(source), MAX_PIXELS) as image:
        return has_one_channel(image)


def name_of(source: Source) -> str:
    """Returns the name that errors use for a source without a given name."""
    return "image" if isinstance(source, bytes) else os.fspath(source)


def open_image(source: Source, name: str, max_pixels: int) -> Image.Image:
    """Opens an image and checks its header against `max_pixels`; its pixels are not read yet."""
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.exists():
            raise InputError(f"{name}: no such file; give the path of an image")
        if path.is_dir():
            raise InputError(f"{name}: is a folder; give the path of an image")
        if not path.is_file():
            kind = files.kind(path.stat().st_mode)
            raise InputError(f"{name}: is {kind}, not a file; give the path of an image")
    image: Image.Image
    with _OPEN_LOCK:  # Pillow's limit is a global; ours replaces it for a moment
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        except Image.UnidentifiedImageError:
            image = float_tiff.opened(source, name, max_pixels)
        finally:
            Image.MAX_IMAGE_PIXELS = theirs
    if _is_misread(image):
        image.close()
        image = float_tiff.opened(source, name, max_pixels)
    try:
        check_pixels(name, image.height, image.width, max_pixels)
    except InputError:
        image.close()
        raise
    return image


def _tiff_tags(image: Image.Image) -> Mapping[int, Any]:
    """Returns a TIFF's tags, or none for another format."""
    return getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}


def _is_misread(image: Image.Image) -> bool:
    """Returns whether Pillow misreads a TIFF: 16-bit colour in uncompressed planes, planes of grey
    and alpha, signed 8 bits."""
    tags = _tiff_tags(image)
    if tags.get(284) == 2 and image.mode in ("LA", "La"):
        return True
    if 2 in (tags.get(339) or ()) and tags.get(258, ())[:1] == (8,):
        return True
    planar, compression = tags.get(284), tags.get(259)  # TIFF 6.0, section 8
    return (planar, compression) == (2, 1) and tags.get(258, ())[:3] == (16, 16, 16)


def depth(image: Image.Image, name: str) -> tuple[int, bool]:
    """Returns the largest value of deep grey, and whether it means black. Raises InputError for
    signed values, whose range files do not tell."""
    tags = _tiff_tags(image)
    bits = (tags.get(258) or (16,))[0]
    if 2 in (tags.get(339) or ()) and bits <= 16:
        raise InputError(f"{name}: signed 16-bit values; save it as unsigned, 8 or 16 bit")
    return (1 << bits) - 1 if 8 < bits < 16 else 65535, tags.get(262) == 0


@contextlib.contextmanager
def reported(name: str) -> Iterator[None]:
    """Turns whatever Pillow's decoders raise on a broken file into one line that names the file."""
    try:
        yield
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(
            f"{name}: not readable ({error.strerror}); check its permissions"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise InputError(
            f"{name}: not an image that can be read; use JPEG, PNG, WebP, AVIF, TIFF or BMP"
        ) from error
    except MemoryError as error:
        raise InputError(f"{name}: too large for memory; shrink it") from error
    except Exception as error:  # plugins raise OSError, ValueError, SyntaxError, EOFError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: broken image file ({reason}); replace it") from error


def _turned(image: Image.Image) -> bool:
    """Returns whether `image.size` is the size of the picture lying on its side."""
    if stored := _tiff_tags(image):
        # Newer versions of Pillow give a TIFF's upright size.
        lying = (stored.get(ExifTags.Base.ImageWidth), stored.get(ExifTags.Base.ImageLength))
        if image.size != lying:
            return False
    return _orientation(image) in (5, 6, 7, 8)


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and not png.has_exif(image):
        return 1  # Pillow would decode the pixels, since Exif may follow them
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged Exif is no reason to refuse a picture; Pillow raises anything
        return 1


def upright(image: Image.Image) -> Image.Image:
    """Returns the decoded picture, turned upright as its file says."""
    image.load()  # newer versions of Pillow turn a TIFF here
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Returns the (height, width) of the picture, turned upright as its file says."""
    width, height = image.size
    return (width, height) if _turned(image) else (height, width)


def as_stored(image: Image.Image, wanted: tuple[int, int]) -> tuple[int, int]:
    """Converts an upright (height, width) to the (width, height) of the pixels as stored."""
    return wanted if _turned(image) else (wanted[1], wanted[0])


def has_one_channel(image: Image.Image) -> bool:
    """Returns whether an image whose pixels are not read yet has one colour channel, apart from
    transparency."""
    tiles: Any = getattr(image, "tile", None) or [("",) * 4]
    if tiles[0][3] == "LA;16B":  # of a PNG, which Pillow opens as RGBA
        return True
    return image.mode in ("1", "L", "LA", "La") or is_deep(image)


def is_deep(image: Image.Image) -> bool:
    """Returns whether the image is grey with more than 8 bits."""
    return image.mode in ("F", "I") or image.mode.startswith("I;16")


def notes_on(image: Image.Image) -> tuple[str, ...]:
    """Returns notes on what the pixels will lose of the file."""
    notes = []
    if image.format != "MPO" and getattr(image, "is_animated", False):
        what = "page" if image.format == "TIFF" else "frame"
        line = f"only its first {what} is read"
        notes.append(f"{line}; `infer.py video` reads all frames" if what == "frame" else line)
    tiles = getattr(image, "tile", None)  # Pillow's decoder and its arguments
    raw = str(tiles[0][3]) if tiles else ""
    largest = re.search(r"\d+", raw) if image.format == "PPM" else None
    deep = ";16" in raw or (largest is not None and int(largest[0]) > 255)
    kept = is_deep(image) and "transparency" not in image.info
    if image.mode not in ("1", "L") and not kept and deep:
        notes.append("its 16 bits per colour are cut to 8 bits")
    if float_tiff.CUT in image.info:
        notes.append(f"its {image.info[float_tiff.CUT]} cut to 8 bits")
    return tuple(notes)
