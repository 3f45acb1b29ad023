"""A 3×3 convolution with half the multiplications (Lavin, Gray 2015, arXiv 1509.09308), for layers of many channels."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxpercept.conv.plain import DIMENSIONS, Image, Kernel, Output

_DEEP = 32 * 32  # input times output channels from which on Winograd's form pays
_LARGE = 32 * 32  # pixels from which on; below, it takes longer to compile than to compute
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
    pays = i * o >= _DEEP and x.shape[1] * x.shape[2] >= _LARGE
    return suited and pays and kernel.shape[:2] == (3, 3) and min(x.shape[1:3]) >= 3


def winograd(x: Image, kernel: Kernel, p: int) -> Output:
    """A 3×3 convolution of stride 1 and zero padding p with half the multiplications: along each column, four pixels at
    a time come of six products instead of twelve (Lavin, Gray 2015, arXiv 1509.09308, F(4, 3) in one direction)."""
    n, h, w, c = x.shape
    tiles = -(-(h + 2 * p - 2) // 4)
    width = w + 2 * p
    x = jnp.pad(x, ((0, 0), (p, 4 * (tiles + 1) - h - p), (p, p), (0, 0))).reshape(n, tiles + 1, 4, width, c)
    rows = [x[:, :-1, i] for i in range(4)] + [x[:, 1:, i] for i in range(2)]
    taps = jnp.einsum("ai,ijco->ajco", _KERNEL.astype(kernel.dtype), kernel, precision="highest")
    products = [_along_rows(_sum(factors, rows), tap) for factors, tap in zip(_INPUT, taps, strict=True)]
    y = jnp.stack([_sum(factors, products) for factors in _RESULT], 2)
    return y.reshape(n, 4 * tiles, width - 2, -1)[:, : h + 2 * p - 2]


def _along_rows(x: Image, taps: Array) -> Output:
    """VALID, of three taps (3, I, O) along each row. All rows lie end to end as one, which XLA:CPU does up to twice as
    fast as many, and what mixes two rows is dropped."""
    n, h, w, c = x.shape
    line = x.reshape(n, 1, h * w, c)
    y = lax.conv_general_dilated(line, taps[None], (1, 1), ((0, 0), (1, 1)), dimension_numbers=DIMENSIONS)
    return y.reshape(n, h, w, -1)[:, :, 1:-1]


def _sum(factors: np.ndarray, parts: list[Array]) -> Array:
    terms = [part if f == 1 else jnp.asarray(f, part.dtype) * part for f, part in zip(factors, parts, strict=True) if f]
    return reduce(jnp.add, terms)
