"""Encodes arrays to image files, for all commands. Written pictures are tagged as sRGB."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxpercept import files
from jaxpercept.config import QUALITY
from jaxpercept.errors import InputError, Name
from jaxpercept.images import metadata
from jaxpercept.images.formats import (
    AVIF,
    BMP,
    JPEG,
    LONGEST_SIDE,
    PNG,
    TIFF,
    WEBP,
    WRITTEN,
    check_writable_name,
)
from jaxpercept.images.picture import Picture, over_white
from jaxpercept.images.scaling import to_float, to_uint8


def encode(
    picture: Picture, suffix: str, *, quality: int | None = None, strip: bool = False
) -> bytes:
    """Encodes a picture to the bytes of an image file in the format of `suffix` (".jpg").

    quality: 1 to 100, for JPEG, WebP and AVIF (default: 95, and without loss for a WebP file made
    from a lossless one).
    strip: writes nothing but the pixels, without the input file's metadata and without the sRGB
    tag, which changes no colour.
    Floats are rounded to nearest. Transparency is kept if the format allows it, else the picture is
    laid over white. A grey picture stays grey while its channels are equal, and keeps 16 bits in
    PNG and TIFF. Raises `InputError` for a picture that the format cannot hold."""
    x = _checked(picture.pixels)
    check_quality(quality)
    kind = WRITTEN[check_writable_name(f"x{suffix}").suffix.lower()]
    if max(x.shape[:2]) > (most := LONGEST_SIDE.get(kind, 2**31)):
        raise InputError(
            f"{x.shape[1]}x{x.shape[0]} is too large for {kind}, which holds {most:,} pixels per "
            "side;"
            " write it as .png"
        )
    alpha = picture.alpha
    if alpha is not None and kind in (JPEG, BMP):
        x = over_white(to_float(x), to_float(np.asarray(alpha)))
        alpha = None
    try:
        image = _image(picture, x, alpha, kind)
        options: dict[str, Any] = {}
        if not strip:
            grey = image.mode not in ("RGB", "RGBA")
            options = metadata.options(picture.about, kind, image.size, grey=grey)
        if kind == WEBP and picture.lossless and quality is None:
            options["lossless"] = True
        elif kind in (JPEG, WEBP, AVIF):
            options["quality"] = QUALITY if quality is None else quality
        if kind in (JPEG, AVIF):
            options["subsampling"] = "4:4:4"
        out = io.BytesIO()
        image.save(out, kind, **options)
    except MemoryError as error:
        raise InputError(f"{x.shape[1]}x{x.shape[0]} is too large for memory") from error
    except (OSError, ValueError, SystemError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{x.shape[1]}x{x.shape[0]} cannot be written as {kind} ({reason}); write it as .png"
        ) from error
    return out.getvalue()


def check_quality(quality: int | None) -> None:
    """Raises InputError unless `quality` is None or 1 to 100."""
    if quality is not None and not 1 <= quality <= 100:
        raise InputError(Name("quality"), f" {quality} is not allowed; give 1 to 100")


def save(
    path: str | os.PathLike[str],
    picture: Picture,
    *,
    suffix: str | None = None,
    quality: int | None = None,
    strip: bool = False,
) -> Path:
    """Encodes `picture` as `encode` does, in the format of `suffix` (by default the path's own).
    Writes it whole or not at all, as `files.write` does. The `InputError` names the path."""
    path = Path(path) if suffix else check_writable_name(path)
    try:
        data = encode(picture, suffix or path.suffix, quality=quality, strip=strip)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return files.write(path, data)


def save_image(
    path: str | os.PathLike[str], x: Any, *, alpha: Any = None, quality: int = QUALITY
) -> Path:
    """Writes (H, W, 3) in [0, 1] (or uint8) in the format of the suffix, whole or not at all,
    making folders as needed.

    Values are rounded to nearest. `quality` is for JPEG, WebP and AVIF. `alpha` (H, W) is kept if
    the format allows it, else the image is laid over white. Raises `InputError` for an unknown
    suffix or a path that cannot be written."""
    alpha = None if alpha is None else np.asarray(alpha)
    return save(path, Picture(np.asarray(x), alpha), quality=quality)


def _checked(x: NDArray[Any]) -> NDArray[Any]:
    if x.ndim != 3 or x.shape[-1] != 3 or 0 in x.shape:
        raise ValueError(f"an image of shape {x.shape}, expected (H, W, 3)")
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"an image of {x.dtype}, expected uint8, or floats in [0, 1]")
    if not np.isfinite(x).all():
        raise ValueError("the image has values that are not finite")
    return x


def _image(picture: Picture, x: NDArray[Any], alpha: NDArray[Any] | None, kind: str) -> Image.Image:
    grey = picture.grey and _is_neutral(x)
    deep = picture.bits == 16 and x.dtype != np.uint8 and alpha is None  # as Pillow can hold it
    if grey and deep and kind in (PNG, TIFF):
        levels = np.clip(x[..., 0], 0, 1) * np.float32(65535) + np.float32(0.5)
        return Image.fromarray(levels.astype(np.uint16))
    image = Image.fromarray(to_uint8(x[..., 0] if grey else x))
    if alpha is not None:
        image.putalpha(Image.fromarray(to_uint8(np.asarray(alpha))))
    return image


def _is_neutral(x: NDArray[Any]) -> bool:
    first = x[..., :1]
    return bool((x == first).all() if x.dtype == np.uint8 else (abs(x - first) < 1e-3).all())
