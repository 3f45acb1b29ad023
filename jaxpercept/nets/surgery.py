"""Makes the parameters of one transform net from those of another: a net of other styles, of a
single style, or of more layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxpercept.config import TransformNetConfig
from jaxpercept.nets import transform_net
from jaxpercept.nets.transform_net import Variables


def style_parameters(config: TransformNetConfig) -> tuple[str, ...]:
    """Returns the names of the parameters that have a row per style, or none in a net of a single
    style."""
    return tuple(
        name for name, shape in transform_net.shapes(config)[0].items() if len(shape) == 2
    )  # kernels have 4 axes, biases 1


def restyle(config: TransformNetConfig, params: Variables, rows: Sequence[int | None]) -> Variables:
    """Returns parameters of `config`, a net of several styles, from the same net with other styles
    or with one. Row i is a copy of the earlier row rows[i], or the mean of all for None."""
    out = dict(params)
    for name in style_parameters(config):
        old = jnp.atleast_2d(params[name])
        out[name] = jnp.stack([old.mean(0) if row is None else old[row] for row in rows])
    return out


def single_style(config: TransformNetConfig, params: Variables, mix: ArrayLike) -> Variables:
    """Returns the parameters of a net of one style from a multi-style net. `mix` (1, styles)
    chooses a style or a blend."""
    # As in the net's own mixture, "highest" makes a weight of 1 give its row exactly, also on
    # accelerators.
    rows = {
        name: jnp.matmul(mix, params[name], precision="highest")[0]
        for name in style_parameters(config)
    }
    return {**params, **rows}


def grown(
    old: TransformNetConfig, params: Variables, config: TransformNetConfig
) -> Variables | None:
    """Returns parameters of `config` that compute the same function as `old`, at the scale of
    `config`. `config` is a net that differs from `old` only by more residual blocks, by gates, or
    by the scale of its head. A new block adds nothing yet, and a gate of zero changes nothing. Each
    sub-pixel of another scale is that of `old` at its place. Returns None if the nets differ
    otherwise."""
    same = dataclasses.replace(
        old,
        preset=config.preset,
        blocks=config.blocks,
        gate=config.gate,
        head_scale=config.head_scale,
    )
    if same != config or config.blocks < old.blocks or (old.gate and not config.gate):
        return None
    if config.norm != "none" or config.start_padding:
        return None
    out = {**transform_net.init(config)[0], **params}
    for name in out.keys() - params.keys():
        if ".conv2." in name:
            out[name] = jnp.zeros_like(out[name])
    for name in ("head.kernel", "head.bias"):
        if name in out:
            out[name] = _rescaled(jnp.asarray(out[name]), old.head_scale, config.head_scale)
    return out


def _rescaled(head: Array, old: int, new: int) -> Array:
    """Returns the head's (…, old² · 3) channels as (…, new² · 3), by nearest neighbour."""
    at = np.arange(new) * old // new
    pixels = head.reshape(*head.shape[:-1], old, old, 3)
    return pixels[..., at, :, :][..., at, :].reshape(*head.shape[:-1], new * new * 3)
