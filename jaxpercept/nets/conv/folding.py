"""Folds pixels into channels, and kernels to match. Layers that have few channels, have stride 2 or
double the size become stride-1 convolutions of many channels.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxpercept.nets.conv.plain import Image, Kernel, Output
from jaxpercept.nets.conv.stride1 import convolution


def space_to_depth(x: Image, f: int) -> Output:
    """Moves f×f pixels into channels, (N, f H, f W, C) to (N, H, W, f² C)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // f, f, w // f, f, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // f, w // f, f * f * c)


def depth_to_space(x: Image, f: int) -> Output:
    """Moves channels into f×f pixels, (N, H, W, f² C) to (N, f H, f W, C), in the channel order
    (row, column, C)."""
    if f == 1:
        return x
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, f, f, c // f**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, f * h, f * w, c // f**2)


def phases(
    kernel: Kernel, taps: Callable[..., tuple[tuple[Array, Array], ...]]
) -> Float[Array, "2 2 i o4"]:
    """Turns a 3×3 kernel into a 2×2 one for all four output phases, (2, 2, I, 4 O). `taps` gives
    the two taps of each phase."""
    k: Array = kernel
    for axis in (0, 2):
        three = (lax.index_in_dim(k, i, axis, keepdims=False) for i in range(3))
        k = jnp.stack([jnp.stack(pair, axis) for pair in taps(*three)], axis)  # (phase, tap)
    return k.transpose(1, 3, 4, 0, 2, 5).reshape(2, 2, kernel.shape[2], -1)


def blocked9(x: Image, kernel: Kernel) -> Output:
    """Computes a VALID 9×9 convolution from or to a few channels as a 3×3 convolution of 4×4 blocks
    of pixels, with 16 times as many channels."""
    h, w = x.shape[1] - 8, x.shape[2] - 8
    x = jnp.pad(x, ((0, 0), (0, -h % 4), (0, -w % 4), (0, 0)))
    # Pixel a of input block I is tap 4 I + a - p of the output block's pixel p.
    k = jnp.pad(kernel, ((3, 3), (3, 3), (0, 0), (0, 0)))
    k = jnp.stack([k[3 - p : 15 - p] for p in range(4)])  # (4, 12, 15, i, o)
    k = jnp.stack([k[:, :, 3 - p : 15 - p] for p in range(4)], 2)  # (4, 12, 4, 12, i, o)
    i, o = kernel.shape[2:]
    k = (
        k.reshape(4, 3, 4, 4, 3, 4, i, o)
        .transpose(1, 4, 2, 5, 6, 0, 3, 7)
        .reshape(3, 3, 16 * i, 16 * o)
    )
    return depth_to_space(convolution(space_to_depth(x, 4), k, 0), 4)[:, :h, :w]


def strided3(x: Image, kernel: Kernel) -> Output:
    """Computes a VALID 3×3 convolution of stride 2 as a 2×2 convolution of 2×2 blocks of pixels.
    The fourth tap is zero."""
    i, o = kernel.shape[2:]
    h, w = ((s - 3) // 2 * 2 + 4 for s in x.shape[1:3])
    x = lax.pad(
        x,
        jnp.zeros((), x.dtype),
        ((0, 0, 0), (0, h - x.shape[1], 0), (0, w - x.shape[2], 0), (0, 0, 0)),
    )
    k = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(2, 2, 2, 2, i, o)
    return convolution(
        space_to_depth(x, 2), k.transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 4 * i, o), 0
    )
