"""Image files to arrays and back.

Whatever a file holds becomes RGB in [0, 1], upright: grey and 1-bit are repeated over the channels,
CMYK is converted by Pillow's plain formula, palettes are looked up, transparency is composited on
white, 16-bit grey keeps its 16 bits (16-bit RGB arrives from Pillow as its upper 8 bits, off by
less than 1/255). Numbers are taken as sRGB: colour profiles are not applied. Of an animation, the
first frame counts.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from jaxpercept.errors import InputError
from jaxpercept.images.scaling import Float, fit, to_uint8

MAX_PIXELS = 400_000_000
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
WRITE_SUFFIXES = tuple(_FORMATS)
_OPEN_LOCK = threading.Lock()


def _open(source: str | os.PathLike[str] | bytes, name: str, max_pixels: int) -> Image.Image:
    """The image's header, checked against `max_pixels`; its pixels are not read yet."""
    if not isinstance(source, bytes):
        path = Path(source)
        if not path.exists():
            raise InputError(f"{name}: no such file; give the path of an image")
        if path.is_dir():
            raise InputError(f"{name}: is a folder; give the path of an image")
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
def _reading(name: str):
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
            f"{name}: not an image that can be read; use JPEG, PNG, WebP, TIFF or BMP"
        ) from error
    except (
        Exception
    ) as error:  # the plugins raise OSError, ValueError, SyntaxError, struct.error, EOFError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: broken image file ({reason}); replace it") from error


def _float_grey(image: Image.Image, name: str) -> Float | None:
    """Grey of more than 8 bits as (H, W) in [0, 1]; None where 8 bits hold everything."""
    if image.mode == "F":
        grey = np.asarray(image, np.float32)
        if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
            raise InputError(
                f"{name}: floating-point values outside [0, 1]; save it as 8 or 16 bit"
            )
        return grey
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise InputError(f"{name}: 32-bit values outside 0..65535; save it as 8 or 16 bit")
        return (grey / 65535).astype(np.float32)
    return None


def load_rgba(
    path: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS, name: str | None = None
):
    """The colours as stored and the transparency apart: (H, W, 3) and (H, W), or None for an opaque
    image.

    Float32 in [0, 1]. Raises like `load_image`. Super-resolution scales the two apart.
    """
    name = name or ("image" if isinstance(path, bytes) else os.fspath(path))
    with _reading(name), _open(path, name, max_pixels) as opened:
        image = ImageOps.exif_transpose(opened)
        grey = _float_grey(image, name)
        if grey is not None:
            return np.repeat(grey[..., None], 3, axis=-1), None
        if not image.has_transparency_data:
            return np.asarray(image.convert("RGB"), np.float32) / np.float32(255), None
        rgba = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])


def load_image(
    path: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> Float:
    """An image file (or its bytes) as float32 RGB (H, W, 3) in [0, 1], upright, transparency on
    white.

    `name` is what errors call it, the path by default. `InputError` for a missing, broken or too
    large file."""
    rgb, alpha = load_rgba(path, max_pixels=max_pixels, name=name)
    return rgb if alpha is None else over_white(rgb, alpha)


def over_white(rgb: Float, alpha: Float) -> Float:
    """(H, W, 3) with (H, W) opacity, on white."""
    return rgb * alpha[..., None] + (1 - alpha[..., None])


def load_uint8(
    source: str | os.PathLike[str] | bytes,
    *,
    short: int | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """The same decoding rounded to uint8 (H, W, 3), read-only; `short`: resize the short side to it
    (bicubic).

    The fast path of training data: a JPEG at least twice as large as wanted is decoded at 1/2, 1/4
    or 1/8 of its size."""
    name = name or ("image" if isinstance(source, bytes) else os.fspath(source))
    with _reading(name), _open(source, name, max_pixels) as opened:
        if short is not None and opened.format == "JPEG" and opened.mode in ("RGB", "L"):
            opened.draft(None, fit(opened.height, opened.width, short)[::-1])
        ImageOps.exif_transpose(
            opened, in_place=True
        )  # in place: no copy of what is upright already
        image: Image.Image = opened
        grey = _float_grey(image, name)
        if grey is not None:
            image = Image.fromarray(to_uint8(grey))
        elif image.has_transparency_data:
            rgba = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
            image = Image.fromarray(to_uint8(over_white(rgba[..., :3], rgba[..., 3])))
        image = image if image.mode == "RGB" else image.convert("RGB")
        if short is not None and min(image.size) != short:
            image = image.resize(
                fit(image.height, image.width, short)[::-1], Image.Resampling.BICUBIC
            )
        return np.asarray(image)


def size_of(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of an upright image file, from its header. `InputError` as in
    `load_image`."""
    with _reading(os.fspath(path)), _open(path, os.fspath(path), max_pixels) as image:
        turned = image.getexif().get(0x0112, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def encoding(data: bytes, name: str) -> tuple[str | None, bool]:
    """Pillow's name of an image's format, and whether its pixels are stored upright, in RGB or grey
    of 8 bits. `InputError` as in `load_image`."""
    with _reading(name), _open(data, name, MAX_PIXELS) as image:
        return image.format, image.mode in ("RGB", "L") and image.getexif().get(0x0112, 1) == 1


def is_grey(path: str | os.PathLike[str]) -> bool:
    """Whether the file has one grey channel, whatever `load_image` makes of it. `InputError` as
    there."""
    with _reading(os.fspath(path)), _open(path, os.fspath(path), MAX_PIXELS) as image:
        return image.mode in ("1", "L", "LA", "F", "I") or image.mode.startswith("I;16")


def save_image(
    path: str | os.PathLike[str], x: Any, *, alpha: Any = None, quality: int = 95
) -> Path:
    """Write (H, W, 3) in [0, 1] (or uint8) in the format of the suffix: whole or not at all, making
    folders as needed.

    Rounds to nearest; `quality` is JPEG's and WebP's. `alpha` (H, W) is kept where the format can,
    else laid on white. `InputError` for an unknown suffix or a place that cannot be written."""
    path, x = check_writable_name(path), np.asarray(x)
    if x.ndim != 3 or x.shape[-1] != 3 or 0 in x.shape:
        raise ValueError(f"save_image: shape {x.shape}, expected (H, W, 3)")
    if not np.isfinite(x).all():
        raise ValueError(f"{path}: the image has values that are not finite")
    kind = _FORMATS[path.suffix.lower()]
    if alpha is not None and kind in ("JPEG", "BMP"):
        rgb = x / np.float32(255) if x.dtype == np.uint8 else x
        x, alpha = over_white(rgb, np.asarray(alpha)), None
    image = Image.fromarray(to_uint8(x))
    if alpha is not None:
        image.putalpha(Image.fromarray(to_uint8(np.asarray(alpha))))
    options: dict[str, Any] = {"quality": quality, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "WEBP":
        options = {"quality": quality}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(temporary, format=kind, **options)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise InputError(f"{path}: cannot be written ({reason}); choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path


def check_writable_name(path: str | os.PathLike[str]) -> Path:
    """`path`, if its suffix is a format we write; `InputError` that lists them otherwise."""
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise InputError(
            f"{path}: unknown image suffix {path.suffix!r}; use one of {', '.join(WRITE_SUFFIXES)}"
        )
    return path
