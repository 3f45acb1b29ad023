"""Decodes image files to arrays, for all commands.

Every file becomes upright RGB in sRGB. Colour profiles are applied. Without a profile, numbers are
taken as sRGB, and CMYK is converted by Pillow's plain formula. Grey and 1-bit are repeated over the
channels, palettes are looked up, and transparency is kept apart. 16-bit grey keeps its 16 bits.
Pillow delivers 16-bit RGB as its upper 8 bits, an error below 1/255. Only the first frame of an
animation, or the first page of a file, is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxpercept.config import MAX_PIXELS
from jaxpercept.errors import InputError
from jaxpercept.images import colour, metadata, png, webp
from jaxpercept.images.bleeding import bled
from jaxpercept.images.opening import (
    Source,
    as_stored,
    depth,
    has_one_channel,
    is_deep,
    name_of,
    notes_on,
    open_image,
    profile_of,
    reported,
    upright,
    upright_size,
)
from jaxpercept.images.picture import Picture
from jaxpercept.images.scaling import Float, check_pixels, fit, resize, square, to_float, to_uint8

_BAND = 1 << 22  # number of pixels converted at once
_LARGE = 1 << 24  # larger images (in pixels) are first averaged by a whole factor


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
    """Decodes an image file (its path or its bytes) to a `Picture`.

    size: scales the picture in proportion so that its longer side (or its shorter one, by `how`) is
    `size`. A picture that gets smaller is shrunk while it is decoded, so memory stays at the file's
    own pixels of 8 bits.
    uint8: returns pixels as uint8, not as float32.
    name: the name for errors, by default the path.
    Raises `InputError` for a missing, broken or too large file."""
    name = name or name_of(source)
    with reported(name), open_image(source, name, max_pixels) as opened:
        profile, notes = profile_of(opened)  # first, since reading a PNG's Exif decodes its pixels
        notes += notes_on(opened)
        png.key_of_8_bits(opened)
        height, width = upright_size(opened)
        wanted = fit(height, width, size, how) if size is not None else (height, width)
        check_pixels(name, *wanted, max_pixels, "give a smaller --size")
        grey, about = has_one_channel(opened), metadata.about(opened)
        lossless = opened.format == "WEBP" and webp.is_lossless(source)
        deep = is_deep(opened)
        levels = depth(opened, name) if deep else None
        if opened.format in ("JPEG", "MPO") and min(wanted) < min(height, width):
            opened.draft(None, as_stored(opened, wanted))
        image = upright(opened)
        image = image.convert("LA") if grey and image.mode in ("RGBA", "La") else image
        try:
            pixels = _pixels(image, name, profile, levels, wanted, method)
        except colour.UnusableProfile as error:
            notes += (f"its colour profile cannot be used ({error}); taken as sRGB",)
            pixels = _pixels(image, name, None, levels, wanted, method)
        rgb, alpha = _split(pixels, uint8)
    return Picture(rgb, alpha, grey, 16 if deep else 8, lossless, about, notes)


def load_image(source: Source, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Float:
    """Decodes an image file (or its bytes) to float32 RGB (H, W, 3) in [0, 1], sRGB, upright, with
    transparency over white.

    `name` is the name for errors, by default the path. Raises `InputError` for a missing, broken or
    too large file."""
    return read(source, max_pixels=max_pixels, name=name).over_white()


def load_style(path: str | Path) -> Float:
    """Decodes a style image as `load_image` does. Raises `InputError` also for a single colour,
    since neither a net nor an image can learn strokes from it."""
    image = load_image(path)
    if np.ptp(image, axis=(0, 1)).max() < 1 / 255:
        raise InputError(f"{path}: is a single colour, which is no style; give a painting")
    return image


def load_uint8(
    source: Source,
    *,
    short: int | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Decodes as `load_image` does, rounded to uint8 (H, W, 3). `short` is the short side to scale
    to (bicubic). Training data are read this way because it is fast."""
    options: Any = {"size": short, "how": "short", "method": "bicubic", "uint8": True}
    picture = read(source, max_pixels=max_pixels, name=name, **options)
    return picture.pixels if picture.alpha is None else to_uint8(picture.over_white())


def load_squares(paths: Iterable[Path], size: int) -> Float:
    """Decodes image files as `load_image` does, and returns the middle squares (N, size, size, 3),
    see `square`."""
    return np.stack([square(load_image(path), size) for path in paths])


def _pixels(
    image: Image.Image,
    name: str,
    profile: bytes | None,
    levels: tuple[int, bool] | None,
    wanted: tuple[int, int],
    method: Literal["lanczos", "bicubic"],
) -> NDArray[Any]:
    """Returns (*wanted, 3), or (*wanted, 4) with transparency, as uint8, or as float32 for grey of
    more than 8 bits, whose `levels` are as in `depth`."""
    if levels:
        grey = colour.grey_to_srgb(_deep_grey(image, name, *levels), profile)
        planes = [resize(grey, wanted, method=method)] * 3
        if isinstance(key := image.info.get("transparency"), int):  # of a PNG
            opaque = (np.asarray(image) != key).astype(np.float32)
            planes.append(resize(opaque, wanted, method=method))
        return np.stack(planes, axis=-1)
    smaller = min(image.height / wanted[0], image.width / wanted[1])
    large = image.width * image.height > _LARGE
    pixels = _banded(image, profile, max(1, int(smaller / 2)) if large else 1)
    if pixels.shape[:2] == wanted:
        return pixels
    filtered = Image.Resampling[method.upper()]
    return np.asarray(Image.fromarray(pixels).resize(wanted[::-1], filtered))


def _split(pixels: NDArray[Any], uint8: bool) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Separates colours and transparency, both as uint8 or as float32."""
    rgb, alpha = np.ascontiguousarray(pixels[..., :3]), None
    if pixels.shape[-1] == 4:
        alpha = np.ascontiguousarray(pixels[..., 3])
        rgb = bled(rgb, alpha)
    if uint8:
        return to_uint8(rgb), None if alpha is None else to_uint8(alpha)
    return to_float(rgb), None if alpha is None else to_float(alpha)


def _banded(image: Image.Image, profile: bytes | None, factor: int) -> NDArray[np.uint8]:
    """Converts `image` to sRGB and shrinks it by a whole `factor`. It works band by band, so that
    it needs no second copy of all pixels."""
    rows = max(1, _BAND // (image.width * factor)) * factor
    if factor == 1 and rows >= image.height:
        return np.asarray(colour.to_srgb(image, profile))
    parts: list[NDArray[np.uint8]] = []
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        band = colour.to_srgb(band, profile)
        parts.append(np.asarray(band.reduce(factor) if factor > 1 else band))
    return np.concatenate(parts)


def _deep_grey(image: Image.Image, name: str, largest: int, inverted: bool) -> Float:
    """Returns grey of more than 8 bits as (H, W) in [0, 1]."""
    grey = np.asarray(image)
    if image.mode == "F":
        if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
            raise InputError(
                f"{name}: floating-point values outside [0, 1]; save it as 8 or 16 bit"
            )
        made = grey.astype(np.float32)
    elif grey.min() < 0 or grey.max() > largest:
        raise InputError(
            f"{name}: grey values outside 0..{largest}; save it as unsigned, 8 or 16 bit"
        )
    else:
        made = (grey / largest).astype(np.float32)
    return 1 - made if inverted else made
