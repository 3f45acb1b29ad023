"""The transform network f_W and the loss network φ (Johnson et al. 2016, section 3 and
supplementary tables).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jaxpercept.config import TransformNetConfig
from jaxpercept.evaluation.torch_twin.layers import (
    ConditionalInstanceNorm,
    Residual,
    call,
    convolution,
    pixel_shuffle,
    transposed,
    upsampled,
)
from jaxpercept.images import resampling
from jaxpercept.nets import geometry

Tensors = dict[str, Tensor]
_MEAN_BGR = (103.939, 116.779, 123.68)  # preprocess.lua
_VGG = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Net(nn.Module):
    """f_W between `encode` and `decode`, NCHW, for any configuration. `mix` is (N, styles) for
    several styles."""

    def __init__(self, c: TransformNetConfig, mix: Tensor | None = None):
        super().__init__()
        bias, inner = c.bias or c.norm == "none", "valid" if c.start_padding else c.padding

        def norm(channels: int) -> nn.Module:
            if mix is not None:
                return ConditionalInstanceNorm(c.styles, channels, c.norm_eps, mix)
            if c.norm == "instance":
                return nn.InstanceNorm2d(channels, eps=c.norm_eps, affine=True)
            if c.norm == "batch":
                return nn.BatchNorm2d(channels, eps=c.norm_eps, momentum=1 - c.norm_momentum)
            return nn.Identity()

        def up(a: int, b: int) -> nn.Module:
            if c.upsample == "transposed":
                return transposed(a, b, padding=c.padding, bias=bias)
            if c.upsample == "nearest":
                return upsampled(a, b, padding=c.padding, bias=bias)
            return convolution(a, 4 * b, 3, padding=c.padding, bias=bias)

        widths, wide = (c.stem, *c.down), (c.stem, *c.down)[-1]
        self.stem, self.stem_norm = (
            convolution(3, c.stem, c.stem_size, padding=c.padding, bias=bias),
            norm(c.stem),
        )
        self.down = nn.ModuleList(
            convolution(a, b, 3, stride=2, padding=c.padding, bias=bias)
            for a, b in zip(widths, c.down, strict=False)
        )
        self.down_norm = nn.ModuleList(norm(b) for b in c.down)
        self.blocks = nn.ModuleList(
            Residual(wide, inner, bias, norm, c.gate) for _ in range(c.blocks)
        )
        self.up = nn.ModuleList(up(a, b) for a, b in zip((wide, *c.up), c.up, strict=False))
        self.up_norm = nn.ModuleList(norm(b) for b in c.up)
        out, head_bias = 3 * c.head_scale**2, bias or not c.head_norm
        self.head = convolution(
            (wide, *c.up)[-1], out, c.head_size, padding=c.padding, bias=head_bias
        )
        self.head_norm = norm(out) if c.head_norm else nn.Identity()
        self.subpixel, self.head_scale = c.upsample == "subpixel", c.head_scale

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem_norm(self.stem(x)))
        for down, norm in zip(self.down, self.down_norm, strict=True):
            x = functional.relu(norm(down(x)))
        for block in self.blocks:
            x = block(x)
        for up, norm in zip(self.up, self.up_norm, strict=True):
            x = up(x)
            x = functional.relu(norm(pixel_shuffle(x, 2) if self.subpixel else x))
        return pixel_shuffle(self.head_norm(self.head(x)), self.head_scale)


def transform(
    config: TransformNetConfig,
    params: Tensors,
    stats: Tensors,
    x: Tensor,
    *,
    train: bool = False,
    mix: Tensor | None = None,
) -> tuple[Tensor, Tensors]:
    """Returns f_W(x), (N, H, W, 3) in [0, 1] to the same times the scale, and the running
    statistics."""
    net = Net(config, mix).train(train)
    h, w = x.shape[1:3]
    multiple = geometry.rounding(config)
    mean = torch.tensor(_MEAN_BGR, dtype=x.dtype)
    z = {"vgg": 255 * x.flip(-1) - mean, "raw": 255 * x, "centered": 2 * x - 1}[config.input]
    for axis, size in ((1, h), (2, w)):
        start = config.start_padding
        z = z.index_select(axis, torch.tensor(_reflected(size, start, start + -size % multiple)))
    fresh = {k: v.clone() for k, v in stats.items()}  # BatchNorm2d updates these in place
    y = call(net, {**params, **fresh}, z)
    if config.padding == "same" and config.fit == "crop":
        y = y[:, y.shape[1] - config.scale * h :, y.shape[2] - config.scale * w :]
    y = y[:, : config.scale * h, : config.scale * w]
    if config.skip == "bicubic":
        rows, columns = (_resampling(size, config.scale, x) for size in (h, w))
        y = torch.einsum("ih,jw,nhwc->nijc", rows, columns, x) + config.output_scale * y
    elif config.output == "vgg_tanh":
        y = ((config.output_scale * torch.tanh(y) + mean) / 255).flip(-1)
    elif config.output == "tanh":
        y = (255 * (config.output_scale * torch.tanh(y) + 1) / 2) / 255
    elif config.output == "raw":
        y = y / 255
    else:
        y = 0.5 + config.output_scale * y
    return y, fresh


def _reflected(size: int, before: int, after: int) -> list[int]:
    """Returns indices that reflect without repeating the border, back and forth if the padding
    exceeds the size."""
    period = max(2 * size - 2, 1)
    places = (i % period for i in range(-before, size + after))
    return [i if i < size else period - i for i in places]


def _resampling(size: int, factor: int, like: Tensor) -> Tensor:
    return torch.tensor(np.asarray(resampling.weights(size, factor * size)), dtype=like.dtype)


def vgg_features(params: Tensors, x: Tensor, layers: Collection[str]) -> Tensors:
    """Returns φ_j(x) by name, NHWC, for x in [0, 1] and `params` as `vgg.load_vgg16` returns
    them."""
    x = (255 * x - params["preprocess.mean"]) / params["preprocess.std"]
    cin, out = 3, {}
    for b, block in enumerate(_VGG, start=1):
        for i, cout in enumerate(block, start=1):
            conv = nn.Conv2d(cin, cout, 3, padding=1, device="meta")
            x = functional.relu(
                call(conv, {k: params[f"conv{b}_{i}.{k}"] for k in ("kernel", "bias")}, x)
            )
            cin = cout
            if f"relu{b}_{i}" in layers:
                out[f"relu{b}_{i}"] = x
            if len(out) == len(set(layers)):
                return out
        x = max_pool(x)
    return out


def max_pool(x: Tensor) -> Tensor:
    """Returns 2×2 maxima, NHWC."""
    return functional.max_pool2d(x.permute(0, 3, 1, 2), 2, 2).permute(0, 2, 3, 1)


def norm(kind: str, d: Tensors, *, train: bool) -> Tensors:
    """Applies a norm to d["x"] with d["scale"] and the rest. Returns "y" and, in training, the new
    "mean" and "var"."""
    names = ("scale", "bias", "mean", "var") if kind == "batch" else ("scale", "bias")
    own = {k: d[k] if k in ("scale", "bias") else d[k].clone() for k in names}
    channels = d["x"].shape[-1]
    module: nn.Module = nn.InstanceNorm2d(channels, affine=True)
    if kind == "batch":
        module = nn.BatchNorm2d(channels)
    elif kind == "conditional":
        module = ConditionalInstanceNorm(len(own["scale"]), channels, 1e-5, d["mix"])
    y = call(module.train(train), own, d["x"])
    return {"y": y, "mean": own["mean"], "var": own["var"]} if train else {"y": y}
