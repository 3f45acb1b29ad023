"""Trains from photos in the device's memory (`--cache device`). The compiled step cuts and augments
the crops, and one call makes several steps, so that an accelerator never waits for the host.

Crops have the same distribution as those of `data.pipeline`. A crop depends only on its photo and
its seed. Therefore the number of devices or processes and a resume change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxpercept.config import TrainConfig
from jaxpercept.data.loading import CHANNEL_GAMMA, GAMMA, ZOOM
from jaxpercept.data.resident import PAGE, Photos
from jaxpercept.errors import InputError, Name
from jaxpercept.training import directory
from jaxpercept.training.step import Batch, TrainState

_MOST = 10  # the most steps per call
Step = Callable[..., tuple[TrainState, dict[str, Array]]]


def choose_cache(config: TrainConfig, count: int, devices: Sequence[jax.Device]) -> str:
    """Returns "host" or "device" for `config.cache` "auto". A resumed run keeps what it began with.
    A new run uses the device if the device has its own memory, if the photos take at most half of
    it, and if the run draws at least as many crops as there are photos."""
    if config.cache != "auto":
        return config.cache
    if config.task == "superres":
        return "host"
    if began := directory.cache_of(Path(config.out)):
        return began
    photo = round(config.image_size * (ZOOM if config.augment else 1)) ** 2 * 3 * 1.5
    fits = count * photo <= _memory(devices) / 2
    seen = config.steps * config.batch_size >= count
    return "device" if fits and seen else "host"


def check_room(photos: Photos, devices: Sequence[jax.Device]) -> None:
    """Raises InputError if the photos do not fit into the memory of each device."""
    needed, there = sum(x.nbytes for x in photos), _memory(devices)
    if there and needed > 0.9 * there:
        raise InputError(
            Name("cache"),
            f" device: the photos take {needed / 2**30:.1f} GiB, and the device has "
            f"{there / 2**30:.1f} GiB; use host",
        )


def _memory(devices: Sequence[jax.Device]) -> int:
    """Returns the bytes of the smallest device of this process, or 0 if a device has no memory of
    its own, as a CPU."""
    stats = [d.memory_stats() for d in devices if d.process_index == jax.process_index()]
    return min((s or {}).get("bytes_limit", 0) for s in stats)


def per_call(config: TrainConfig) -> int:
    """Returns the number of steps per call. It divides `log_every`, so that a line's times are
    those of its steps."""
    if config.cache != "device":
        return 1
    return max(n for n in range(1, _MOST + 1) if config.log_every % n == 0)


def calls(first: int, config: TrainConfig) -> Iterator[range]:
    """Yields the steps of each call after step `first`. A call ends where something is shown or
    saved."""
    start = first + 1
    while start <= config.steps:
        every = (per_call(config), config.checkpoint_every, config.preview_every)
        end = min(config.steps, *(-(-start // n) * n for n in every))
        end = 1 if start == 1 else end
        yield range(start, end + 1)
        start = end + 1


def stacked(batches: list[dict[str, Any]], count: int) -> dict[str, np.ndarray]:
    """Makes one batch (N, count, …) of the batches of a call. Fewer than `count` batches are filled
    up, so that all calls use the same program; "live" (N, count) tells which of them count."""
    padded = batches + batches[-1:] * (count - len(batches))
    joined = {k: np.stack([b[k] for b in padded], axis=1) for k in batches[0]}
    size = len(next(iter(joined.values())))
    return joined | {"live": np.tile(np.arange(count) < len(batches), (size, 1))}


def make_steps(config: TrainConfig, step: Step) -> Step:
    """Returns `steps(state, batch, *constants, photos) -> (state, metrics)`, which makes several
    steps. `batch` comes from `stacked`, and every metric has one value per step."""

    def steps(state: TrainState, batch: Batch, *constants: Any) -> tuple[TrainState, Any]:
        *rest, photos = constants

        def one(state: TrainState, named: Batch) -> tuple[TrainState, Any]:
            live = named.pop("live")[0]
            crop = partial(_crop, photos, size=config.image_size, augment=config.augment)
            target = jax.vmap(crop)(named.pop("photo"), named.pop("seed"))
            after, metrics = step(state, {**named, "target": target}, *rest)
            return jax.tree.map(partial(jnp.where, live), after, state), metrics

        by_step = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), batch)
        return lax.scan(one, state, by_step)

    return steps


def _crop(photos: Photos, photo: Array, seed: Array, *, size: int, augment: bool) -> Array:
    """Returns a crop (size, size, 3) uint8 with the pipeline's distribution."""
    height, width = photos.size[photo]
    drawn = jax.random.uniform(jax.random.key(seed), (10,))  # one, since each compiles slowly

    def whole(number: Array, most: Array) -> Array:
        return (number * (most + 1).astype(jnp.float32)).astype(jnp.int32)

    side = jnp.int32(size)
    if augment:
        side = side + whole(drawn[0], jnp.minimum(height, width) - side)
    top, left = whole(drawn[1], height - side), whole(drawn[2], width - side)
    if not augment:
        return _window(photos, photo, top, left, size)
    gamma = jnp.exp(GAMMA * (2 * drawn[3] - 1) + CHANNEL_GAMMA * (2 * drawn[4:7] - 1))
    window = _window(photos, photo, top, left, round(size * ZOOM))
    # A quarter turn is a transposition and a mirroring, so these make all eight positions.
    return _turned(_brightened(window, gamma, side, size), drawn[7:] < 0.5)


def _window(photos: Photos, photo: Array, top: Array, left: Array, size: int) -> Array:
    """Returns (size, size, 3) of the photo's pixels. Beyond its edges, the pixels at the edge are
    repeated."""
    height, width = photos.size[photo]
    rows = jnp.minimum(top + jnp.arange(size), height - 1)
    columns = jnp.minimum(left + jnp.arange(size), width - 1)
    pixel = rows[:, None] * width + columns[None, :]
    return photos.pixels[photos.page[photo] + pixel // PAGE, pixel % PAGE]


def _brightened(window: Array, gamma: Array, side: Array, size: int) -> Array:
    """Returns the first `side` rows and columns with their colours raised to `gamma`, resized to
    (size, size, 3)."""
    bright = jnp.round(255 * (window.astype(jnp.float32) / 255) ** gamma[None, None, :])
    weights = _bicubic(side, window.shape[0], size)
    for spec in ("jx,yxc->yjc", "iy,yjc->ijc"):  # Pillow also rounds in between
        filtered = jnp.einsum(spec, weights, bright, precision="highest")
        bright = jnp.clip(jnp.round(filtered), 0, 255)
    return bright.astype(jnp.uint8)


def _bicubic(side: Array, window: int, size: int) -> Array:
    """Returns the matrix (size, window) of Pillow's antialiased bicubic filter, which reads the
    first `side` pixels."""
    scale = side.astype(jnp.float32) / size
    centre = (jnp.arange(size, dtype=jnp.float32) + 0.5) * scale - 0.5
    pixel = jnp.arange(window, dtype=jnp.float32)
    x = jnp.abs(pixel[None, :] - centre[:, None]) / jnp.maximum(scale, 1)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = jnp.where(x < 1, near, jnp.where(x < 2, far, 0))
    weights = jnp.where(pixel[None, :] < side.astype(jnp.float32), weights, 0)
    return weights / weights.sum(1, keepdims=True)


def _turned(image: Array, moves: Array) -> Array:
    image = jnp.where(moves[0], image.swapaxes(0, 1), image)
    image = jnp.where(moves[1], image[::-1], image)
    return jnp.where(moves[2], image[:, ::-1], image)
