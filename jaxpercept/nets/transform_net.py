"""The image transform network f_W (Johnson et al. 2016, section 3.1 and supplementary material).

Images are float RGB in [0, 1], NHWC, in and out. Only `encode` and `decode` know another range. The
output is not clipped: `inference` clips it, and losses see it unclipped unless `TrainConfig.clip`
is set. Variables are two flat dicts of arrays, parameters and running statistics (empty without
batch norm): `{"blocks.0.conv1.kernel": (3, 3, 128, 128), …}`.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxpercept.config import TransformNetConfig
from jaxpercept.images import resampling
from jaxpercept.nets import geometry
from jaxpercept.nets.conv.plain import Image
from jaxpercept.nets.shapes import shapes as shapes

Variables = dict[str, Array]
VGG_MEAN_BGR = (
    103.939,
    116.779,
    123.68,
)  # the authors' preprocess.lua; the loss network's mean is in its own file


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
    from jaxpercept.nets import module  # only here and in `apply`: Flax takes long to import

    return module.fresh(config, seed)


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
    at least `config.least_side`.

    Sizes that the stride-2 layers do not divide are reflected at the bottom and right, and the
    output is cropped to the input's place. If `config.fit` is "crop" (imported nets that round up
    by themselves), nothing is reflected.
    axis_name: the mapped axis of the replicas over which batch statistics are reduced.
    dtype: the type to compute in (bfloat16).
    probe: a list to which each batch norm's input is appended, in order.
    mix: for a multi-style net, the styles' weights for each image, or (1, styles) for all images.
    Raises ValueError for another rank or channel count, a shorter side, or a `mix` that does not
    fit the net."""
    from jaxpercept.nets import module

    least = config.least_side
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
    model = module.filled(config, params, stats)
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
    return decode(config, y, x), module.statistics(model)


def _mix_shapes(config: TransformNetConfig, count: int) -> tuple[Any, ...]:
    return ((count, config.styles), (1, config.styles)) if config.styles else (None,)
