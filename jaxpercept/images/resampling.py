"""Resamples as MATLAB's `imresize` does: antialiased, with mirrored borders, one axis at a time.

Images are (…, H, W, C) of any float type and range; uint8 is rounded back to uint8. A result may
leave the input's range, because the cubic overshoots: clip it before writing a file. NumPy serves
data and evaluation; `upsample` is the same function in JAX, for use inside a network. Pillow and
`jax.image.resize` cut the same cubic off at the borders, where they differ by up to 20/255.
Sources: R. Keys, "Cubic convolution interpolation", 1981 (a = -0.5); MATLAB's documentation of
`imresize`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.config import DEGRADATIONS
from jaxpercept.images import damage

if TYPE_CHECKING:
    import jax

METHODS = ("bicubic", "lanczos", "nearest")
SIGMA = 1.0  # the blur before downsampling, Johnson et al. 2016, section 4.2
_BLUR_RADIUS = 4  # in σ; beyond it the Gaussian is below 1e-3 of a grey level


def _cubic(x: NDArray[Any]) -> NDArray[np.float64]:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _lanczos3(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _box(x: NDArray[Any]) -> NDArray[np.float64]:
    return np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0)


_KERNELS = {"bicubic": (_cubic, 4.0), "lanczos": (_lanczos3, 6.0), "nearest": (_box, 1.0)}


Taps = tuple[NDArray[np.int64], NDArray[np.float32]]


@lru_cache(maxsize=256)
def taps(size: int, new: int, method: str = "bicubic") -> Taps:
    """Returns how to resample one axis: the T positions that each of the `new` pixels reads, and
    their weights, both (new, T).

    Weights sum to 1. Borders are mirrored, with the border pixel twice. Shrinking widens the kernel
    (antialiasing), except for "nearest". Raises ValueError for another method or an empty size."""
    if method not in METHODS or size < 1 or new < 1:
        raise ValueError(
            f"resampling {size} to {new} by {method!r}; sizes of at least 1, methods {METHODS}"
        )
    kernel, width = _KERNELS[method]
    ratio = new / size
    stretch = min(ratio, 1.0) if method != "nearest" else 1.0
    centres = (np.arange(new) + 0.5) / ratio - 0.5
    count = int(np.ceil(width / stretch)) + 2
    at = np.floor(centres - width / stretch / 2)[:, None] + np.arange(count)
    values = kernel(stretch * (centres[:, None] - at))
    used = values.any(0)
    return _mirrored(at[:, used], values[:, used] / values.sum(1, keepdims=True), size)


@lru_cache(maxsize=64)
def blur_taps(size: int, sigma: float = SIGMA) -> Taps:
    """Returns the taps of a Gaussian blur that keeps the size."""
    radius = int(np.ceil(_BLUR_RADIUS * sigma))
    steps = np.arange(-radius, radius + 1)
    values = np.exp(-0.5 * (steps / sigma) ** 2)
    return _mirrored(
        np.arange(size)[:, None] + steps, np.tile(values / values.sum(), (size, 1)), size
    )


def _mirrored(at: NDArray[Any], values: NDArray[np.float64], size: int) -> Taps:
    at = at.astype(np.int64) % (2 * size)
    return np.where(at < size, at, 2 * size - 1 - at), values.astype(np.float32)


def weights(size: int, new: int) -> NDArray[np.float32]:
    """Returns `taps` of the bicubic filter as a matrix (new, size)."""
    at, values = taps(size, new, "bicubic")
    matrix = np.zeros((new, size), np.float32)
    np.add.at(matrix, (np.arange(new)[:, None], at), values)
    return matrix


def imresize(x: NDArray[Any], size: tuple[int, int], method: str = "bicubic") -> NDArray[Any]:
    """Resizes (…, H, W, C) to (…, *size, C). uint8 gives rounded uint8; other inputs keep their
    float type."""
    h, w = x.shape[-3:-1]
    return _as(x, _apply(x, taps(h, size[0], method), taps(w, size[1], method)))


def upscale(x: NDArray[Any], factor: int, method: str = "bicubic") -> NDArray[Any]:
    """Enlarges (…, H, W, C) to (…, factor·H, factor·W, C)."""
    return imresize(x, (factor * x.shape[-3], factor * x.shape[-2]), method)


def degrade(
    x: NDArray[Any],
    factor: int,
    degradation: str = "bicubic",
    rng: np.random.Generator | None = None,
) -> NDArray[Any]:
    """Returns the low-resolution input for `x`: (…, H, W, C) to (…, H/factor, W/factor, C).

    "bicubic" only downsamples, as the literature's tables do. "blur" first applies a Gaussian of σ
    = 1 (Johnson et al. 2016, section 4.2). "jpeg" blurs, downsamples, adds noise and compresses, as
    `rng` decides, or with medium strength without one; see `damage`. uint8 gives uint8, as if read
    from a file; "jpeg" takes nothing else, with three channels. Raises ValueError if `factor` does
    not divide the size (see `modcrop`)."""
    h, w = x.shape[-3:-1]
    if degradation not in DEGRADATIONS or h % factor or w % factor:
        raise ValueError(
            f"{degradation!r} by {factor} of {h}x{w}; one of {DEGRADATIONS}, sides divisible by it"
        )
    jpeg = degradation == "jpeg"
    if jpeg and (x.dtype != np.uint8 or x.shape[-1] != 3):
        raise ValueError(f"'jpeg' of {x.dtype} {x.shape}; uint8 of three channels is expected")
    blur = SIGMA if degradation == "blur" else 0.0
    sigma = damage.blur_sigma(rng) if jpeg else blur
    y = _apply(x, blur_taps(h, sigma), blur_taps(w, sigma)) if sigma else x
    small = _as(x, _apply(y, taps(h, h // factor), taps(w, w // factor)))
    return damage.worsen(small, rng) if jpeg else small


def modcrop(x: NDArray[Any], factor: int) -> NDArray[Any]:
    """Crops (…, H, W, C) to rows and columns that `factor` divides."""
    h, w = x.shape[-3:-1]
    return x[..., : h - h % factor, : w - w % factor, :]


def _apply(x: NDArray[Any], rows: Taps, columns: Taps) -> NDArray[Any]:
    """Resamples both axes, each along the rows, which are contiguous in memory. It uses no matrix
    products, because BLAS threads inside a pipeline's threads cost far more than the products."""
    y = x.astype(np.float64 if x.dtype == np.float64 else np.float32)
    for at, values in (rows, columns):
        out = np.zeros((*y.shape[:-3], *at.shape[:1], *y.shape[-2:]), y.dtype)
        for i in range(at.shape[1]):
            out += y[..., at[:, i], :, :] * values[:, i, None, None].astype(y.dtype)
        y = np.ascontiguousarray(np.swapaxes(out, -3, -2))
    return y


