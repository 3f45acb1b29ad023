"""Computes mirrored borders and 2×2 maxima, with gradients that are fast on XLA:CPU."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpercept.nets.conv.plain import Image, Output


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def bordered(x: Image, p: int, mode: str) -> Output:
    """Adds a "reflect" or "symmetric" border of p, which is less than the image's sides."""
    rows, columns = (np.pad(np.arange(s), p, mode=mode) for s in x.shape[1:3])  # type: ignore[call-overload]
    return jnp.take(jnp.take(x, rows, 1, mode="clip"), columns, 2, mode="clip")


def _bordered_backward(p: int, mode: str, _: None, d: Image) -> tuple[Output]:
    skipped = 1 if mode == "reflect" else 0
    for axis in (1, 2):
        size = d.shape[axis] - 2 * p
        inner = lax.slice_in_dim(d, p, p + size, axis=axis)
        for border, at in ((0, skipped), (p + size, size - p - skipped)):
            strip = lax.rev(lax.slice_in_dim(d, border, border + p, axis=axis), (axis,))
            strip += lax.slice_in_dim(inner, at, at + p, axis=axis)
            inner = lax.dynamic_update_slice_in_dim(inner, strip, at, axis)
        d = inner
    return (d,)


bordered.defvjp(lambda x, p, mode: (bordered(x, p, mode), None), _bordered_backward)


@jax.custom_vjp
def max_pool(x: Image) -> Output:
    """Returns 2×2 maxima, (N, 2H, 2W, C) to (N, H, W, C)."""
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def _max_pool_backward(x: Image, d: Output) -> tuple[Image]:
    n, h, w, c = d.shape
    (a, b), (e, f) = ([x[:, i::2, j::2] for j in (0, 1)] for i in (0, 1))
    top = jnp.maximum(a, b) >= jnp.maximum(e, f)
    first = jnp.where(top, jnp.where(a >= b, 0, 1), jnp.where(e >= f, 2, 3))
    # One comparison per pixel of the grid: XLA:CPU writes four parts side by side several times
    # slower.
    places = np.arange(4).reshape(1, 1, 2, 1, 2, 1)
    grid = jnp.where(
        first[:, :, None, :, None] == places, d[:, :, None, :, None], jnp.zeros((), d.dtype)
    )
    return (grid.reshape(n, 2 * h, 2 * w, c),)


max_pool.defvjp(lambda x: (max_pool(x), x), _max_pool_backward)
