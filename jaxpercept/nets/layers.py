"""Layers of the transform net as Flax NNX modules, NHWC. Parameters are float32 (or float64).
Layers compute in x's dtype, but normalisation statistics never below float32.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax
from jaxtyping import Float

from jaxpercept.nets import conv
from jaxpercept.nets.conv.folding import depth_to_space

Image = Float[Array, "n h w c"]
Output = Float[Array, "n h2 w2 c2"]  # for layers that change the size or the channels


def _uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int) -> Array:
    """Draws Torch's default initialisation, uniform within ±1/√fan_in."""
    bound, size = 1 / math.sqrt(fan_in), math.prod(shape)
    # A flat draw gives the same numbers as a draw of this shape, but is compiled once for many
    # shapes.
    drawn = jax.random.uniform(
        rngs.params(), (max(1 << 16, 1 << size.bit_length()),), minval=-bound, maxval=bound
    )
    return drawn[:size].reshape(shape)


class Conv(nnx.Module):
    """Convolution, size×size. `padding`: "reflect" or "zero" pads size // 2 on every side, as Torch
    does at every stride; "same" pads with zeros as TensorFlow does; "valid" does not pad."""

    def __init__(
        self,
        cin: int,
        cout: int,
        size: int,
        *,
        stride: int = 1,
        padding: str,
        bias: bool,
        rngs: nnx.Rngs,
    ):
        fan_in = cin * size * size
        self.kernel = nnx.Param(_uniform(rngs, (size, size, cin, cout), fan_in))
        self.bias = nnx.Param(_uniform(rngs, (cout,), fan_in)) if bias else None
        self.stride, self.padding = stride, padding

    def __call__(self, x: Image) -> Output:
        kernel, bias = _cast(self, x.dtype)
        return conv.conv2d(x, kernel, bias, stride=self.stride, padding=self.padding)


class UpConv(nnx.Module):
    """×2 upsampling with a 3×3 kernel: "nearest" (then a convolution), "transposed" (stride 1/2,
    Torch's padding 1, output padding 1, or TensorFlow's under `padding` "same") or "subpixel" (a
    convolution to 4 × cout channels, then depth to space)."""

    def __init__(
        self, cin: int, cout: int, *, method: str, padding: str, bias: bool, rngs: nnx.Rngs
    ):
        # Torch takes a transposed kernel's fan-in from its output channels.
        fan_in = 9 * (cout if method == "transposed" else cin)
        out = 4 * cout if method == "subpixel" else cout
        self.kernel = nnx.Param(_uniform(rngs, (3, 3, cin, out), fan_in))
        self.bias = nnx.Param(_uniform(rngs, (out,), fan_in)) if bias else None
        self.method, self.padding = method, padding

    def __call__(self, x: Image) -> Output:
        kernel, bias = _cast(self, x.dtype)
        if self.method == "nearest":
            return conv.upsample_conv2d(x, kernel, bias, padding=self.padding)
        if self.method == "transposed":
            return conv.conv_transpose2d(x, kernel, bias, padding=self.padding)
        return depth_to_space(conv.conv2d(x, kernel, bias, padding=self.padding), 2)


def _cast(layer: Any, dtype: Any) -> tuple[Array, Array | None]:
    bias = None if layer.bias is None else layer.bias[...].astype(dtype)
    return layer.kernel[...].astype(dtype), bias


class InstanceNorm(nnx.Module):
    """Normalizes each image and channel over (H, W) with the biased variance, then applies scale
    and bias (Ulyanov et al. 2016, arXiv 1607.08022)."""

    def __init__(self, channels: int, *, eps: float):
        self.scale, self.bias = nnx.Param(jnp.ones(channels)), nnx.Param(jnp.zeros(channels))
        self.eps = eps

    def __call__(self, x: Image, **_: Any) -> Image:
        return _normalized(x, self.scale[...], self.bias[...], self.eps)


class ConditionalInstanceNorm(nnx.Module):
    """Instance norm with a scale and a bias for each style, (S, C). Every image gets its own
    mixture of them (Dumoulin et al. 2017, arXiv 1610.07629, equation 5). `mix` holds the weights of
    the styles, for each image or for all."""

    def __init__(self, styles: int, channels: int, *, eps: float):
        self.scale, self.bias = (
            nnx.Param(jnp.ones((styles, channels))),
            nnx.Param(jnp.zeros((styles, channels))),
        )
        self.eps = eps

    def __call__(self, x: Image, *, mix: Float[Array, "m s"], **_: Any) -> Image:
        scale, bias = (_mixture(mix, rows[...]) for rows in (self.scale, self.bias))
        return _normalized(x, scale, bias, self.eps)


