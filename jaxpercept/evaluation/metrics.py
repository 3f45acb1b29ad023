"""Image quality: PSNR, SSIM, and the luma that super-resolution is measured on. NumPy only.

`psnr` and `ssim` take two arrays of one shape, (H, W) or (H, W, C), in any range that `data_range`
names: 1 for images in [0, 1], 255 for luma and for uint8. Sources: ITU-R BT.601 studio range, as in
MATLAB's `rgb2ycbcr`; Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error
visibility to structural similarity", 2004.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Y = np.array([65.481, 128.553, 24.966])
_WINDOW, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03  # Wang et al. 2004, section III.C


def luma(x: ArrayLike) -> NDArray[np.float64]:
    """Returns Y of RGB in [0, 1]: (…, 3) to (…), 16 for black and 235 for white, not rounded."""
    rgb = np.asarray(x, np.float64)
    if rgb.shape[-1:] != (3,):
        raise ValueError(f"luma: expected RGB (…, 3), got {rgb.shape}")
    return rgb @ _Y + 16


def crop_border(x: NDArray[Any], border: int) -> NDArray[Any]:
    """Returns (H, W, …) without `border` pixels on every side."""
    if border < 0 or min(x.shape[:2]) <= 2 * border:
        raise ValueError(f"border {border} leaves nothing of {x.shape[1]}x{x.shape[0]}")
    return x[border : x.shape[0] - border, border : x.shape[1] - border]


def psnr(a: ArrayLike, b: ArrayLike, *, data_range: float = 1.0) -> float:
    """Returns 10 log10(range² / mean squared difference) in dB, infinite for equal images."""
    a, b = _pair("psnr", a, b, data_range)
    error = float(np.square(a - b).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(data_range**2 / error))


def ssim(a: ArrayLike, b: ArrayLike, *, data_range: float = 1.0) -> float:
    """Returns the mean structural similarity, with an 11×11 Gaussian of σ = 1.5, over the windows
    inside the image. For colour images it is the mean over channels. Sides have at least 11
    pixels."""
    a, b = _pair("ssim", a, b, data_range)
    if min(a.shape[:2]) < _WINDOW:
        raise ValueError(
            f"ssim: {a.shape[1]}x{a.shape[0]} is smaller than its {_WINDOW}x{_WINDOW} window"
        )
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns weighted means over the windows inside the image: (H, W, …) to (H - 10, W - 10,
    …)."""
    taps = np.exp(-0.5 * ((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        n = x.shape[axis] - _WINDOW + 1
        x = sum((t * np.take(x, range(i, i + n), axis) for i, t in enumerate(taps)), np.zeros(1))
    return x


def _pair(
    name: str, a: ArrayLike, b: ArrayLike, data_range: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if data_range == 1 and np.uint8 in (np.asarray(a).dtype, np.asarray(b).dtype):
        raise ValueError(
            f"{name}: expected floats in [0, 1], got uint8; divide both images by 255, or give "
            "data_range=255"
        )
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim not in (2, 3):
        raise ValueError(
            f"{name}: expected two images of one shape (H, W) or (H, W, C), got {a.shape} and "
            f"{b.shape}"
        )
    if a.size == 0:
        raise ValueError(f"{name}: expected images with pixels, got {a.shape}")
    return a, b
