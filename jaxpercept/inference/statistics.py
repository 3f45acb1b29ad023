"""Runs style nets in tiles, for images too large for one pass, with the instance norms' statistics
of the whole image.

An instance norm with known statistics is a batch norm in inference. The net therefore runs over the
tiles once per norm, in order, with the statistics of the earlier norms, and gathers the next norm's
statistics exactly (Chan, Golub, LeVeque 1983). The last pass gives the pixels. Tiles overlap by the
net's reach. Memory holds one tile and the image, uint8 in and out. The work is that of one pass
times about half the number of norms, plus the overlap.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jaxpercept.config import TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.inference import cutting
from jaxpercept.inference.model import PROGRAMS, Net, in_jax
from jaxpercept.nets import geometry, transform_net
from jaxpercept.runtime import allocator


def run(
    model: Net,
    pixels: NDArray[Any],
    tile: int,
    *,
    deep: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> NDArray[Any]:
    """Returns a style net's output for (H, W, 3), equal to the untiled one within rounding: uint8,
    or float32 if `deep`. `progress` gets a line per pass. Raises InputError for a net that cannot
    be tiled."""
    height, width = pixels.shape[:2]
    _check(model, height, width)
    if (found := in_jax(model)) is None:
        raise InputError(f"{model.name}: its runtime cannot work in tiles; leave out --tile")
    if found is not model:
        progress(f"{model.name}: tiles run in JAX")
    model = found
    whole, step = _padded(model.config, pixels), geometry.multiple(model.config)
    side = max(step, tile // step * step)
    config, params, stats = model.config, model.single_style(), dict(model.stats)
    norms = geometry.norms(config) if config.norm == "instance" else []
    if norms:
        config = dataclasses.replace(config, norm="batch", styles=0)
    for norm in norms:
        unknown = jnp.zeros_like(params[f"{norm.name}.scale"])
        stats |= {f"{norm.name}.mean": unknown, f"{norm.name}.var": unknown}
    parts = cutting.both_axes(model, whole, side)
    for number, norm in enumerate(norms):
        allocator.release()  # frees what the decoder or the last pass used
        progress(
            f"pass {number + 1} of {len(norms) + 1}: statistics of {norm.name}, {len(parts)} tiles"
        )
        total = _Moments()
        for rows, columns in parts:
            seen = cutting.seen(whole, rows, columns)
            before = _before(config, number, model.dtype, seen.shape)(params, stats, seen)
            own = [
                _own(norm, axis, sides)
                for axis, sides in zip((rows, columns), before.shape[1:3], strict=True)
            ]
            total.add(*map(np.asarray, _moments(before, *own)))
        stats |= {
            f"{norm.name}.mean": jnp.asarray(total.mean, jnp.float32),
            f"{norm.name}.var": jnp.asarray(total.squares / total.count, jnp.float32),
        }
    allocator.release()
    progress(f"pass {len(norms) + 1} of {len(norms) + 1}: pixels, {len(parts)} tiles")

    def call(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(_output(config, model.dtype, seen.shape)(params, stats, seen))

    out = cutting.assembled(model, whole, side, call, deep=deep)
    allocator.release()  # makes room for the encoder
    return out[:height, :width]


def fits(model: Net, height: int, width: int) -> bool:
    """Returns whether a style net's tiles can equal the whole. Tiles do not support reflection up
    to the strides followed by start padding."""
    config = model.config
    divided = not any(side % geometry.multiple(config) for side in (height, width))
    return config.scale == 1 and (divided or config.fit == "crop" or not config.start_padding)


def _check(model: Net, height: int, width: int) -> None:
    least = model.config.least_side
    if min(height, width) < least or not fits(model, height, width):
        raise InputError(
            f"{model.name}: cannot work in tiles on {width}x{height}, which needs at least "
            f"{least} pixels per side and, for this net's padding, multiples of "
            f"{geometry.multiple(model.config)}; leave out --tile, or crop the image"
        )


def _padded(config: TransformNetConfig, pixels: NDArray[Any]) -> NDArray[Any]:
    """Reflects the image up to sides that the strides divide, as the net does."""
    spare = [(0, -side % geometry.rounding(config)) for side in pixels.shape[:2]]
    return np.pad(pixels, (*spare, (0, 0)), mode="reflect") if any(map(any, spare)) else pixels


def _own(norm: geometry.Norm, axis: geometry.Tile, sides: int) -> tuple[int, int]:
    """Returns [first, end) of the tile's own part of a norm's input, which is `sides` long. At the
    image's borders it includes all that lies beyond."""
    places = -(-axis.length // norm.rounding) * norm.rounding // norm.step
    offset = (sides - places) // 2  # the start padding not used up yet
    first = offset + (axis.first - axis.start) // norm.step if axis.first else 0
    last = offset + (axis.end - axis.start) // norm.step if axis.end < axis.size else sides
    return first, last


class _Moments:
    """Mean and sum of squared deviations of values that come in parts, in float64."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, np.float64(0), np.float64(0)

    def add(self, count: Any, mean: Any, squares: Any) -> None:
        count, mean = int(count), mean.astype(np.float64)
        both = self.count + count
        apart = mean - self.mean
        self.squares = (
            self.squares + squares.astype(np.float64) + apart**2 * (self.count * count / both)
        )
        self.mean = self.mean + apart * (count / both)
        self.count = both


def _moments(
    before: Array, rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Returns the count, mean and squares of one part of an activation. A mask selects the part,
    because slices would be compiled for every place and size."""
    return _moments_of(before.shape)(before, rows, columns)


@lru_cache(maxsize=PROGRAMS)
def _moments_of(shape: tuple[int, ...]) -> Callable[..., tuple[Array, Array, Array]]:
    @jax.jit
    def moments(
        before: Array, rows: tuple[int, int], columns: tuple[int, int]
    ) -> tuple[Array, Array, Array]:
        y, x = (jax.lax.broadcasted_iota(jnp.int32, (*shape[1:3], 1), axis) for axis in (0, 1))
        own = (rows[0] <= y) & (y < rows[1]) & (columns[0] <= x) & (x < columns[1])
        count = own.sum()
        mean = jnp.where(own, before[0], 0).sum((0, 1), keepdims=True) / count
        return count, mean[0, 0], jnp.where(own, jnp.square(before[0] - mean), 0).sum((0, 1))

    return moments


@lru_cache(maxsize=2 * PROGRAMS)  # a net has 16 norms, so this serves two tile sizes
def _before(
    config: TransformNetConfig, number: int, dtype: Any, shape: tuple[int, ...]
) -> Callable[..., Array]:
    def before(params: Any, stats: Any, x: Array) -> Array:
        seen: list[Array] = []
        transform_net.apply(config, params, stats, x, dtype=dtype, probe=seen)
        return seen[number].astype(jnp.float32)  # the layers after it are not computed

    return jax.jit(before)


@lru_cache(maxsize=4)
def _output(config: TransformNetConfig, dtype: Any, shape: tuple[int, ...]) -> Callable[..., Array]:
    apply = partial(transform_net.apply, config, dtype=dtype)
    return jax.jit(lambda params, stats, x: jnp.clip(apply(params, stats, x)[0], 0, 1))
