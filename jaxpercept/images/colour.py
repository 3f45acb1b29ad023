"""Converts colours from a file's profile to sRGB, and makes the profile of written files.

The rendering intent is perceptual, the default of Pillow's `ImageCms.profileToProfile`. For CMYK
the intents differ by several levels.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from jaxpercept.images.scaling import Float


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Returns the sRGB profile that written files are tagged with; its bytes are the same at every
    call."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes.fromhex("07d000010001000000000000")  # a fixed date, 1 January 2000
    return bytes(profile)


class UnusableProfile(ValueError):
    """The profile is broken or belongs to another kind of picture."""


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform from `mode` ("L", "RGB", "RGBA" or "CMYK") to sRGB, or None if it would
    change nothing."""
    out = "RGBA" if mode == "RGBA" else "RGB"
    try:
        made = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
            mode,
            out,
            ImageCms.Intent.PERCEPTUAL,
            # Optimised transforms of grey are off by up to 10 levels where the curve is steep.
            ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise UnusableProfile(" ".join(str(error).split())) from error
    if mode == "CMYK":
        return made
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3)
    patch = Image.fromarray(cube if mode != "L" else cube[..., 0]).convert(mode)
    moved = np.asarray(made.apply(patch).convert("RGB"), np.int16)
    return None if np.abs(moved - np.asarray(patch.convert("RGB"))).max() <= 1 else made


def is_srgb(profile: bytes | None, mode: str) -> bool:
    """Returns whether `mode` under this profile is sRGB, which it also is without a profile."""
    try:
        return not profile or _transform(profile, mode) is None
    except UnusableProfile:
        return False


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts `image` of any 8-bit mode to RGB in sRGB, or to RGBA if it has transparency. Raises
    `UnusableProfile`."""
    if image.has_transparency_data:
        if profile and image.mode in ("L", "LA") and _is_grey(profile):
            grey, alpha = image.convert("LA").split()
            made = to_srgb(grey, profile)
            made.putalpha(alpha)
            return made
        image = image if image.mode == "RGBA" else image.convert("RGBA")
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None and image.mode == "L":
        return image.point(_curve(transform).round().tolist()).convert("RGB")
    if transform is not None:
        return transform.apply(image)
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGB")


def _is_grey(profile: bytes) -> bool:
    return profile[16:20] == b"GRAY"  # the colour space in the header, ICC.1:2022, 7.2


def grey_to_srgb(grey: Float, profile: bytes | None) -> Float:
    """Maps (H, W) in [0, 1] through the curve of a grey profile, interpolating between its 256
    steps. Raises `UnusableProfile`."""
    transform = _transform(profile, "L") if profile else None
    if transform is None:
        return grey
    curve = _curve(transform) / 255
    return np.interp(grey, np.linspace(0, 1, 256), curve).astype(np.float32)


def _curve(transform: ImageCms.ImageCmsTransform) -> Float:
    """Returns what a transform of grey makes of the levels 0 to 255. Its channels may differ by
    rounding, and their mean keeps grey grey."""
    steps = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    return np.asarray(transform.apply(steps), np.float32)[0].mean(-1)
