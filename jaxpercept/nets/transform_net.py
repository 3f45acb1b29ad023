"""The image transform network f_W (Johnson et al. 2016, section 3.1 and supplementary material).

Images are float RGB in [0, 1], NHWC, in and out. Only `encode` and `decode` know another range. The
output is not clipped: `inference` clips it, and losses see it unclipped unless `TrainConfig.clip`
is set. Variables are two flat dicts of arrays, parameters and running statistics (empty without
batch norm): `{"blocks.0.conv1.kernel": (3, 3, 128, 128), …}`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from jaxpercept.config import TransformNetConfig
from jaxpercept.images import resampling
from jaxpercept.nets import geometry
from jaxpercept.nets.layers import (
    BatchNorm,
    ConditionalInstanceNorm,
    Conv,
    Identity,
    Image,
    InstanceNorm,
    ResidualBlock,
    UpConv,
    depth_to_space,
)

Variables = dict[str, Array]
VGG_MEAN_BGR = (
    103.939,
    116.779,
    123.68,
)  # the authors' preprocess.lua; the loss network's mean is in its own file


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


def encode(config: TransformNetConfig, x: Image) -> Image:
    """Converts [0, 1] to the net's input: "centered" 2x - 1; "vgg" 255x minus the mean, BGR; "raw"
    255x."""
    if config.input == "raw":
        return 255 * x
    if config.input == "vgg":
        return 255 * x[..., ::-1] - _mean(x)
    return 2 * x - 1


def decode(config: TransformNetConfig, z: Image, x: Image | None = None) -> Image:
    """Converts the net's output to [0, 1]: "linear" 0.5 + scale·z (unbounded, cannot saturate);
    "tanh" (scale·tanh z + 1)/2, the paper's scaled tanh; "vgg_tanh" scale·tanh z in VGG's BGR
    mean-subtracted 0-255 space; "raw" z/255. With a bicubic skip, the upsampled input `x` replaces
    0.5."""
    if config.skip == "bicubic":
        if x is None:
            raise ValueError("decode: a net with a bicubic skip needs its input")
        return resampling.upsample(x.astype(z.dtype), config.scale) + config.output_scale * z
    if config.output == "vgg_tanh":
        return ((config.output_scale * jnp.tanh(z) + _mean(z)) / 255)[..., ::-1]
    if config.output == "tanh":
        return 0.5 + 0.5 * config.output_scale * jnp.tanh(z)
    if config.output == "raw":
        return z / 255
    return 0.5 + config.output_scale * z


def _mean(x: Array) -> Array:
    return jnp.asarray(VGG_MEAN_BGR, x.dtype).reshape(1, 1, 1, 3)


def init(config: TransformNetConfig, seed: int = 0) -> tuple[Variables, Variables]:
    """Returns fresh (parameters, running statistics) with Torch's default initialisation,
    deterministic in `seed`."""
    _, params, stats = _split(TransformNet(config, nnx.Rngs(seed)))
    return _flat(params), _flat(stats)


def apply(
    config: TransformNetConfig,
    params: Variables,
    stats: Variables,
    x: Float[Array, "n h w 3"],
    *,
    train: bool = False,
    axis_name: str | None = None,
    dtype: Any = None,
    mix: Float[Array, "m s"] | None = None,
    probe: list[Array] | None = None,
) -> tuple[Float[Array, "n h2 w2 3"], Variables]:
    """Returns f_W(x) and the running statistics (updated if `train`), for any height and width of
    at least `geometry.least_side`.

    Sizes that the stride-2 layers do not divide are reflected at the bottom and right, and the
    output is cropped to the input's place. If `config.fit` is "crop" (imported nets that round up
    by themselves), nothing is reflected.
    axis_name: the mapped axis of the replicas over which batch statistics are reduced.
    dtype: the type to compute in (bfloat16).
    probe: a list to which each batch norm's input is appended, in order.
    mix: for a multi-style net, the styles' weights for each image, or (1, styles) for all images.
    Raises ValueError for another rank or channel count, a shorter side, or a `mix` that does not
    fit the net."""
    least = geometry.least_side(config)
    if x.ndim != 4 or x.shape[-1] != 3 or any(side < least for side in x.shape[1:3]):
        raise ValueError(
            f"expected images (N, H, W, 3) with H and W of at least {least}, got {x.shape}"
        )
    if (None if mix is None else mix.shape) not in _mix_shapes(config, x.shape[0]):
        raise ValueError(
            f"a net of {config.styles} styles needs mix (N or 1, styles), and a net of a single "
            "style takes none"
        )
    x = jnp.asarray(x)
    mode: dict[str, Any] = {} if mix is None else {"mix": mix}
    mode |= {} if probe is None else {"probe": probe}
    graph, empty_params, empty_stats = _structure(config)
    model = nnx.merge(graph, _nested(empty_params, params), _nested(empty_stats, stats))
    h, w = x.shape[1:3]
    multiple, start = geometry.rounding(config), config.start_padding
    pads = ((0, 0), (start, start + -h % multiple), (start, start + -w % multiple), (0, 0))
    z = encode(config, jnp.pad(x, pads, mode="reflect") if max(map(max, pads)) else x)
    y = model(z if dtype is None else z.astype(dtype), train=train, axis_name=axis_name, **mode)
    # TensorFlow's padding of odd sizes moves the content by as much as it rounds the size up.
    moves = config.padding == "same" and config.fit == "crop"
    top, left = ((y.shape[i] - config.scale * x.shape[i]) * moves for i in (1, 2))
    y = y.astype(jnp.promote_types(y.dtype, jnp.float32))[:, top:, left:][
        :, : config.scale * h, : config.scale * w
    ]
    return decode(config, y, x), _flat(nnx.state(model, nnx.BatchStat))


def _mix_shapes(config: TransformNetConfig, count: int) -> tuple[Any, ...]:
    return ((count, config.styles), (1, config.styles)) if config.styles else (None,)


@lru_cache(maxsize=64)
def _structure(config: TransformNetConfig) -> tuple[Any, Any, Any]:
    return _split(nnx.eval_shape(lambda: TransformNet(config, nnx.Rngs(0))))


def _split(model: TransformNet) -> tuple[Any, Any, Any]:
    graph, params, *rest = nnx.split(model, nnx.Param, nnx.BatchStat)
    return graph, params, rest[0]


def shapes(
    config: TransformNetConfig,
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Returns the shapes of the parameters and of the running statistics, by name, without
    computing."""
    _, params, stats = _structure(config)
    return {k: v.shape for k, v in _flat(params).items()}, {
        k: v.shape for k, v in _flat(stats).items()
    }


def _flat(state: Any) -> Variables:
    return {".".join(map(str, path)): leaf.get_value() for path, leaf in nnx.to_flat_state(state)}


def _nested(structure: Any, values: Variables) -> Any:
    flat = nnx.to_flat_state(structure)
    return nnx.from_flat_state(
        [(path, leaf.replace(values[".".join(map(str, path))])) for path, leaf in flat]
    )
