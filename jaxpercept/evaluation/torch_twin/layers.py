"""Layers as `torch.nn` modules, NCHW, and `call`, which runs one on our parameters and images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


def call(module: nn.Module, params: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Returns module(x) with our parameters `params`, NHWC in and out."""
    return functional_call(module, state(module, params), nchw(x)).permute(0, 2, 3, 1)


def nchw(x: Tensor) -> Tensor:
    """Returns (N, H, W, C) as (N, C, H, W)."""
    return x.permute(0, 3, 1, 2).contiguous()


_NAMES = {
    **{"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"},
    "gate": "gate",
}


def state(module: nn.Module, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns our flat dict under Torch's names and in its layouts."""
    out: dict[str, Tensor] = {}
    for name, value in params.items():
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        prefix = f"{path}." if path else ""
        if isinstance(owner, nn.Conv2d | nn.ConvTranspose2d):
            if leaf == "kernel":
                value = value.permute(
                    (2, 3, 0, 1) if isinstance(owner, nn.ConvTranspose2d) else (3, 2, 0, 1)
                )
            out[prefix + {"kernel": "weight", "bias": "bias"}[leaf]] = value.contiguous()
        else:
            out[prefix + _NAMES[leaf]] = value
    return out


def convolution(
    cin: int, cout: int, size: int, *, stride: int = 1, padding: str, bias: bool = True
) -> nn.Conv2d:
    """Returns a Conv2d; `padding` is "zero" or "reflect" by size // 2, "same" (TensorFlow's), or
    "valid"."""
    if padding == "same" and stride > 1:
        return Same(cin, cout, size, stride, bias=bias)
    mode = "reflect" if padding == "reflect" else "zeros"
    return nn.Conv2d(
        cin,
        cout,
        size,
        stride,
        0 if padding == "valid" else size // 2,
        bias=bias,
        padding_mode=mode,
    )


class Same(nn.Conv2d):
    """TensorFlow's "same" for 3×3 and stride 2. At even sizes only a last row and column of zeros
    are added, at odd sizes a first one too."""

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        return super().forward(functional.pad(x, (w % 2, 1, h % 2, 1)))


class SameTransposed(nn.ConvTranspose2d):
    """The gradient of `Same` at even sizes: all places that the kernel reaches, except the last row
    and column."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x, output_size)[:, :, :-1, :-1]


def transposed(
    cin: int, cout: int, *, padding: str = "zero", bias: bool = True
) -> nn.ConvTranspose2d:
    """Returns the stride-1/2 convolution."""
    if padding == "same":
        return SameTransposed(cin, cout, 3, stride=2, bias=bias)
    return nn.ConvTranspose2d(cin, cout, 3, stride=2, padding=1, output_padding=1, bias=bias)


class Upsampled(nn.Conv2d):
    """Upsamples ×2 by nearest neighbour, then convolves."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.interpolate(x, scale_factor=2, mode="nearest"))


def upsampled(cin: int, cout: int, *, padding: str, bias: bool = True) -> Upsampled:
    """Returns nearest ×2 and a 3×3 convolution."""
    return Upsampled(
        cin,
        cout,
        3,
        padding=1,
        bias=bias,
        padding_mode="reflect" if padding == "reflect" else "zeros",
    )


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """Applies PixelShuffle on NCHW with our channel order (row, column, C)."""
    n, c, h, w = x.shape
    x = x.reshape(n, factor**2, c // factor**2, h, w).transpose(1, 2).reshape(n, c, h, w)
    return functional.pixel_shuffle(x, factor)


class ConditionalInstanceNorm(nn.Module):
    """InstanceNorm2d with a weight and bias per style, image by image; `mix` is (N, styles)."""

    def __init__(self, styles: int, channels: int, eps: float, mix: Tensor):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(styles, channels))
        self.bias = nn.Parameter(torch.empty(styles, channels))
        self.eps, self.mix = eps, mix

    def forward(self, x: Tensor) -> Tensor:
        # Normalize the whole batch at once: for a single image, PyTorch's gradient is wrong if the
        # incoming gradient is NHWC.
        normal, out = functional.instance_norm(x, eps=self.eps), []
        for image, shares in zip(normal, self.mix, strict=True):
            weight = sum(share * row for share, row in zip(shares, self.weight, strict=True))
            bias = sum(share * row for share, row in zip(shares, self.bias, strict=True))
            out.append(image * weight[:, None, None] + bias[:, None, None])
        return torch.stack(out)


class Residual(nn.Module):
    """conv, norm, ReLU, conv, norm, plus the (cropped) input, times 1 + gate · clip with a
    `gate`."""

    def __init__(
        self,
        width: int,
        padding: str,
        bias: bool,
        norm: Callable[[int], nn.Module],
        gate: bool = False,
    ):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(width)) if gate else None
        self.conv1, self.norm1 = (
            convolution(width, width, 3, padding=padding, bias=bias),
            norm(width),
        )
        self.conv2, self.norm2 = (
            convolution(width, width, 3, padding=padding, bias=bias),
            norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        if y.shape != x.shape:
            x = x[:, :, 2:-2, 2:-2]
        if self.gate is None:
            return x + y
        return (x + y) * (1 + self.gate[:, None, None] * y.clamp(-1, 1))
