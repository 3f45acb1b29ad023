"""Fills in the colours under transparent pixels, which a file leaves undefined (usually black)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bled(rgb: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Returns `rgb` (H, W, 3) with the colours of the nearest opaque pixels where `alpha` (H, W) is
    0. Without them a net would see a false edge there. The type stays the same.

    The method is push and pull: the opaque pixels are averaged over ever larger squares, and each
    transparent pixel takes the smallest square with an average (Gortler et al., The Lumigraph,
    1996, section 3.4)."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return rgb
    opaque = (~hidden).astype(np.float32)
    levels = [(rgb.astype(np.float32) * opaque[..., None], opaque)]
    while not levels[-1][1].all():
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    colours = levels[-1][0] / levels[-1][1][..., None]
    for total, weight in reversed(levels[:-1]):
        above = colours.repeat(2, 0).repeat(2, 1)[: weight.shape[0], : weight.shape[1]]
        own = np.where(weight > 0, weight, 1)[..., None]
        colours = np.where(weight[..., None] > 0, total / own, above)
    filled = np.rint(colours) if rgb.dtype == np.uint8 else colours
    return np.where(hidden[..., None], filled, rgb).astype(rgb.dtype)


def _halved(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the sums of 2×2 pixels; a last odd row or column is summed alone."""
    x = np.pad(x, [(0, x.shape[0] % 2), (0, x.shape[1] % 2)] + [(0, 0)] * (x.ndim - 2))
    return x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]
