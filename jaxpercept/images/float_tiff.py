"""Opens TIFFs of floating-point colour, which Pillow does not open."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image

from jaxpercept.errors import InputError
from jaxpercept.images.scaling import to_uint8

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CUT = "floating-point colour"  # marks such an image in its `info`


def opened(source: str | os.PathLike[str] | bytes, name: str, max_pixels: int) -> Image.Image:
    """Opens the first page as an 8-bit RGB Pillow image. Raises `Image.UnidentifiedImageError` if
    the file is not a floating-point TIFF, and `InputError` for values outside [0, 1] or too many
    pixels."""
    if isinstance(source, bytes):
        start = source[:4]
    else:
        with open(source, "rb") as file:
            start = file.read(4)
    if start not in _MAGIC:
        raise Image.UnidentifiedImageError(name)
    import tifffile  # slow to import, and few files need it

    given = io.BytesIO(source) if isinstance(source, bytes) else os.fspath(source)
    try:
        tiff = tifffile.TiffFile(given)
        page = tiff.pages.first
    except Exception as error:  # a damaged directory can raise anything
        raise Image.UnidentifiedImageError(name) from error
    with tiff:
        if page.dtype is None or page.dtype.kind != "f" or page.axes != "YXS" or page.shape[2] != 3:
            raise Image.UnidentifiedImageError(name)
        if (count := page.shape[0] * page.shape[1]) > max_pixels:
            raise InputError(
                f"{name}: {page.shape[1]}x{page.shape[0]} is {count:,} pixels, more than the limit"
                f" of {max_pixels:,}; shrink it or raise --max-pixels"
            )
        rgb = page.asarray().astype(np.float32)
        profile = page.iccprofile
    if not (np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1):
        raise InputError(f"{name}: floating-point values outside [0, 1]; save it as 8 or 16 bit")
    image = Image.fromarray(to_uint8(rgb))
    image.info[CUT] = True
    if profile:
        image.info["icc_profile"] = profile
    return image
