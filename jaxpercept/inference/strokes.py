"""Sets the size of strokes relative to the picture.

A style net paints strokes of a fixed number of pixels, so on a large photo they are too fine to
see. Here the two halves of the paper (Johnson et al. 2016, sections 4.1 and 4.2) work together: the
style net sees a reduced photo, and a super-resolution net enlarges its output.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.errors import InputError, Name
from jaxpercept.inference import tiles, upscaling
from jaxpercept.inference.model import Model

SEEN = 800  # the longer side that a style net sees under `auto`, in pixels
ALONE = 1.6  # photos up to this factor larger are not reduced
MOST = 5.0  # the largest factor under `auto`: four by the net, the rest by Lanczos
_ENLARGER, _SCALE = "x4-pixel", 4


def check(stroke: float | None, given: str | None = None) -> None:
    """Raises InputError unless `stroke` is None or from 1 to 32; the message quotes `given`."""
    if stroke is not None and not 1 <= stroke <= 32:
        raise InputError(
            Name("stroke"),
            f" {stroke if given is None else given} is not allowed; give auto, or a factor from 1 "
            "(strokes as the net paints them) to 32",
        )


def seen_size(stroke: float | None, height: int, width: int, least: int = 1) -> tuple[int, int]:
    """Returns the height and width at which the style net sees a photo of this size. `stroke` is
    the factor by which strokes are larger than the net paints them. None chooses it so that the
    longer side is about `SEEN`, and the shorter one not below `least` if the photo's is not."""
    longer = max(height, width)
    if stroke is None:
        stroke = longer / SEEN if longer > ALONE * SEEN else 1.0
        stroke = max(1.0, min(stroke, MOST, min(height, width) / least))
    return images.fit(height, width, max(1, round(longer / stroke)), "long")


def enlarged_size(seen: tuple[int, int]) -> tuple[int, int]:
    """Returns the height and width of the image that `to_size` makes before it reduces that."""
    return _SCALE * seen[0], _SCALE * seen[1]


def to_size(output: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Enlarges a style net's output (h, w, 3) to this size, by the shipped ×4 net and then by
    Lanczos to the exact size. Returns uint8, or the output itself if it has this size."""
    if output.shape[:2] == (height, width):
        return output
    pixels = images.to_uint8(output)
    if (net := enlarger()) is not None:
        pixels = tiles.run(net, pixels)
    return images.resize(pixels, (height, width))


@lru_cache(maxsize=1)
def enlarger() -> Model | None:
    """Returns the net that enlarges, or None if none is shipped."""
    known = upscaling.shipped(_SCALE)
    name = _ENLARGER if _ENLARGER in known else next(iter(known), None)
    return None if name is None else upscaling.load_upscaler(name)


def reduced(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Returns (H, W, 3) at the size that the net sees, or the same array if it has that size."""
    return pixels if pixels.shape[:2] == size else images.resize(pixels, size)


def wanted(text: str) -> float | None:
    """Parses the value of `--stroke`; None stands for `auto`. Raises InputError if it is not a
    number."""
    if text == "auto":
        return None
    try:
        stroke = float(text)
    except ValueError:
        stroke = np.nan
    check(stroke, text)
    return stroke
