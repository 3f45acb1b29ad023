"""Compares two views of one scene that are aligned along a known flow: pure functions of arrays.

A flow (N, H, W, 2) says, for each pixel of the second view, how far to the right and down it lies
in the first, in pixels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxpercept.losses.functions import floating, luma, widen


def warped(x: Float[Array, "n h w c"], flow: Float[Array, "n h w 2"]) -> Float[Array, "n h w c"]:
    """Returns the first view's `x` as the second sees it: sampled bilinearly where `flow` leads,
    and mirrored beyond the border."""
    if x.ndim != 4 or flow.shape != (*x.shape[:3], 2):
        raise ValueError(f"warped: arrays {x.shape} and {flow.shape} are not (N, H, W, C) and 2")
    return jax.vmap(_read)(x, widen(flow))


def _read(x: Array, flow: Array) -> Array:
    rows, columns = _from(flow)
    height, width = x.shape[:2]
    (top, bottom, down), (left, right, across) = _around(rows, height), _around(columns, width)
    above = x[top, left] * (1 - across) + x[top, right] * across
    below = x[bottom, left] * (1 - across) + x[bottom, right] * across
    return above * (1 - down) + below * down


def _from(flow: Array) -> tuple[Array, Array]:
    """Returns the rows and columns that a flow (H, W, 2) leads to."""
    rows, columns = (jnp.arange(side, dtype=flow.dtype) for side in flow.shape[:2])
    return rows[:, None] + flow[..., 1], columns[None, :] + flow[..., 0]


def _around(at: Array, size: int) -> tuple[Array, Array, Array]:
    """Returns the two neighbours of positions, and the second one's share, (H, W, 1)."""
    last = size - 1
    at = jnp.clip(last - jnp.abs(last - jnp.abs(at)), 0, last)
    low = jnp.floor(at)
    first = low.astype(jnp.int32)
    return first, jnp.minimum(first + 1, last), (at - low)[..., None]


def inside(flow: Float[Array, "n h w 2"]) -> Float[Array, "n h w 1"]:
    """Returns 1 where a flow leads to a point of the first view, 0 elsewhere."""
    if flow.ndim != 4 or flow.shape[3] != 2:
        raise ValueError(f"inside: expected a flow (N, H, W, 2), got {flow.shape}")
    flow = widen(flow)
    height, width = flow.shape[1:3]
    rows, columns = jax.vmap(_from)(flow)
    seen = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    return seen.astype(flow.dtype)[..., None]


def stability_loss(
    second: Float[Array, "n h w 3"],
    first: Float[Array, "n h w 3"],
    second_input: Float[Array, "n h w 3"],
    first_input: Float[Array, "n h w 3"],
    flow: Float[Array, "n h w 2"],
) -> Float[Array, " n"]:
    """Returns the flicker between a net's pictures of two views, (N,), in their squared units, at
    least in float32. It is not in the paper.

    From the second picture, the first one along the flow and the input's own change in luma are
    subtracted. The loss is the mean square over channels and the pixels where the flow leads
    inside: the temporal loss of ReCoNet (Gao et al. 2018, arXiv 1807.01197)."""
    if not second.shape == first.shape == second_input.shape == first_input.shape:
        raise ValueError(
            f"stability_loss: pictures {second.shape}, {first.shape} and inputs "
            f"{second_input.shape}, {first_input.shape} are not all of one shape"
        )
    floating("stability_loss", second, first, second_input, first_input, flow)
    changed = luma(widen(second_input) - warped(widen(first_input), flow))
    apart = jnp.square(widen(second) - warped(widen(first), flow) - changed)
    seen = inside(flow)
    return (seen * apart).sum((1, 2, 3)) / (second.shape[3] * jnp.maximum(seen.sum((1, 2, 3)), 1))
