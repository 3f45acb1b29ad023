"""Resampling as MATLAB's `imresize` does it: antialiased, borders mirrored, as one weight matrix an axis.

Images (…, H, W, C) of any float type and range, uint8 rounded back to uint8; a result may leave the input's range (the
cubic overshoots): clip where a file would. NumPy for data and evaluation; `upsample` is the same function in JAX, for
inside a network. Pillow and `jax.image.resize` cut the same cubic off at the borders: up to 20/255 off there.
Sources: R. Keys, "Cubic convolution interpolation", 1981 (a = -0.5); MATLAB's documentation of `imresize`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import jax

METHODS = ("bicubic", "lanczos", "nearest")
DEGRADATIONS = ("bicubic", "blur")
SIGMA = 1.0  # of the blur before downsampling: Johnson et al. 2016, section 4.2
_BLUR_RADIUS = 4  # beyond 4 σ the Gaussian is below 1e-3 of a grey level


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _lanczos3(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0)


_KERNELS = {"bicubic": (_cubic, 4.0), "lanczos": (_lanczos3, 6.0), "nearest": (_box, 1.0)}


@lru_cache(maxsize=256)
def weights(size: int, new: int, method: str = "bicubic") -> NDArray[np.float32]:
    """The matrix (new, size) that resamples one axis; rows sum to 1. Shrinking widens the kernel (antialiasing), but
    for "nearest". Read-only. ValueError for another method or an empty size."""
    if method not in METHODS or size < 1 or new < 1:
        raise ValueError(f"resampling {size} to {new} by {method!r}; sizes of at least 1, methods {METHODS}")
    kernel, width = _KERNELS[method]
    ratio = new / size
    stretch = min(ratio, 1.0) if method != "nearest" else 1.0
    centres = (np.arange(new) + 0.5) / ratio - 0.5
    taps = int(np.ceil(width / stretch)) + 2
    at = np.floor(centres - width / stretch / 2)[:, None] + np.arange(taps)
    values = kernel(stretch * (centres[:, None] - at))
    values /= values.sum(1, keepdims=True)
    return _gather(at.astype(np.int64), values, size)


@lru_cache(maxsize=64)
def blur_weights(size: int, sigma: float = SIGMA) -> NDArray[np.float32]:
    """The matrix (size, size) of a Gaussian blur of one axis, mirrored at the borders."""
    steps = np.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    values = np.exp(-0.5 * (steps / sigma) ** 2)
    at = np.arange(size)[:, None] + steps
    return _gather(at, np.tile(values / values.sum(), (size, 1)), size)


def _gather(at: NDArray[np.int64], values: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Taps at (possibly outlying) positions to a dense matrix; outlying ones are mirrored, the border pixel twice."""
    at = at % (2 * size)
    at = np.where(at < size, at, 2 * size - 1 - at)
    matrix = np.zeros((len(at), size))
    np.add.at(matrix, (np.arange(len(at))[:, None], at), values)
    out = matrix.astype(np.float32)
    out.setflags(write=False)
    return out


def resize(x: NDArray[Any], size: tuple[int, int], method: str = "bicubic") -> NDArray[Any]:
    """(…, H, W, C) to (…, *size, C). uint8 in, uint8 out, rounded; else the input's float type."""
    h, w = x.shape[-3:-1]
    return _apply(x, weights(h, size[0], method), weights(w, size[1], method))


def upscale(x: NDArray[Any], factor: int, method: str = "bicubic") -> NDArray[Any]:
    """(…, H, W, C) to (…, factor·H, factor·W, C)."""
    return resize(x, (factor * x.shape[-3], factor * x.shape[-2]), method)


def degrade(x: NDArray[Any], factor: int, degradation: str = "bicubic") -> NDArray[Any]:
    """The low-resolution input that belongs to `x`: (…, H, W, C) to (…, H/factor, W/factor, C).

    "bicubic": plain, as in the literature's tables. "blur": after a Gaussian of σ = 1 (Johnson et al. 2016, section
    4.2). uint8 in, uint8 out, as from a file. ValueError when `factor` does not divide the size (see `modcrop`)."""
    h, w = x.shape[-3:-1]
    if degradation not in DEGRADATIONS or h % factor or w % factor:
        raise ValueError(f"{degradation!r} by {factor} of {h}x{w}; one of {DEGRADATIONS}, sides divisible by it")
    return _apply(x, *(_degradation_weights(side, factor, degradation) for side in (h, w)))


@lru_cache(maxsize=256)
def _degradation_weights(side: int, factor: int, degradation: str) -> NDArray[np.float32]:
    shrink = weights(side, side // factor)
    return shrink @ blur_weights(side) if degradation == "blur" else shrink


def modcrop(x: NDArray[Any], factor: int) -> NDArray[Any]:
    """(…, H, W, C) without the last rows and columns that `factor` does not divide."""
    h, w = x.shape[-3:-1]
    return x[..., : h - h % factor, : w - w % factor, :]


def _apply(x: NDArray[Any], rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[Any]:
    dtype = np.float64 if x.dtype == np.float64 else np.float32
    *lead, h, w, c = x.shape
    y = np.matmul(rows, x.astype(dtype, copy=False).reshape(*lead, h, w * c))
    y = np.matmul(columns, y.reshape(*lead, len(rows), w, c))
    return np.clip(y + 0.5, 0, 255).astype(np.uint8) if x.dtype == np.uint8 else y


def upsample(x: jax.Array, factor: int) -> jax.Array:
    """Bicubic `upscale` in JAX: (N, H, W, C) to (N, factor·H, factor·W, C), any floating type, differentiable.

    Every output phase has the same few taps all over the image, so each axis is a handful of shifted sums: linear in
    the pixels, where the matrices are not."""
    import jax.numpy as jnp
    from jax import lax

    interior = weights(8, 8 * factor)[4 * factor : 5 * factor]  # what the fourth pixel's `factor` phases read
    taps = [(int(i) - 4, interior[:, i]) for i in np.flatnonzero(np.abs(interior).max(0))]
    reach = max(abs(shift) for shift, _ in taps)
    for axis in (1, 2):
        pads, column = [(0, 0)] * 4, [1] * 5
        pads[axis], column[axis + 1] = (reach, reach), factor
        padded, n = jnp.pad(x, pads, mode="symmetric"), x.shape[axis]
        total = jnp.zeros((), x.dtype).reshape([1] * 5)
        for shift, tap in taps:
            part = lax.slice_in_dim(padded, reach + shift, reach + shift + n, axis=axis)
            total = total + jnp.expand_dims(part, axis + 1) * jnp.asarray(tap, x.dtype).reshape(column)
        x = total.reshape(*x.shape[:axis], n * factor, *x.shape[axis + 1 :])
    return x
