"""Convolutions with Torch's semantics: a plain form for accelerators, and forms that are fast on
XLA:CPU.

Images are NHWC and kernels HWIO, of any floating type. The default backend decides while tracing
which form runs; `forced(fast)` overrides it for tests and benchmarks. All forms compute the same
function up to rounding. The fast ones have reverse-mode gradients only (jax.custom_vjp), of any
order: no jax.jvp.

The fast forms turn every layer into a stride-1 convolution of many channels (`folding`), which
`stride1` and `winograd` compute. `borders` has mirrored borders and pooling, and `plain` what all
forms share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxpercept.nets.conv.borders import bordered, max_pool
from jaxpercept.nets.conv.folding import blocked9, depth_to_space, phases, strided3
from jaxpercept.nets.conv.plain import Image, Kernel, Output, Taps, padded, plain
from jaxpercept.nets.conv.stride1 import convolution
from jaxpercept.nets.conv.winograd import TAPS as TAPS
from jaxpercept.nets.conv.winograd import transformed as transformed

_forced: bool | None = None


@contextmanager
def forced(fast: bool) -> Iterator[None]:
    """Makes tracing inside the `with` block take the fast forms, or the plain ones."""
    global _forced
    before, _forced = _forced, fast
    try:
        yield
    finally:
        _forced = before


def fast() -> bool:
    """Returns whether tracing now takes the fast forms."""
    return jax.default_backend() == "cpu" if _forced is None else _forced


def conv2d(
    x: Image,
    kernel: Kernel,
    bias: Array | None = None,
    *,
    stride: int = 1,
    padding: str = "zero",
    pad: int | None = None,
    taps: Taps | None = None,
) -> Output:
    """Convolves as Torch's Conv2d does. `padding`: "zero" or "reflect" pads `pad` pixels (default
    kernel // 2) on every side at any stride, "same" pads with zeros as TensorFlow does, "valid"
    does not pad. `taps` are what `transformed` returned for the kernel. Raises ValueError for
    another word of padding."""
    if padding not in ("zero", "reflect", "same", "valid"):
        raise ValueError(f"padding {padding!r} is not known; choose zero, reflect, same or valid")
    p = 0 if padding == "valid" else kernel.shape[0] // 2 if pad is None else pad
    if padding == "reflect" and p:
        x, p = _mirrored(x, p, "reflect"), 0
    if padding == "same" and stride > 1:
        x, p = _same(x, kernel.shape[0], stride), 0
    small = min(kernel.shape[2:]) <= 4
    if fast() and stride == 1 and kernel.shape[:2] == (9, 9) and small:
        y = blocked9(padded(x, p, p), kernel)
    elif fast() and stride == 2 and kernel.shape[:2] == (3, 3):
        y = strided3(padded(x, p, p), kernel)
    elif fast() and stride == 1:
        y = convolution(x, kernel, p, taps)
    else:
        y = plain(x, kernel, p, p, stride=(stride, stride))
    return _biased(y, bias)


def upsample_conv2d(
    x: Image, kernel: Kernel, bias: Array | None = None, *, padding: str = "reflect"
) -> Output:
    """Upsamples ×2 by nearest neighbour, then applies a 3×3 convolution padded on the large grid.
    (N, H, W, C) to (N, 2H, 2W, O)."""
    if not fast():
        return conv2d(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), kernel, bias, padding=padding)
    # A reflected border row of the large grid copies the first source row, so it is a symmetric
    # border of the small grid.
    x = _mirrored(x, 1, "symmetric") if padding == "reflect" else padded(x, 1, 1)
    # On the large grid an even pixel sees source pixels (i-1, i, i) and an odd one (i, i, i+1),
    # which is two taps each. All phases at once read (i, i+1). The odd phases come first, so that
    # depth to space only shifts the result by one pixel.
    small = phases(kernel, lambda a, b, c: ((a + b, c), (a, b + c)))
    y = depth_to_space(convolution(x, small, 0), 2)
    return _biased(y[:, 1:-1, 1:-1], bias)


def conv_transpose2d(
    x: Image, kernel: Kernel, bias: Array | None = None, *, padding: str = "zero"
) -> Output:
    """Computes Torch's ConvTranspose2d(kernel 3, stride 2, padding 1, output_padding 1): (N, H, W,
    I) to (N, 2H, 2W, O). kernel[h, w, i, o] is Torch's weight[i, o, h, w]. With `padding` "same" it
    computes TensorFlow's conv2d_transpose, which lies one pixel further; kernel[h, w, i, o] is then
    its filter[h, w, o, i]."""
    before, after = (2, 1) if padding == "same" else (1, 2)  # padding of the zero-inserted image
    if not fast():
        return _biased(plain(x, kernel[::-1, ::-1], before, after, lhs_dilation=(2, 2)), bias)
    # In each direction, output pixels alternately see one source pixel (by tap 1) or two. Torch:
    # even ones see i by tap 1, odd ones i by tap 2 and i + 1 by tap 0. TensorFlow: even ones see i
    # - 1 by tap 2 and i by tap 0, odd ones i by tap 1.
    if padding == "same":
        small = phases(kernel, lambda a, b, c: ((c, a), (jnp.zeros_like(b), b)))
    else:
        small = phases(kernel, lambda a, b, c: ((b, jnp.zeros_like(b)), (c, a)))
    return _biased(depth_to_space(convolution(padded(x, before - 1, after - 1), small, 0), 2), bias)


def max_pool2x2(x: Image) -> Output:
    """Returns the maxima of 2×2 windows; an odd last row or column is dropped. If maxima are equal,
    the first in reading order gets the gradient, as in Torch."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    if fast():
        return max_pool(x)
    floor = np.array(-np.inf, x.dtype)
    return lax.reduce_window(x, floor, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def _biased(y: Image, bias: Array | None) -> Image:
    if bias is None:
        return y
    wide = jnp.promote_types(y.dtype, jnp.float32)  # the type that sums the bias's gradient
    return (y.astype(wide) + bias.astype(wide).reshape(1, 1, 1, -1)).astype(y.dtype)


def _same(x: Image, size: int, stride: int) -> Output:
    """Pads as TensorFlow's SAME: with the fewest zeros that give ceil(n / stride) outputs, the odd
    one after the image. The split depends on n."""
    totals = (max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[1:3])
    return jnp.pad(x, ((0, 0), *((t // 2, t - t // 2) for t in totals), (0, 0)))


def _mirrored(x: Image, p: int, mode: str) -> Output:
    """Adds a "reflect" (without the border pixel) or "symmetric" (with it) border of p. A border
    larger than the image needs jnp.pad."""
    if fast() and p < min(x.shape[1:3]):
        return bordered(x, p, mode)
    return jnp.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode=mode)
