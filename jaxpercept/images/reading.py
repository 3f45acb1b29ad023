"""Image files to arrays: the one decoder of all commands.

Whatever a file holds becomes RGB in sRGB, upright. Colour profiles are applied (without one,
numbers are taken as sRGB, and CMYK is converted by Pillow's plain formula). Grey and 1-bit are
repeated over the channels, palettes are looked up, transparency is kept apart. 16-bit grey keeps
its 16 bits; 16-bit RGB arrives from Pillow as its upper 8 bits, off by less than 1/255. Of an
animation or a file of several pages, the first one is taken.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.images import colour, metadata
from jaxpercept.images.bleeding import bled
from jaxpercept.images.picture import Picture
from jaxpercept.images.scaling import Float, fit, resize, to_float, to_uint8

Source = str | os.PathLike[str] | bytes
MAX_PIXELS = 400_000_000
MOST_BYTES = 1 << 30  # that are read from a pipe
_BAND = 1 << 22  # pixels converted at once
_LARGE = 1 << 24  # pixels from which on an image is averaged by a whole factor before it is scaled
_Turn = Image.Transpose
_TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}  # by Exif's orientation
_OPEN_LOCK = threading.Lock()


def fetch(path: str | os.PathLike[str]) -> Source:
    """What `read` and `size_of` take for `path`, as often as they are asked: the path of a regular
    file as it is; the bytes of what can be read only once, which are `-` for standard input,
    FIFOs, pipes and devices. `InputError` for more than 1 GiB of those."""
    if os.fspath(path) == "-":
        return _drained(sys.stdin.buffer, "standard input")
    with contextlib.suppress(OSError):
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            with _reading(os.fspath(path)), open(path, "rb") as file:
                return _drained(file, os.fspath(path))
    return path


def _drained(file: Any, name: str) -> bytes:
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise InputError(f"{name}: gives more than 1 GiB; give an image")
    if not data:
        raise InputError(f"{name}: is empty; give an image")
    return data


def read(
    source: Source,
    *,
    size: int | None = None,
    how: Literal["short", "long"] = "long",
    method: Literal["lanczos", "bicubic"] = "lanczos",
    uint8: bool = False,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Picture:
    """An image file (its path or its bytes) as a `Picture`.

    size: the longer side (or the shorter one, by `how`) to scale the picture to, in proportion.
    Where that is smaller than the file's, it is shrunk while it is decoded, so that memory stays
    at the file's own pixels of 8 bits. uint8: pixels as uint8, not as float32.
    name: what errors call it, the path by default.
    `InputError` for a missing, broken or too large file."""
    name = name or _name(source)
    with _reading(name), _open(source, name, max_pixels) as opened:
        notes = _notes(opened)  # first, as asking a PNG for its Exif decodes it
        height, width = _upright_size(opened)
        wanted = fit(height, width, size, how) if size is not None else (height, width)
        if wanted[0] * wanted[1] > max_pixels:
            raise InputError(
                f"{name}: {wanted[1]}x{wanted[0]} is {wanted[0] * wanted[1]:,} pixels, more than"
                f" the limit of {max_pixels:,}; give a smaller --size or raise --max-pixels"
            )
        about, grey = metadata.about(opened), _is_grey(opened)
        profile, deep = opened.info.get("icc_profile"), _is_deep(opened)
        if opened.format in ("JPEG", "MPO") and min(wanted) < min(height, width):
            opened.draft(None, _as_stored(opened, wanted))
        image = _upright(opened)
        try:
            pixels = _pixels(image, name, profile, deep, wanted, method)
        except colour.UnusableProfile as error:
            notes += (f"its colour profile cannot be used ({error}); taken as sRGB",)
            pixels = _pixels(image, name, None, deep, wanted, method)
        rgb, alpha = _split(pixels, uint8)
    return Picture(rgb, alpha, grey, 16 if deep else 8, about, notes)


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Float:
    """An image file (or its bytes) as float32 RGB (H, W, 3) in [0, 1], sRGB, upright, transparency
    on white.

    `name` is what errors call it, the path by default. `InputError` for a missing, broken or too
    large file."""
    return read(source, max_pixels=max_pixels, name=name).over_white()


def load_uint8(
    source: Source,
    *,
    short: int | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """The same decoding rounded to uint8 (H, W, 3); `short`: the short side to scale to
    (bicubic). The fast path of training data."""
    options: Any = {"size": short, "how": "short", "method": "bicubic", "uint8": True}
    picture = read(source, max_pixels=max_pixels, name=name, **options)
    return picture.pixels if picture.alpha is None else to_uint8(picture.over_white())


def size_of(
    source: Source, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> tuple[int, int]:
    """(height, width) of an upright image file, from its header. `InputError` as in `read`."""
    name = name or _name(source)
    with _reading(name), _open(source, name, max_pixels) as image:
        return _upright_size(image)


def encoding(data: bytes, name: str) -> tuple[str | None, bool]:
    """Pillow's name of an image's format, and whether its pixels are stored upright, in RGB or grey
    of 8 bits, in sRGB. `InputError` as in `read`."""
    with _reading(name), _open(data, name, MAX_PIXELS) as image:
        upright = _orientation(image) == 1
        plain = image.mode in ("RGB", "L")
        plain = plain and colour.is_srgb(image.info.get("icc_profile"), image.mode)
        return image.format, upright and plain


def is_grey(source: Source) -> bool:
    """Whether the file has one channel of colour. `InputError` as in `read`."""
    with _reading(_name(source)), _open(source, _name(source), MAX_PIXELS) as image:
        return _is_grey(image)


def _name(source: Source) -> str:
    return "image" if isinstance(source, bytes) else os.fspath(source)


def _open(source: Source, name: str, max_pixels: int) -> Image.Image:
    """The image's header, checked against `max_pixels`; its pixels are not read yet."""
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.exists():
            raise InputError(f"{name}: no such file; give the path of an image")
        if path.is_dir():
            raise InputError(f"{name}: is a folder; give the path of an image")
        if not path.is_file():
            kind = files.kind(path.stat().st_mode)
            raise InputError(f"{name}: is {kind}, not a file; give the path of an image")
    with _OPEN_LOCK:  # Pillow's own limit is a module global: set aside for ours, put back at once
        theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        finally:
            Image.MAX_IMAGE_PIXELS = theirs
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise InputError(
            f"{name}: {width}x{height} is {width * height:,} pixels, more than the limit of"
            f" {max_pixels:,}; shrink it or raise --max-pixels"
        )
    return image


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Whatever Pillow's decoders raise on a broken file becomes one line that names the file."""
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
    except Exception as error:  # the plugins raise OSError, ValueError, SyntaxError, EOFError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: broken image file ({reason}); replace it") from error


