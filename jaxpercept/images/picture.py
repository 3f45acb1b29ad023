"""The contents of an image file as one value, which `read` returns and `encode` takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from jaxpercept.images.scaling import Float, resize, to_float


@dataclass(frozen=True)
class About:
    """A file's metadata for the next file: Exif entries by their tag (of the main directory, of
    `exif` and of `gps`), dots per inch, a comment, and PNG's named texts."""

    main: dict[int, Any] = field(default_factory=dict)
    exif: dict[int, Any] = field(default_factory=dict)
    gps: dict[int, Any] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """An upright picture in sRGB.

    pixels: (H, W, 3), float32 in [0, 1], or uint8 on request. Where the picture is fully
    transparent, they hold the colours of the nearest opaque pixels, so that a net sees no edge
    there.
    alpha: opacity (H, W) of the same type, or None for an opaque picture.
    grey: whether the file has one colour channel. A picture that is still grey is written as grey.
    bits: 16 if the file has 16-bit (or floating-point) grey, which PNG and TIFF keep; else 8.
    lossless: whether the file is a WebP that stores its pixels without loss. Such a picture is
    written to WebP without loss, unless a quality is given.
    about: the metadata for the written file: Exif, GPS, copyright, date, resolution.
    notes: what reading left out of the file, one line each, to be printed once."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    grey: bool = False
    bits: int = 8
    lossless: bool = False
    about: About = About()
    notes: tuple[str, ...] = ()

    def replaced(self, pixels: Any, alpha: Any = None) -> Picture:
        """Returns another picture's pixels (and alpha), of any size, with this file's metadata."""
        return replace(self, pixels=pixels, alpha=alpha)

    def resized(self, height: int, width: int) -> Picture:
        """Returns the picture at this size."""
        alpha = None if self.alpha is None else resize(self.alpha, (height, width))
        return self.replaced(resize(self.pixels, (height, width)), alpha)

    def over_white(self) -> Float:
        """Returns the picture without transparency, (H, W, 3) float32 in [0, 1]."""
        rgb = to_float(self.pixels)
        if self.alpha is None:
            return rgb
        alpha = to_float(self.alpha)
        return over_white(rgb, alpha)


def over_white(rgb: Float, alpha: Float) -> Float:
    """Composites (H, W, 3) with opacity (H, W) over white."""
    return rgb * alpha[..., None] + (1 - alpha[..., None])
