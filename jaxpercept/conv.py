"""Convolutions with Torch's semantics, in plain form for accelerators and in forms that are fast on XLA:CPU.

Images NHWC, kernels HWIO, any floating type. Which form runs is decided while tracing, by the default backend;
`forced(fast)` overrides it for tests and benchmarks. The forms compute the same function up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

Image = Float[Array, "n h w c"]
Kernel = Float[Array, "kh kw i o"]
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_forced: bool | None = None


@contextmanager
def forced(fast: bool) -> Iterator[None]:
    """Within it, tracing takes the fast forms, or the plain ones."""
    global _forced
    before, _forced = _forced, fast
    try:
        yield
    finally:
        _forced = before


def _fast() -> bool:
    return jax.default_backend() == "cpu" if _forced is None else _forced


def conv2d(x: Image, kernel: Kernel, bias: Array | None = None, *, stride: int = 1, padding: str = "zero") -> Image:
    """Convolution (Torch's Conv2d). `padding`: "zero" or "reflect" pads kernel // 2 on every side at any stride,
    "valid" nothing. ValueError for another word."""
    if padding not in ("zero", "reflect", "valid"):
        raise ValueError(f"padding {padding!r} is not known; choose zero, reflect or valid")
    p = 0 if padding == "valid" else kernel.shape[0] // 2
    if padding == "reflect" and p:
        x = _pad(x, p, p, "reflect")
        y = _unpadded(x, kernel, stride)
    elif stride == 1:
        y = _zero_padded(x, kernel, p) if p or kernel.shape[0] == 1 else _unpadded(x, kernel, 1)
    else:
        y = lax.conv_general_dilated(x, kernel, (stride, stride), ((p, p), (p, p)), dimension_numbers=_DIMENSIONS)
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def _pad(x: Image, before: int, after: int, mode: str = "constant") -> Image:
    return jnp.pad(x, ((0, 0), (before, after), (before, after), (0, 0)), mode=mode)


def _unpadded(x: Image, kernel: Kernel, stride: int) -> Image:
    """A VALID convolution. On XLA:CPU a SAME one, cropped, is up to 30 times faster at stride 1."""
    if stride == 1 and _fast():
        p = kernel.shape[0] // 2
        h, w = x.shape[1:3]
        return _zero_padded(x, kernel, p)[:, p : h - p, p : w - p]
    return lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=_DIMENSIONS)


def _zero_padded(x: Image, kernel: Kernel, p: int) -> Image:
    if _fast() and kernel.shape[0] == 9 and (kernel.shape[2] == 3 or kernel.shape[3] == 3):
        return _folded9(x, kernel)
    return lax.conv_general_dilated(x, kernel, (1, 1), ((p, p), (p, p)), dimension_numbers=_DIMENSIONS)


def _folded9(x: Image, kernel: Kernel) -> Image:
    """The 9×9 convolutions from or to 3 channels as 9×1 ones, with the row's 9 taps folded into the 3 channels."""
    _h, w = x.shape[1:3]
    if kernel.shape[2] == 3:  # taps as input channels: shifted copies side by side
        padded = jnp.pad(x, ((0, 0), (0, 0), (4, 4), (0, 0)))
        taps = jnp.concatenate([padded[:, :, j : j + w] for j in range(9)], -1)
        column = kernel.reshape(9, 1, 27, -1)
        return lax.conv_general_dilated(taps, column, (1, 1), ((4, 4), (0, 0)), dimension_numbers=_DIMENSIONS)
    # taps as output channels: shift and add what each contributes
    cin = kernel.shape[2]
    column = kernel.transpose(0, 2, 1, 3).reshape(9, 1, cin, 27)
    parts = lax.conv_general_dilated(x, column, (1, 1), ((4, 4), (0, 0)), dimension_numbers=_DIMENSIONS)
    parts = jnp.pad(parts, ((0, 0), (0, 0), (4, 4), (0, 0)))
    y = parts[:, :, 0:w, 0:3]
    for j in range(1, 9):
        y = y + parts[:, :, j : j + w, 3 * j : 3 * j + 3]
    return y


def upsample_conv2d(x: Image, kernel: Kernel, bias: Array | None = None, *, padding: str = "reflect") -> Image:
    """Nearest-neighbour ×2, then a 3×3 convolution padded on the large grid. (N, H, W, C) to (N, 2H, 2W, O)."""
    if not _fast():
        return conv2d(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), kernel, bias, padding=padding)
    # On the large grid both kinds of padding repeat or blank whole source pixels: a reflected border row is the copy
    # of the first source row, so an edge-padded small grid has the same values ("zero": zeros).
    _n, h, w, _ = x.shape
    padded = _pad(x, 1, 1, "edge" if padding == "reflect" else "constant")
    # Of three neighbours on the large grid, an even pixel sees source pixels (i-1, i, i), an odd one (i, i, i+1).
    rows = (jnp.stack([kernel[0], kernel[1] + kernel[2]]), jnp.stack([kernel[0] + kernel[1], kernel[2]]))
    phases = []
    for a in (0, 1):
        for b in (0, 1):
            r = rows[a]
            small = jnp.stack([r[:, 0], r[:, 1] + r[:, 2]], 1) if b == 0 else jnp.stack([r[:, 0] + r[:, 1], r[:, 2]], 1)
            y = lax.conv_general_dilated(padded, small, (1, 1), ((0, 1), (0, 1)), dimension_numbers=_DIMENSIONS)
            phases.append(y[:, a : a + h, b : b + w])
    y = _interleave(phases)
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def _interleave(phases: list[Image]) -> Image:
    n, h, w, c = phases[0].shape
    grid = jnp.stack([jnp.stack(phases[:2], 3), jnp.stack(phases[2:], 3)], 2)  # (N, H, 2, W, 2, C)
    return grid.reshape(n, 2 * h, 2 * w, c)


def conv_transpose2d(x: Image, kernel: Kernel, bias: Array | None = None) -> Image:
    """Torch's ConvTranspose2d(kernel 3, stride 2, padding 1, output_padding 1): (N, H, W, I) to (N, 2H, 2W, O);
    kernel[h, w, i, o] is Torch's weight[i, o, h, w]."""
    if not _fast():
        y = lax.conv_general_dilated(
            x, kernel[::-1, ::-1], (1, 1), ((1, 2), (1, 2)), lhs_dilation=(2, 2), dimension_numbers=_DIMENSIONS
        )
        return y if bias is None else y + bias.reshape(1, 1, 1, -1)
    # Even output pixels see one source pixel (tap 1), odd ones two (tap 2 of i, tap 0 of i + 1), in each direction.
    h, w = x.shape[1:3]
    taps = ((1,), (2, 0))
    phases = []
    for a in taps:
        for b in taps:
            small = kernel[jnp.array(a)][:, jnp.array(b)]
            pads = ((0, len(a) - 1), (0, len(b) - 1))
            phases.append(lax.conv_general_dilated(x, small, (1, 1), pads, dimension_numbers=_DIMENSIONS)[:, :h, :w])
    y = _interleave(phases)
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def max_pool2x2(x: Image) -> Image:
    """Maxima of 2×2 windows; an odd last row or column is dropped. Its gradient is far faster on XLA:CPU than that of
    reduce_window; exact ties share it."""
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :h, :w]
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])
