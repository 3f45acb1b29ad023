"""The transform net as a Flax module, and its variables as flat dicts of arrays. The only user is
`transform_net`, which imports it on first use.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
from flax import nnx
from jax import Array

from jaxpercept.config import TransformNetConfig
from jaxpercept.nets.conv.folding import depth_to_space
from jaxpercept.nets.layers import (
    BatchNorm,
    ConditionalInstanceNorm,
    Conv,
    Identity,
    Image,
    InstanceNorm,
    ResidualBlock,
    UpConv,
)

Variables = dict[str, Array]


class TransformNet(nnx.Module):
    """The layers `c9s1`, `d`…, residual blocks, `u`…, `c9s1-3`. A norm and ReLU follow each layer,
    except the last, which may have a norm only."""

    def __init__(self, config: TransformNetConfig, rngs: nnx.Rngs):
        c = self.config = config
        bias = c.bias or c.norm == "none"
        inner = "valid" if c.start_padding else c.padding

        def norm(channels: int) -> nnx.Module:
            if c.styles:
                return ConditionalInstanceNorm(c.styles, channels, eps=c.norm_eps)
            if c.norm == "instance":
                return InstanceNorm(channels, eps=c.norm_eps)
            if c.norm == "batch":
                return BatchNorm(channels, eps=c.norm_eps, momentum=c.norm_momentum)
            return Identity()

        widths = (c.stem, *c.down)
        self.stem = Conv(3, c.stem, c.stem_size, padding=c.padding, bias=bias, rngs=rngs)
        self.stem_norm = norm(c.stem)
        self.down = nnx.List(
            Conv(a, b, 3, stride=2, padding=c.padding, bias=bias, rngs=rngs)
            for a, b in zip(widths, c.down, strict=False)
        )
        self.down_norm = nnx.List(norm(b) for b in c.down)
        w = widths[-1]
        self.blocks = nnx.List(
            ResidualBlock(
                Conv(w, w, 3, padding=inner, bias=bias, rngs=rngs),
                norm(w),
                Conv(w, w, 3, padding=inner, bias=bias, rngs=rngs),
                norm(w),
                gate=w if c.gate else 0,
            )
            for _ in range(c.blocks)
        )
        self.up = nnx.List(
            UpConv(a, b, method=c.upsample, padding=c.padding, bias=bias, rngs=rngs)
            for a, b in zip((w, *c.up), c.up, strict=False)
        )
        self.up_norm = nnx.List(norm(b) for b in c.up)
        out, head_bias = 3 * c.head_scale**2, bias or not c.head_norm
        self.head = Conv(
            (w, *c.up)[-1], out, c.head_size, padding=c.padding, bias=head_bias, rngs=rngs
        )
        self.head_norm = norm(out) if c.head_norm else Identity()

    def __call__(self, x: Image, **mode: Any) -> Image:
        """Maps the encoded (N, H, W, 3) to (N, scale·H, scale·W, 3) before `decode`."""
        x = jax.nn.relu(self.stem_norm(self.stem(x), **mode))
        for down, norm in zip(self.down, self.down_norm, strict=True):
            x = jax.nn.relu(norm(down(x), **mode))
        for block in self.blocks:
            x = block(x, **mode)
        for up, norm in zip(self.up, self.up_norm, strict=True):
            x = jax.nn.relu(norm(up(x), **mode))
        return depth_to_space(self.head_norm(self.head(x), **mode), self.config.head_scale)


def fresh(config: TransformNetConfig, seed: int) -> tuple[Variables, Variables]:
    """Returns the (parameters, running statistics) of a new net."""
    _, params, stats = _split(TransformNet(config, nnx.Rngs(seed)))
    return _flat(params), _flat(stats)


def filled(config: TransformNetConfig, params: Variables, stats: Variables) -> TransformNet:
    """Returns the module with these variables."""
    graph, empty_params, empty_stats = _structure(config)
    made: TransformNet = nnx.merge(
        graph, _nested(empty_params, params), _nested(empty_stats, stats)
    )
    return made


def statistics(model: TransformNet) -> Variables:
    """Returns a module's running statistics."""
    return _flat(nnx.state(model, nnx.BatchStat))


@lru_cache(maxsize=64)
def _structure(config: TransformNetConfig) -> tuple[Any, Any, Any]:
    return _split(nnx.eval_shape(lambda: TransformNet(config, nnx.Rngs(0))))


def _split(model: TransformNet) -> tuple[Any, Any, Any]:
    graph, params, *rest = nnx.split(model, nnx.Param, nnx.BatchStat)
    return graph, params, rest[0]


def _flat(state: Any) -> Variables:
    return {".".join(map(str, path)): leaf.get_value() for path, leaf in nnx.to_flat_state(state)}


def _nested(structure: Any, values: Variables) -> Any:
    flat = nnx.to_flat_state(structure)
    return nnx.from_flat_state(
        [(path, leaf.replace(values[".".join(map(str, path))])) for path, leaf in flat]
    )
