"""What an image file holds, as one value: what `read` gives and `encode` takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.images.scaling import Float, to_float


@dataclass(frozen=True)
class About:
    """What a file says of its picture, for the next file: Exif entries by their tag (of the main
    directory, of `exif` and of `gps`), dots per inch, a comment, and PNG's named texts."""

    main: dict[int, Any] = field(default_factory=dict)
    exif: dict[int, Any] = field(default_factory=dict)
    gps: dict[int, Any] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """An upright picture in sRGB.

    pixels: (H, W, 3), float32 in [0, 1], or uint8 where it was asked for. Under full transparency
    they hold the colours of the nearest opaque pixels, so that a net sees no edge there.
    alpha: opacity (H, W) of the same type, or None for an opaque picture.
    grey: the file has one channel of colour. A picture that is still grey is written so.
    bits: 16 where the file has 16-bit (or floating-point) grey, which PNG and TIFF keep; else 8.
    about: what is carried over to the written file: Exif, GPS, copyright, date, resolution.
    notes: what was left out of the file in reading, a line each, to be said once."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    grey: bool = False
    bits: int = 8
    about: About = About()
    notes: tuple[str, ...] = ()

    def replaced(self, pixels: Any, alpha: Any = None) -> Picture:
        """Another picture's pixels (and alpha), of any size, with what this file says of itself."""
        return replace(self, pixels=pixels, alpha=alpha)

    def over_white(self) -> Float:
        """(H, W, 3) float32 in [0, 1], without transparency."""
        rgb = to_float(self.pixels) if self.pixels.dtype == np.uint8 else self.pixels
        if self.alpha is None:
            return rgb
        alpha = to_float(self.alpha) if self.alpha.dtype == np.uint8 else self.alpha
        return over_white(rgb, alpha)


def over_white(rgb: Float, alpha: Float) -> Float:
    """(H, W, 3) with (H, W) opacity, on white."""
    return rgb * alpha[..., None] + (1 - alpha[..., None])