def _turned(image: Image.Image) -> bool:
    """Whether `image.size` is that of the picture lying on its side."""
    if image.format == "TIFF" and (stored := getattr(image, "tag_v2", None)):
        # newer versions of Pillow give a TIFF's upright size
        lying = (stored.get(ExifTags.Base.ImageWidth), stored.get(ExifTags.Base.ImageLength))
        if image.size != lying:
            return False
    return _orientation(image) in (5, 6, 7, 8)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged Exif is no reason to refuse a picture; Pillow raises anything
        return 1


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # which turns a TIFF, in newer versions of Pillow
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if _turned(image) else (height, width)


def _as_stored(image: Image.Image, wanted: tuple[int, int]) -> tuple[int, int]:
    """An upright (height, width) as the (width, height) of the pixels as they are stored."""
    return wanted if _turned(image) else (wanted[1], wanted[0])


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or _is_deep(image)


def _is_deep(image: Image.Image) -> bool:
    """Grey of more than 8 bits."""
    return image.mode in ("F", "I") or image.mode.startswith("I;16")


def _notes(image: Image.Image) -> tuple[str, ...]:
    """What the pixels will not have of the file."""
    notes = []
    if image.format != "MPO" and getattr(image, "is_animated", False):
        what = "page" if image.format == "TIFF" else "frame"
        line = f"only its first {what} is taken"
        notes.append(f"{line}; `infer.py video` takes all frames" if what == "frame" else line)
    tiles = getattr(image, "tile", None)  # Pillow's decoder and what it is told of the file
    raw = str(tiles[0][3]) if tiles else ""
    if image.mode not in ("1", "L") and not _is_deep(image) and ";16" in raw:
        notes.append("its 16 bits per colour are cut to 8")
    return tuple(notes)


def _pixels(
    image: Image.Image,
    name: str,
    profile: bytes | None,
    deep: bool,
    wanted: tuple[int, int],
    method: Literal["lanczos", "bicubic"],
) -> NDArray[Any]:
    """(*wanted, 3), or (*wanted, 4) with transparency: uint8, or float32 of what has more bits."""
    if deep:
        grey = resize(colour.grey_to_srgb(_deep_grey(image, name), profile), wanted, method=method)
        return np.repeat(grey[..., None], 3, axis=-1)
    smaller = min(image.height / wanted[0], image.width / wanted[1])
    large = image.width * image.height > _LARGE
    pixels = _banded(image, profile, max(1, int(smaller / 2)) if large else 1)
    if pixels.shape[:2] == wanted:
        return pixels
    filtered = Image.Resampling[method.upper()]
    return np.asarray(Image.fromarray(pixels).resize(wanted[::-1], filtered))


def _split(pixels: NDArray[Any], uint8: bool) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Colours and transparency apart, both as uint8 or as float32."""
    rgb, alpha = np.ascontiguousarray(pixels[..., :3]), None
    if pixels.shape[-1] == 4:
        alpha = np.ascontiguousarray(pixels[..., 3])
        rgb = bled(rgb, alpha)
    if uint8:
        return to_uint8(rgb), None if alpha is None else to_uint8(alpha)
    return _floats(rgb), None if alpha is None else _floats(alpha)


def _floats(x: NDArray[Any]) -> Float:
    return to_float(x) if x.dtype == np.uint8 else x


def _banded(image: Image.Image, profile: bytes | None, factor: int) -> NDArray[np.uint8]:
    """`image` in sRGB, shrunk by a whole `factor`; band by band, so that no second copy of all its
    pixels is needed."""
    rows = max(1, _BAND // (image.width * factor)) * factor
    if factor == 1 and rows >= image.height:
        return np.asarray(colour.to_srgb(image, profile))
    parts: list[NDArray[np.uint8]] = []
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        band = colour.to_srgb(band, profile)
        parts.append(np.asarray(band.reduce(factor) if factor > 1 else band))
    return np.concatenate(parts)


def _deep_grey(image: Image.Image, name: str) -> Float:
    """Grey of more than 8 bits as (H, W) in [0, 1]."""
    grey = np.asarray(image)
    if image.mode == "F":
        if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
            raise InputError(
                f"{name}: floating-point values outside [0, 1]; save it as 8 or 16 bit"
            )
        return grey.astype(np.float32)
    if grey.min() < 0 or grey.max() > 65535:
        raise InputError(f"{name}: 32-bit values outside 0..65535; save it as 8 or 16 bit")
    return (grey / 65535).astype(np.float32)
