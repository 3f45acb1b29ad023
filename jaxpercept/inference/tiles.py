"""Images too large for one pass through a style net: tiles, with the instance norms' statistics of
the whole image.

An instance norm whose statistics are known is a batch norm in inference. So the net runs over the
tiles once for every norm, in order, with the statistics of those before it, and gathers the next
ones exactly (Chan, Golub, LeVeque 1983); the last pass gives the pixels. Tiles overlap by the net's
reach, and memory is that of one tile and of the image, uint8 in and out. It takes about half as
many times the work of one pass as the net has norms, and the overlap's.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.config import TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.inference.model import Model
from jaxpercept.nets import transform_net
from jaxpercept.runtime import allocator

TILE = 768  # of the tiles chosen here: pixels a side, overlap not included
LIVE = 8  # full-resolution activations that an untiled run holds at once, about


class _Axis(NamedTuple):
    """A tile along one axis: it is good for [first, end), and the net sees `length` pixels from
    `start`. Divided by the strides, `length` leaves what `size` leaves, so that the layers round
    up, and pad, in the same places."""

    first: int
    end: int
    start: int
    length: int
    size: int  # of the image

    def within(self, sides: int, step: int, rounding: int) -> tuple[int, int]:
        """[first, end) of the tile's own part of an activation that is `sides` long, with `step`
        pixels to a place, of a length that was rounded up to a multiple of `rounding`; at the
        image's borders, all that lies beyond."""
        places = -(-self.length // rounding) * rounding // step
        offset = (sides - places) // 2  # of start padding that the layers have not used up yet
        first = offset + (self.first - self.start) // step if self.first else 0
        return first, offset + (self.end - self.start) // step if self.end < self.size else sides


def choose_tile(model: Model, height: int, width: int) -> int:
    """Pixels a side of the tiles for an image of this size; 0, no tiles, if memory is enough or
    there are none."""
    needed = LIVE * 4 * model.config.stem * height * width
    return TILE if needed > _memory() and _fits(model.config, height, width) else 0


def _fits(config: TransformNetConfig, height: int, width: int) -> bool:
    """Whether tiles can equal the whole: reflection up to the strides, then start padding, is not
    done tile by tile."""
    divided = not any(side % 2 ** len(config.down) for side in (height, width))
    return config.scale == 1 and (divided or config.fit == "crop" or not config.start_padding)


def stylize_file(
    model: Model,
    path: Path,
    *,
    tile: int,
    size: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    **options: Any,
) -> NDArray[np.uint8]:
    """`run` on an image file, scaled to the longer side `size` first. Raises InputError like
    `images.load_image`."""
    if not size:
        return run(model, images.load_uint8(path, max_pixels=max_pixels), tile, **options)
    scaled = images.resize(images.load_image(path, max_pixels=max_pixels), size, "long")
    return run(model, images.to_uint8(scaled), tile, **options)


def _memory() -> int:
    """Bytes that this machine, or the accelerator, has left."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    info = Path("/proc/meminfo")
    lines = dict(line.split(":") for line in info.read_text().splitlines()) if info.exists() else {}
    if "MemAvailable" in lines:
        return int(lines["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def reach(config: TransformNetConfig) -> int:
    """Pixels on every side that an output pixel depends on, statistics aside; a multiple of the
    strides."""
    scale, pixels = 1, config.stem_size // 2
    for _ in config.down:
        pixels += scale
        scale *= 2
    pixels += 2 * config.blocks * scale
    for _ in config.up:
        pixels += scale  # two source pixels around each, at most
        scale //= 2
    multiple = 2 ** len(config.down)
    moved = multiple * (config.fit == "crop")  # the most by which rounding up moves the content
    return -(-(pixels + config.head_size // 2 + 1) // multiple) * multiple + moved


def run(
    model: Model,
    pixels: NDArray[np.uint8],
    tile: int,
    *,
    grain: float = 0.0,
    finish: Callable[[images.Float, images.Float], images.Float] = lambda output, content: output,
    progress: Callable[[str], None] = lambda line: None,
) -> NDArray[np.uint8]:
    """The style net's output for (H, W, 3), equal to the untiled one within rounding. `grain`: of
    `images.grain`, which takes another copy of the image. `finish(output, content)`: what is kept
    of a tile, pixel by pixel. `progress` gets a line a pass. InputError for a net that cannot be
    tiled."""
    config, multiple = model.config, 2 ** len(model.config.down)
    height, width = pixels.shape[:2]
    spare = (-height % multiple, -width % multiple) if config.fit == "reflect" else (0, 0)
    if min(height, width) < transform_net.MIN_SIDE or not _fits(config, height, width):
        raise InputError(
            f"{model.name}: no tiles for {width}x{height}; at least {transform_net.MIN_SIDE} "
            "pixels a side and, for "
            f"this net's padding, multiples of {multiple}; leave out --tile, or crop the image"
        )
    whole = images.grain(pixels, grain)
    whole = (
        np.pad(whole, ((0, spare[0]), (0, spare[1]), (0, 0)), mode="reflect")
        if any(spare)
        else whole
    )
    tile = max(multiple, tile // multiple * multiple)
    tiles = [
        (a, b)
        for a in _axes(whole.shape[0], tile, config)
        for b in _axes(whole.shape[1], tile, config)
    ]
    fixed = (
        dataclasses.replace(config, norm="batch", styles=0) if config.norm == "instance" else config
    )
    params: transform_net.Variables = model.single_style()
    stats: dict[str, Any] = dict(model.stats)
    norms = [k.removesuffix(".mean") for k in transform_net.shapes(fixed)[1] if k.endswith(".mean")]
    norms = sorted(norms, key=_order) if config.norm == "instance" else []
    stats |= {
        f"{n}.{k}": jnp.zeros_like(params[f"{n}.scale"]) for n in norms for k in ("mean", "var")
    }
    for number, name in enumerate(norms):
        allocator.release()  # of the decoder, then of the pass before: each pass has its own programs and scratch
        progress(f"pass {number + 1} of {len(norms) + 1}: statistics of {name}, {len(tiles)} tiles")
        total = _Moments()
        for rows, columns in tiles:
            before = _before(fixed, number, model.dtype)(params, stats, _seen(whole, rows, columns))
            grid = _grid(name, config)
            own = [
                axis.within(sides, *grid)
                for axis, sides in zip((rows, columns), before.shape[1:3], strict=True)
            ]
            total.add(*map(np.asarray, _moments(before, *own)))
        stats |= {
            f"{name}.mean": jnp.asarray(total.mean, jnp.float32),
            f"{name}.var": jnp.asarray(total.squares / total.count, jnp.float32),
        }
    allocator.release()
    progress(f"pass {len(norms) + 1} of {len(norms) + 1}: pixels, {len(tiles)} tiles")
    out = np.empty_like(pixels)
    for rows, columns in tiles:
        seen = _seen(whole, rows, columns)
        inside = np.s_[
            rows.first - rows.start : rows.end - rows.start,
            columns.first - columns.start : columns.end - columns.start,
        ]
        output = np.asarray(_output(fixed, model.dtype)(params, stats, seen))[0][inside]
        place = np.s_[rows.first : rows.end, columns.first : columns.end]
        content = images.to_float(pixels[place])  # without what was reflected
        out[place] = images.to_uint8(
            finish(output[: content.shape[0], : content.shape[1]], content)
        )
    allocator.release()  # room for the encoder
    return out


def _axes(size: int, tile: int, config: TransformNetConfig) -> Iterator[_Axis]:
    overlap = reach(config)
    length = min(size, tile + 2 * overlap + size % 2 ** len(config.down))
    for first in range(0, size, tile):
        start = min(max(first - overlap, 0), size - length)
        yield _Axis(first, min(first + tile, size), start, length, size)


def _seen(whole: NDArray[np.uint8], rows: _Axis, columns: _Axis) -> NDArray[np.float32]:
    part = whole[
        None, rows.start : rows.start + rows.length, columns.start : columns.start + columns.length
    ]
    return part.astype(np.float32) / np.float32(255)


def _order(name: str) -> tuple[int, ...]:
    """Where a norm comes in the net."""
    part, *rest = name.split(".")
    place = ("stem_norm", "down_norm", "blocks", "up_norm", "head_norm").index(part)
    return (place, *(int(r.removeprefix("norm")) for r in rest))


def _grid(name: str, config: TransformNetConfig) -> tuple[int, int]:
    """Of what the norm gets: pixels to a place, and what its length in pixels was rounded up to a
    multiple of."""
    part, *rest = name.split(".")
    layers, deepest = int(rest[0]) + 1 if rest else 0, 2 ** len(config.down)
    if part in ("stem_norm", "down_norm"):
        return 2**layers, 2**layers
    if part == "blocks":
        return deepest, deepest
    return (1 if part == "head_norm" else deepest // 2**layers), deepest


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


@jax.jit
def _moments(
    before: Array, rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Count, mean and squares of one part of an activation; slices of it would be compiled for
    every place and size."""
    y, x = (jax.lax.broadcasted_iota(jnp.int32, (*before.shape[1:3], 1), axis) for axis in (0, 1))
    own = (rows[0] <= y) & (y < rows[1]) & (columns[0] <= x) & (x < columns[1])
    count = own.sum()
    mean = jnp.where(own, before[0], 0).sum((0, 1), keepdims=True) / count
    return count, mean[0, 0], jnp.where(own, jnp.square(before[0] - mean), 0).sum((0, 1))


@lru_cache(maxsize=64)
def _before(config: TransformNetConfig, number: int, dtype: Any) -> Callable[..., Array]:
    def before(params: Any, stats: Any, x: Array) -> Array:
        seen: list[Array] = []
        transform_net.apply(config, params, stats, x, dtype=dtype, probe=seen)
        return seen[number].astype(jnp.float32)  # what comes after it is not computed

    return jax.jit(before)


@lru_cache(maxsize=8)
def _output(config: TransformNetConfig, dtype: Any) -> Callable[..., Array]:
    apply = partial(transform_net.apply, config, dtype=dtype)
    return jax.jit(lambda params, stats, x: jnp.clip(apply(params, stats, x)[0], 0, 1))