def _normalized(x: Array, scale: Array, bias: Array, eps: float) -> Array:
    """Normalizes x over (H, W). `scale` and `bias` are (C,), or (N or 1, C)."""
    wide = _widen(x)
    mean = wide.mean((1, 2), keepdims=True)
    var = jnp.square(wide - mean).mean((1, 2), keepdims=True)
    gain = _channels(scale) * lax.rsqrt(var + eps)
    return ((wide - mean) * gain + _channels(bias)).astype(x.dtype)


def _mixture(mix: Array, rows: Array) -> Array:
    # With "highest" a weight of 1 gives its row exactly, also on accelerators.
    return jnp.einsum("ms,sc->mc", mix.astype(rows.dtype), rows, precision="highest")


class BatchNorm(nnx.Module):
    """Normalizes over (N, H, W) and, in training, over the replicas of `axis_name`. Running
    statistics are kept as Torch keeps them, with the unbiased variance; `momentum` is the share of
    the old value."""

    def __init__(self, channels: int, *, eps: float, momentum: float):
        self.scale, self.bias = nnx.Param(jnp.ones(channels)), nnx.Param(jnp.zeros(channels))
        self.mean, self.var = nnx.BatchStat(jnp.zeros(channels)), nnx.BatchStat(jnp.ones(channels))
        self.eps, self.momentum = eps, momentum

    def __call__(
        self,
        x: Image,
        *,
        train: bool = False,
        axis_name: str | None = None,
        probe: list[Array] | None = None,
    ) -> Image:
        """Normalizes x and appends the unnormalized x to `probe`."""
        if probe is not None:
            probe.append(x)
        wide = _widen(x)
        if train:
            mean = _over_replicas(wide.mean((0, 1, 2)), axis_name)
            var = _over_replicas(jnp.square(wide - _channels(mean)).mean((0, 1, 2)), axis_name)
            replicas = 1 if axis_name is None else lax.psum(1, axis_name)
            count = x.shape[0] * x.shape[1] * x.shape[2] * replicas
            keep = self.momentum
            self.mean[...] = keep * self.mean[...] + (1 - keep) * mean
            self.var[...] = keep * self.var[...] + (1 - keep) * var * (count / max(count - 1, 1))
        else:
            mean, var = self.mean[...], self.var[...]
        gain = self.scale[...] * lax.rsqrt(var + self.eps)
        shift = self.bias[...] - mean * gain
        return (wide * _channels(gain) + _channels(shift)).astype(x.dtype)


def _channels(v: Array) -> Array:
    return v.reshape(-1, 1, 1, v.shape[-1])


def _widen(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _over_replicas(x: Array, axis_name: str | None) -> Array:
    return x if axis_name is None else lax.pmean(x, axis_name)


class Identity(nnx.Module):
    """Does nothing, in place of a norm."""

    def __call__(self, x: Image, **_: Any) -> Image:
        return x


class ResidualBlock(nnx.Module):
    """A 3×3 convolution, norm, ReLU, 3×3 convolution and norm, added to the input, without a ReLU
    after the addition (Johnson et al. 2016, supplementary, figure 1; Gross and Wilber 2016).
    Unpadded ("valid") convolutions crop the skip by 2.

    `gate` is the number of channels of a gate, 0 for none. A gate multiplies the sum by 1 + gate ·
    clip(change, -1, 1). The change is what was added, and `gate` is learned per channel, starting
    at zero. The change thus decides which pixels count, without further convolutions (after the
    symmetric attention of SPAN, arXiv 2311.12770, with a clip in place of its sigmoid)."""

    def __init__(
        self, conv1: Conv, norm1: nnx.Module, conv2: Conv, norm2: nnx.Module, gate: int = 0
    ):
        self.conv1, self.norm1, self.conv2, self.norm2 = conv1, norm1, conv2, norm2
        self.gate = nnx.Param(jnp.zeros(gate)) if gate else None

    def __call__(self, x: Image, **mode: Any) -> Output:
        y = jax.nn.relu(self.norm1(self.conv1(x), **mode))
        y = self.norm2(self.conv2(y), **mode)
        crop = (x.shape[1] - y.shape[1]) // 2
        total = x[:, crop : x.shape[1] - crop, crop : x.shape[2] - crop] + y
        if self.gate is None:
            return total
        return total * (1 + _channels(self.gate[...].astype(y.dtype)) * jnp.clip(y, -1, 1))
