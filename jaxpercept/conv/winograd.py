"""A 3×3 convolution with half the multiplications (Lavin, Gray 2015, arXiv 1509.09308), for layers of many channels."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxpercept.conv.plain import DIMENSIONS, Image, Kernel, Output

_DEEP = 128 * 256  # input times output channels from which on Winograd's form pays
# Winograd's F(4, 3) at the points 0, 1, -1, 1/2, -2 and infinity, of those measured the ones that round least: 3 times
# what a plain convolution does. Rows are scaled by powers of two, to be of like size.
_KERNEL = np.array([[2, 0, 0], [2 / 3, 2 / 3, 2 / 3], [-2 / 3, 2 / 3, -2 / 3], [-32 / 15, -16 / 15, -8 / 15],
                    [2 / 15, -4 / 15, 8 / 15], [0, 0, 2]])  # fmt: skip
_INPUT = np.array([[2, -3, -4, 3, 2, 0], [0, -2, 1, 5, 2, 0], [0, 2, -5, 1, 2, 0], [0, -4, -2, 4, 2, 0],
                   [0, 1, -2, -1, 2, 0], [0, 2, -3, -4, 3, 2]]) / 4  # fmt: skip
_RESULT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 1 / 2, -2, 0], [0, 1, 1, 1 / 4, 4, 0], [0, 1, -1, 1 / 8, -8, 1]])


def suits(x: Image, kernel: Kernel) -> bool:
    """Whether this form computes that convolution, and pays."""
    i, o = kernel.shape[2:]
    # bfloat16 has no digits to spare; and with 4 to 5 channels XLA:CPU (jax 0.10.2) compiles the fused sums wrongly
    suited = x.dtype != jnp.bfloat16 and i % 16 == 0 and o % 16 == 0
    return suited and i * o >= _DEEP and kernel.shape[:2] == (3, 3) and min(x.shape[1:3]) >= 3


def winograd(x: Image, kernel: Kernel, p: int) -> Output:
    """A 3×3 convolution of stride 1 and zero padding p with half the multiplications: along each row, four pixels at a
    time come of six products instead of twelve (Lavin, Gray 2015, arXiv 1509.09308, F(4, 3) in one direction)."""
    n, h, w, c = x.shape
    tiles = -(-(w + 2 * p - 2) // 4)
    x = jnp.pad(x, ((0, 0), (0, 0), (p, 4 * (tiles + 1) - w - p), (0, 0))).reshape(n, h, tiles + 1, 4, c)
    columns = [x[:, :, :-1, j] for j in range(4)] + [x[:, :, 1:, j] for j in range(2)]
    taps = jnp.einsum("aj,ijco->aico", _KERNEL.astype(kernel.dtype), kernel, precision="highest")
    pads = ((p, p), (0, 0))
    products = [
        lax.conv_general_dilated(_sum(row, columns), tap[:, None], (1, 1), pads, dimension_numbers=DIMENSIONS)
        for row, tap in zip(_INPUT, taps, strict=True)
    ]
    y = jnp.stack([_sum(row, products) for row in _RESULT], 3)
    return y.reshape(n, h + 2 * p - 2, 4 * tiles, -1)[:, :, : w + 2 * p - 2]


def _sum(factors: np.ndarray, parts: list[Array]) -> Array:
    terms = [part if f == 1 else jnp.asarray(f, part.dtype) * part for f, part in zip(factors, parts, strict=True) if f]
    return reduce(jnp.add, terms)
