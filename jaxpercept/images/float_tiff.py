"""Opens the TIFFs that Pillow does not open (floating point) or reads wrongly (some planes)."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import ExifTags, Image

from jaxpercept.errors import InputError
from jaxpercept.images.scaling import check_pixels, to_uint8

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CUT = "cut"  # the key in an image's `info` of what was cut to 8 bits
_KEPT = (270, 271, 272, 274, 305, 306, 315, 33432)  # texts and the orientation, by their tags


def opened(source: str | os.PathLike[str] | bytes, name: str, max_pixels: int) -> Image.Image:
    """Opens the first page as an 8-bit Pillow image, or as "F" for floating-point grey. Raises
    `Image.UnidentifiedImageError` if the file is no TIFF, and `InputError` for another kind of
    TIFF, values outside [0, 1] or too many pixels."""
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
        floats = page.dtype is not None and page.dtype.kind == "f"
        known = floats or page.dtype in (np.uint8, np.uint16)
        usual = page.photometric in (1, 2) and (sizes.get("S") == 3 or page.extrasamples == (2,))
        usual = known and usual and sorted(page.axes) == ["S", "X", "Y"]
        grey = floats and page.photometric == 1 and page.axes == "YX"
        about = (page.dtype, page.photometric, page.compression)
        kind = ", ".join(str(getattr(value, "name", value)).lower() for value in about)
        unknown = InputError(
            f"{name}: a TIFF of this kind ({kind}) cannot be read; save it as 8-bit RGB or RGBA"
        )
        if not (usual or grey):
            raise unknown
        check_pixels(name, sizes["Y"], sizes["X"], max_pixels)
        try:
            stored = page.asarray()
        except ValueError as error:  # its compression
            raise unknown from error
        if not grey:
            stored = np.moveaxis(stored, page.axes.index("S"), -1)
        rgb = stored.astype(np.float32) / (1 if floats else np.iinfo(stored.dtype).max)
        profile = page.iccprofile
        tags = {code: page.tags[code].value for code in _KEPT if code in page.tags}
    if not (np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1):
        raise InputError(f"{name}: floating-point values outside [0, 1]; save it as 8 or 16 bit")
    image = Image.fromarray(rgb if grey else to_uint8(rgb))
    if not grey and stored.dtype != np.uint8:
        image.info[CUT] = "floating-point colour is" if floats else "16 bits per colour are"
    exif = image.getexif()  # which the image keeps
    for code, value in tags.items():
        exif[code] = int(value) if code == ExifTags.Base.Orientation else value
    if profile:
        image.info["icc_profile"] = profile
    return image