def _as(like: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    return (
        np.clip(y + 0.5, 0, 255).astype(np.uint8)
        if like.dtype == np.uint8
        else y.astype(like.dtype)
    )


def upsample(x: jax.Array, factor: int) -> jax.Array:
    """Does what bicubic `upscale` does, in JAX: (N, H, W, C) to (N, factor·H, factor·W, C), in any
    floating type, differentiable.

    All pixels of one output phase have the same few taps, so each axis is a few shifted sums."""
    import jax.numpy as jnp
    from jax import lax

    interior = weights(8, 8 * factor)[
        4 * factor : 5 * factor
    ]  # the taps of the fourth pixel's `factor` phases
    phases = [(int(i) - 4, interior[:, i]) for i in np.flatnonzero(np.abs(interior).max(0))]
    reach = max(abs(shift) for shift, _ in phases)
    for axis in (1, 2):
        pads, column = [(0, 0)] * 4, [1] * 5
        pads[axis], column[axis + 1] = (reach, reach), factor
        padded, n = jnp.pad(x, pads, mode="symmetric"), x.shape[axis]
        total = jnp.zeros((), x.dtype).reshape([1] * 5)
        for shift, tap in phases:
            part = lax.slice_in_dim(padded, reach + shift, reach + shift + n, axis=axis)
            total = total + jnp.expand_dims(part, axis + 1) * jnp.asarray(tap, x.dtype).reshape(
                column
            )
        x = total.reshape(*x.shape[:axis], n * factor, *x.shape[axis + 1 :])
    return x
