"""Makes a second view of each training photo, with a motion that is known exactly. A net can then
learn to be steady on films without films.

The view of an image depends only on the seed, the step and the image's place in the global batch. A
resumed run therefore draws the same views, and so does any number of devices.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxpercept.losses import motion

CELLS = 5  # the smooth field is drawn at CELLS × CELLS points
# A film's codec leaves noise of every size. Nets react most to noise some pixels wide.
GRAINS = (1, 4, 16)  # pixels between the points of each kind of noise


@dataclass(frozen=True)
class Ranges:
    """How far a view may differ from its photo, in both directions [ours].

    Half of the views move by up to `whole` whole pixels, at which nets of stride 4 flicker most.
    The others move as between frames of a film: by an affine flow (`shift` in pixels, `zoom` as a
    share, `turn` in radians) plus a smooth field of up to `field` pixels. `gain` is a share of the
    brightness, and `noise` the largest standard deviation of each kind of noise."""

    whole: int = 3
    shift: float = 4.0
    zoom: float = 0.03
    turn: float = 0.03
    field: float = 2.0
    noise: float = 2 / 255
    gain: float = 0.03


USUAL = Ranges()


def draw(
    seed: int,
    step: Array,
    first: Array,
    photos: Float[Array, "n h w 3"],
    ranges: Ranges = USUAL,
) -> tuple[Float[Array, "n h w 3"], Float[Array, "n h w 2"]]:
    """Returns the second views and their flows, see `losses.motion`. `photos`, in [0, 1], are those
    of the global batch from the number `first` on, at a step counted from 0."""
    of_step = jax.random.fold_in(jax.random.key(seed), step)
    keys = jax.vmap(lambda i: jax.random.fold_in(of_step, i))(first + jnp.arange(len(photos)))
    # Draws all numbers of an image at once, since each draw takes long to compile.
    numbers = jax.vmap(lambda key: jax.random.uniform(key, (_COUNT,), photos.dtype, -1, 1))(keys)
    others = 1 + len(GRAINS)
    flows = jax.vmap(lambda n: _flow(ranges, n[others:], *photos.shape[1:3]))(numbers)
    # One image after the other, since the rounding of a resize depends on the size of the batch.
    noise = jax.lax.map(
        lambda given: _noise(jax.random.fold_in(given[0], 0), ranges.noise * given[1], photos[0]),
        (keys, numbers[:, 1:others]),
    )
    gain = (1 + ranges.gain * numbers[:, 0]).reshape(-1, 1, 1, 1)
    return jnp.clip(gain * motion.warped(photos, flows) + noise, 0, 1), flows


_COUNT = 1 + len(GRAINS) + 7 + 2 * CELLS**2


def _noise(key: Array, deviations: Array, like: Array) -> Array:
    """Returns noise of the shape of `like` (H, W, C), the sum of one for each of `GRAINS`."""
    height, width, channels = like.shape
    shapes = [(-(-height // grain), -(-width // grain), channels) for grain in GRAINS]
    counts = [math.prod(shape) for shape in shapes]
    drawn = jax.random.normal(key, (sum(counts),), like.dtype)
    parts = jnp.split(drawn, list(itertools.accumulate(counts))[:-1])
    smooth = (
        jax.image.resize(part.reshape(shape), like.shape, "cubic")
        for part, shape in zip(parts, shapes, strict=True)
    )
    return sum(d * x for d, x in zip(deviations, smooth, strict=True))


def _flow(ranges: Ranges, numbers: Array, height: int, width: int) -> Array:
    """Returns a flow (H, W, 2) from 7 + 2 · CELLS² numbers in [-1, 1)."""
    whole = jnp.floor((2 * ranges.whole + 1) * (numbers[1:3] + 1) / 2) - ranges.whole
    most = jnp.array([ranges.shift, ranges.shift, ranges.zoom, ranges.turn], numbers.dtype)
    right, down, zoom, turn = numbers[3:7] * most
    rows = (jnp.arange(height, dtype=numbers.dtype) - (height - 1) / 2)[:, None]
    columns = (jnp.arange(width, dtype=numbers.dtype) - (width - 1) / 2)[None, :]
    affine = [right + zoom * columns - turn * rows, down + zoom * rows + turn * columns]
    coarse = ranges.field * numbers[7:].reshape(CELLS, CELLS, 2)
    smooth = jnp.stack(affine, -1) + jax.image.resize(coarse, (height, width, 2), "cubic")
    return jnp.where(numbers[0] < 0, whole.reshape(1, 1, 2), smooth)
