"""Opens the TIFFs that Pillow does not open (floating-point colour) or reads wrongly (uncompressed
planes of 16 bits).
"""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import ExifTags, Image

from jaxpercept.errors import InputError
from jaxpercept.images.scaling import to_uint8

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CUT = "cut"  # the key in an image's `info` of what was cut to 8 bits
_KEPT = (270, 271, 272, 274, 305, 306, 315, 33432)  # texts and the orientation, by their tags


def opened(source: str | os.PathLike[str] | bytes, name: str, max_pixels: int) -> Image.Image:
    """Opens the first page as an 8-bit Pillow image. Raises `Image.UnidentifiedImageError` if
    the file is no TIFF of floating-point or 16-bit colour, and `InputError` for values outside
    [0, 1] or too many pixels."""
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
        sizes = dict(zip(page.axes, page.shape, strict=False))
        known = page.dtype is not None and (page.dtype.kind == "f" or page.dtype == np.uint16)
        usual = page.photometric in (1, 2) and (sizes.get("S") == 3 or page.extrasamples == (2,))
        if not known or sorted(page.axes) != ["S", "X", "Y"] or not usual:
            raise Image.UnidentifiedImageError(name)
        if (count := sizes["Y"] * sizes["X"]) > max_pixels:
            raise InputError(
                f"{name}: {sizes['X']}x{sizes['Y']} is {count:,} pixels, more than the limit"
                f" of {max_pixels:,}; shrink it or raise --max-pixels"
            )
        stored = np.moveaxis(page.asarray(), page.axes.index("S"), -1)
        deep = stored.dtype == np.uint16
        rgb = stored.astype(np.float32) / (65535 if deep else 1)
        profile = page.iccprofile
        tags = {code: page.tags[code].value for code in _KEPT if code in page.tags}
    if not (np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1):
        raise InputError(f"{name}: floating-point values outside [0, 1]; save it as 8 or 16 bit")
    image = Image.fromarray(to_uint8(rgb))
    image.info[CUT] = "16 bits per colour are" if deep else "floating-point colour is"
    exif = image.getexif()  # which the image keeps
    for code, value in tags.items():
        exif[code] = int(value) if code == ExifTags.Base.Orientation else value
    if profile:
        image.info["icc_profile"] = profile
    return image
