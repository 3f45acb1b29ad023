"""Convolutions of stride 1. They are computed as `SAME` and a crop (`VALID` is up to 30 times
slower), or in Winograd's form where it pays. The weight gradient is matrix products over blocks
that fit in the cache.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxpercept.nets.conv import winograd
from jaxpercept.nets.conv.plain import DIMENSIONS, Image, Kernel, Output, Taps, padded, plain

_BLOCK = 2048  # pixels per block of the weight gradient
_SMALL = 1024  # up to so many pixels, XLA's own weight gradient is as fast


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolution(x: Image, kernel: Kernel, p: int, taps: Taps | None = None) -> Output:
    """Convolves with stride 1 and zero padding p on every side. `taps` are of `transformed`; the
    kernel's gradient does not flow to them."""
    if winograd.suits(x, kernel):
        return winograd.convolution(x, kernel, p, taps)
    q = max(p, kernel.shape[0] // 2, kernel.shape[1] // 2)
    h, w = (max(s + 2 * p - k + 1, 0) for s, k in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    return plain(x, kernel, q, q)[:, q - p : q - p + h, q - p : q - p + w]


_Saved = tuple[Image, Kernel, Taps | None]


def _convolution_forward(
    x: Image, kernel: Kernel, p: int, taps: Taps | None
) -> tuple[Output, _Saved]:
    return convolution(x, kernel, p, taps), (x, kernel, taps)


def _convolution_backward(p: int, saved: _Saved, d: Output) -> tuple[Image, Kernel, None]:
    x, kernel, taps = saved
    kh, kw = kernel.shape[:2]
    pads = ((kh - 1 - p, kh - 1 - p), (kw - 1 - p, kw - 1 - p))
    if winograd.suits(x, kernel):
        return (
            winograd.input_gradient(d, kernel, p, taps),
            winograd.weight_gradient(x, d, p),
            None,
        )
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    dx = lax.conv_general_dilated(d, flipped, (1, 1), pads, dimension_numbers=DIMENSIONS)
    if d.shape[1] * d.shape[2] <= _SMALL:
        return dx, jax.vjp(lambda k: plain(x, k, p, p), kernel)[1](d)[0], None
    return dx, weight_gradient(padded(x, p, p), d, kh, kw).astype(kernel.dtype), None


convolution.defvjp(_convolution_forward, _convolution_backward)


def weight_gradient(x: Image, d: Output, kh: int, kw: int) -> Kernel:
    """Returns the weight gradient of a VALID convolution, summed in at least float32 over blocks of
    rows of one image."""
    n, h, w, o = d.shape
    width, c = x.shape[2:]
    count = -(-h // max(1, _BLOCK // width))
    rows = -(-h // count)
    x, d = (jnp.pad(a, ((0, 0), (0, count * rows - h), (0, 0), (0, 0))) for a in (x, d))
    wide = jnp.promote_types(d.dtype, jnp.float32)

    def add(total: Array, block: Array) -> tuple[Array, None]:
        start = (block // count, block % count * rows, 0, 0)
        part = lax.dynamic_slice(x, start, (1, rows + kh - 1, width, c))[0]
        return total + _block_gradient(
            part, lax.dynamic_slice(d, start, (1, rows, w, o))[0], kh, kw, wide
        ), None

    zeros = jnp.zeros_like(x, wide, shape=(kh, kw, c, o))
    return lax.scan(add, zeros, jnp.arange(n * count))[0]


def _block_gradient(x: Array, d: Array, kh: int, kw: int, wide: Any) -> Array:
    """Returns the sum over pixels p of x[p + tap] d[p]. d is zero in x's extra rows and columns, so
    that a tap is one shift of the whole flattened block. Column taps shift the narrower array,
    transposed, and row taps shift the other."""
    width, c, o = *x.shape[1:], d.shape[-1]
    size = x.shape[0] * width
    x, d = x.reshape(size, c), jnp.pad(d, ((0, kh - 1), (0, kw - 1), (0, 0))).reshape(size, o)
    if o <= c:
        flat = lax.optimization_barrier(jnp.pad(d, ((kw - 1, 0), (0, 0))).T)
        taps = [flat[:, kw - 1 - j : kw - 1 - j + size] for j in range(kw)]
        others = [jnp.pad(x[i * width :], ((0, i * width), (0, 0))) for i in range(kh)]
    else:
        flat = lax.optimization_barrier(jnp.pad(x, ((0, kw - 1), (0, 0))).T)
        taps = [flat[:, j : j + size] for j in range(kw)]
        others = [jnp.pad(d[: size - i * width], ((i * width, 0), (0, 0))) for i in range(kh)]
    narrow = lax.optimization_barrier(jnp.concatenate(taps))
    y = jnp.stack([jnp.matmul(narrow, other, preferred_element_type=wide) for other in others])
    y = y.reshape(kh, kw, min(c, o), max(c, o))
    return y.swapaxes(2, 3) if o <= c else y
