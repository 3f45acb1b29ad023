"""What every form of a convolution uses: the types, XLA's own convolution, and zero padding."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

Image = Float[Array, "n h w c"]
Output = Float[Array, "n h2 w2 c2"]  # for functions that change the size or the channels
Kernel = Float[Array, "kh kw i o"]
Taps = tuple[Float[Array, "4 i o"], ...]  # a kernel as `winograd.transformed` returns it
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def plain(
    x: Image,
    kernel: Kernel,
    before: int,
    after: int,
    stride: tuple[int, int] = (1, 1),
    **options: Any,
) -> Output:
    """Runs XLA's convolution with zero padding `before` and `after` on both axes and further
    `options`."""
    pads = ((before, after), (before, after))
    return lax.conv_general_dilated(
        x, kernel, stride, pads, dimension_numbers=DIMENSIONS, **options
    )


def padded(x: Image, before: int, after: int) -> Output:
    """Pads with zeros before and after on both axes."""
    return jnp.pad(x, ((0, 0), (before, after), (before, after), (0, 0))) if before or after else x
