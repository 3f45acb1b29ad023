"""A 3×3 convolution with half or a third of the multiplications (Lavin, Gray 2015, arXiv
1509.09308), for layers of many channels.
"""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxpercept.nets.conv.plain import DIMENSIONS, Image, Kernel, Output, Taps

_DEEP = 32 * 32  # the least product of channels (in × out) for which it pays
_LARGE = 32 * 32  # the least number of pixels of all images
_LONG = 2**23  # the least product of the two; below it, compiling takes longer than computing
_DEEPEST = 128 * 256  # the least product of channels for which two directions pay
_LONGEST = 2**42  # and the least product of its square and the pixels
# Winograd's F(4, 3) at the points 0, 1, -1, 1/2, -2 and infinity. They round least among the points
# measured, three times as much as a plain convolution. Powers of two scale the rows to similar
# sizes.
_KERNEL = np.array(
    [
        [2, 0, 0],
        [2 / 3, 2 / 3, 2 / 3],
        [-2 / 3, 2 / 3, -2 / 3],
        [-32 / 15, -16 / 15, -8 / 15],
        [2 / 15, -4 / 15, 8 / 15],
        [0, 0, 2],
    ]
)
_INPUT = (
    np.array(
        [
            [2, -3, -4, 3, 2, 0],
            [0, -2, 1, 5, 2, 0],
            [0, 2, -5, 1, 2, 0],
            [0, -4, -2, 4, 2, 0],
            [0, 1, -2, -1, 2, 0],
            [0, 2, -3, -4, 3, 2],
        ]
    )
    / 4
)
_RESULT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 1 / 2, -2, 0], [0, 1, 1, 1 / 4, 4, 0], [0, 1, -1, 1 / 8, -8, 1]]
)
TAPS = len(_KERNEL)
# F(2, 3) at 0, 1, -1 and infinity, for the second direction. Larger tiles there gain no time and
# round two to three times as much.
_KERNEL_ACROSS = np.array([[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]])
_INPUT_ACROSS = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_RESULT_ACROSS = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])


def suits(x: Image, kernel: Kernel) -> bool:
    """Returns whether this form can compute that convolution and pays."""
    pixels, channels = x.shape[0] * x.shape[1] * x.shape[2], kernel.shape[2] * kernel.shape[3]
    pays = channels >= _DEEP and pixels >= _LARGE and pixels * channels >= _LONG
    # Half precision has no digits to spare.
    suited = jnp.finfo(x.dtype).bits >= 32 and min(x.shape[1:3]) >= 3
    return suited and pays and _suits(kernel)


def _suits(kernel: Kernel) -> bool:
    # With 4 or 5 channels, XLA:CPU (jax 0.10.2) compiles the fused sums wrongly.
    return kernel.shape[:2] == (3, 3) and all(channels % 16 == 0 for channels in kernel.shape[2:])


def transformed(kernel: Kernel) -> Taps | None:
    """Returns the taps that `convolution` multiplies by, six arrays (4, I, O), or None if it would
    not use them. A layer whose kernel never changes need not transform it at every call."""
    deep = kernel.shape[2] * kernel.shape[3] >= _DEEPEST
    return _taps(kernel) if deep and _suits(kernel) else None


def convolution(x: Image, kernel: Kernel, p: int, taps: Taps | None = None) -> Output:
    """Computes a 3×3 convolution of stride 1 and zero padding p with half the multiplications.
    Along each column, four pixels at a time come from six products instead of twelve (Lavin, Gray
    2015, arXiv 1509.09308, F(4, 3) in one direction). Deep layers also take two pixels of a row at
    a time, F(4×2, 3×3), and need a third of the multiplications. They may be given their `taps`."""
    if _deepest(x, kernel):
        return _in_two_directions(x, kernel, p, taps)
    rows = _rows(x, p, p)
    columns = jnp.einsum("ai,ijco->ajco", _KERNEL.astype(kernel.dtype), kernel, precision="highest")
    products = [
        along_rows(_sum(factors, rows), tap) for factors, tap in zip(_INPUT, columns, strict=True)
    ]
    y = jnp.stack([_sum(factors, products) for factors in _RESULT], 2)
    n, tiles, _, width, o = y.shape
    return y.reshape(n, 4 * tiles, width, o)[:, : x.shape[1] + 2 * p - 2]


def input_gradient(d: Output, kernel: Kernel, p: int, taps: Taps | None = None) -> Image:
    """Returns the gradient of `convolution` by its input: the convolution of d with the kernel
    turned around, from O channels to I."""
    if _deepest(d, kernel):  # a large kernel is slow to transpose
        return _in_two_directions(d, kernel, 2 - p, taps, turned=True)
    return convolution(d, kernel[::-1, ::-1].swapaxes(2, 3), 2 - p)


def _deepest(x: Image, kernel: Kernel) -> bool:
    channels, pixels = kernel.shape[2] * kernel.shape[3], x.shape[0] * x.shape[1] * x.shape[2]
    return channels >= _DEEPEST and channels**2 * pixels >= _LONGEST


