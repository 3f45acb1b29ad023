"""f_W, φ and the objective as modules of PyTorch, as its users would write them, on our weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jaxpercept.config import VGG_BLOCKS, ObjectiveConfig, TransformNetConfig
from jaxpercept.evaluation.torch_twin import layers, nets
from jaxpercept.images import resampling
from jaxpercept.nets import vgg


class Transform(nn.Module):
    """f_W, [0, 1] to [0, 1], NCHW."""

    def __init__(self, config: TransformNetConfig, params: dict[str, Tensor]):
        super().__init__()
        self.config, self.net = config, nets.Net(config)
        self.net.load_state_dict(layers.state(self.net, params))

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(self.unclamped(x), 0, 1)

    def unclamped(self, x: Tensor) -> Tensor:
        y = self.config.output_scale * self.net(2 * x - 1)
        return self.enlarged(x) + y if self.config.skip == "bicubic" else 0.5 + y

    def enlarged(self, x: Tensor) -> Tensor:
        rows_, columns = (
            torch.as_tensor(np.asarray(resampling.weights(int(s), self.config.scale * int(s)))).to(
                x
            )
            for s in x.shape[2:]
        )
        return rows_ @ x @ columns.T


class Features(nn.Module):
    """φ up to the deepest of `wanted`, NCHW in [0, 1]."""

    def __init__(self, wanted: tuple[str, ...]):
        super().__init__()
        params = {k: torch.tensor(np.asarray(v)) for k, v in vgg.load_vgg16().items()}
        self.wanted, self.convs = wanted, nn.ModuleDict()
        self.register_buffer("mean", params["preprocess.mean"].view(1, 3, 1, 1))
        self.register_buffer("std", params["preprocess.std"].view(1, 3, 1, 1))
        for name in (
            f"{b}_{i}" for b, block in enumerate(VGG_BLOCKS, 1) for i in range(1, len(block) + 1)
        ):
            kernel = params[f"conv{name}.kernel"]
            conv = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
            conv.load_state_dict(
                layers.state(conv, {k: params[f"conv{name}.{k}"] for k in ("kernel", "bias")})
            )
            self.convs[name] = conv.requires_grad_(False)
            if f"relu{name}" == max(wanted):
                break

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h, out, block = (255 * x - self.mean) / self.std, {}, "1"
        for name, conv in self.convs.items():
            if name[0] != block:
                h, block = functional.max_pool2d(h, 2), name[0]
            h = functional.relu(conv(h))
            if f"relu{name}" in self.wanted:
                out[f"relu{name}"] = h
        return out


def gram(f: Tensor) -> Tensor:
    """Equation 3: (N, C, C)."""
    psi = f.flatten(2)
    return psi @ psi.transpose(1, 2) / (f.shape[1] * f.shape[2] * f.shape[3])


class Objective(nn.Module):
    """The weighted objective in the `reference` convention, or super-resolution's L1, averaged over
    the batch."""

    def __init__(self, made: ObjectiveConfig, style: Tensor | None):
        super().__init__()
        self.made = made
        if style is not None:
            self.phi = Features(made.style_layers).to(style.device)
            self.content = Features(made.content_layers).to(style.device)
            with torch.no_grad():
                for name, f in self.phi(style).items():
                    self.register_buffer(f"gram_{name}", gram(f))

    def forward(
        self, y: Tensor, target: Tensor, features: dict[str, Tensor] | None = None
    ) -> Tensor:
        w = self.made.weights
        if w.get("l1"):
            return w["l1"] * 255 * functional.l1_loss(y, target)
        f = self.phi(y)
        if features is None:
            features = self.targets(target)
        content = sum(functional.mse_loss(f[j], features[j]) for j in self.made.content_layers)
        style = sum(
            functional.mse_loss(g := gram(f[j]), getattr(self, f"gram_{j}").expand_as(g))
            for j in self.made.style_layers
        )
        corner = y[:, :, :-1, :-1]
        tv = (y[:, :, 1:, :-1] - corner).square().sum() + (y[:, :, :-1, 1:] - corner).square().sum()
        return w["content"] * content + w["style"] * style + w["tv"] * 255**2 * tv / 2

    def targets(self, x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return self.content(x)