def _in_two_directions(
    x: Image, kernel: Kernel, p: int, taps: Taps | None, turned: bool = False
) -> Output:
    """Computes the convolution, or with `turned` that with the kernel turned around, from O
    channels to I. A tile read backwards sees a turned kernel, so both multiply by the same taps."""
    order = slice(None, None, -1 if turned else 1)
    of_input, of_input_across = _INPUT[:, order], _INPUT_ACROSS[:, order]
    of_result, of_result_across = _RESULT[order], _RESULT_ACROSS[order]
    n, h, w, c = x.shape
    height, width = h + 2 * p - 2, w + 2 * p - 2
    pairs = -(-width // 2)
    rows = _rows(x, p, 2 * (pairs + 1) - w - p)
    results = []
    for factors, tap in zip(of_input, _taps(kernel) if taps is None else taps, strict=True):
        row = _sum(factors, rows).reshape(n, -1, pairs + 1, 2, c)
        columns = [row[:, :, :-1, 0], row[:, :, :-1, 1], row[:, :, 1:, 0], row[:, :, 1:, 1]]
        products = multiplied(
            jnp.stack([_sum(across, columns) for across in of_input_across]).reshape(4, -1, c),
            tap,
            "bno,bco->bnc" if turned else "bnc,bco->bno",
        )
        parts = list(products.reshape(4, n, -1, pairs, products.shape[-1]))
        results.append(jnp.stack([_sum(across, parts) for across in of_result_across], 3))
    y = jnp.stack([_sum(factors, results) for factors in of_result], 2)
    return y.reshape(n, -1, 2 * pairs, y.shape[-1])[:, :height, :width]


def _taps(kernel: Kernel) -> Taps:
    kernel = lax.optimization_barrier(kernel)  # or compiling would transform a constant one, slowly
    # Sums, because XLA:CPU (jax 0.10.2) takes ten times as long for an einsum of large kernels.
    columns = [
        [_sum(factors, list(kernel[:, j])) for j in range(kernel.shape[1])] for factors in _KERNEL
    ]
    return tuple(jnp.stack([_sum(across, taps) for across in _KERNEL_ACROSS]) for taps in columns)


def weight_gradient(x: Image, d: Output, p: int) -> Kernel:
    """Returns the weight gradient of `convolution`, also with half the multiplications: six
    products over a quarter of the pixels."""
    rows = _rows(x, p, p)
    n, tiles, width, c = rows[0].shape
    o, size = d.shape[-1], n * tiles * width
    # The last two columns are zero, so that a column tap is one shift of all rows laid end to end.
    blank = jnp.pad(d, ((0, 0), (0, 4 * tiles - d.shape[1]), (0, width - d.shape[2]), (0, 0)))
    results = [blank.reshape(n, tiles, 4, width, o)[:, :, i] for i in range(4)]
    products = []
    for of_input, of_result in zip(_INPUT, _RESULT.T, strict=True):
        line, result = (
            _sum(of_input, rows).reshape(size, c),
            _sum(of_result, results).reshape(size, o),
        )
        if o <= c:  # shift the narrower one
            shifted = jnp.pad(result, ((2, 0), (0, 0))).T
            taps = jnp.concatenate([shifted[:, 2 - j : 2 - j + size] for j in range(3)])
            products.append((taps @ line).reshape(3, o, c).swapaxes(1, 2))
        else:
            shifted = jnp.pad(line, ((0, 2), (0, 0))).T
            taps = jnp.concatenate([shifted[:, j : j + size] for j in range(3)])
            products.append((taps @ result).reshape(3, c, o))
    factors = _KERNEL.astype(d.dtype)
    return jnp.einsum("ai,ajco->ijco", factors, jnp.stack(products), precision="highest")


def _rows(x: Image, p: int, right: int) -> list[Array]:
    """Returns the six rows that each tile of four result rows reads, with a border of p, on the
    right of `right`: first all tiles' first rows, then all second rows, and so on,
    (N, tiles, p + W + right, C) each."""
    n, h, w, c = x.shape
    tiles = -(-(h + 2 * p - 2) // 4)
    x = jnp.pad(x, ((0, 0), (p, 4 * (tiles + 1) - h - p), (p, right), (0, 0)))
    x = x.reshape(n, tiles + 1, 4, p + w + right, c)
    return [x[:, :-1, i] for i in range(4)] + [x[:, 1:, i] for i in range(2)]


def along_rows(x: Image, taps: Array) -> Output:
    """Computes a VALID convolution of three taps (3, I, O) along each row. The rows of all images
    lie end to end as one row, which XLA:CPU computes up to twice as fast as many rows. Results that
    mix two rows are dropped. A trial, as `benchmarks.bfloat16` is, may put another function in its
    place."""
    n, h, w, c = x.shape
    line = x.reshape(1, 1, n * h * w, c)
    y = lax.conv_general_dilated(
        line, taps[None], (1, 1), ((0, 0), (1, 1)), dimension_numbers=DIMENSIONS
    )
    return y.reshape(n, h, w, -1)[:, :, 1:-1]


def multiplied(x: Array, taps: Array, contraction: str) -> Array:
    """Multiplies pixels by taps, as an einsum. A trial may put another function in its place."""
    return jnp.einsum(contraction, x, taps)


def _sum(factors: np.ndarray, parts: list[Array]) -> Array:
    terms = [
        part if f == 1 else jnp.asarray(f, part.dtype) * part
        for f, part in zip(factors, parts, strict=True)
        if f
    ]
    return reduce(jnp.add, terms)
