"""Runs one image through any net, whole or in tiles.

Nets that see a fixed neighbourhood (super-resolution) give the same in tiles that overlap by it.
Style nets also need the statistics of the whole image: see `statistics`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.config import TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.inference import cutting, statistics
from jaxpercept.inference.model import Net, in_jax
from jaxpercept.nets import geometry
from jaxpercept.runtime import backend

TILE = 768  # the side of a style net's tiles in pixels, without the overlap
TILE_OUTPUT = 1024  # the side of a tile's output where tiles cost no more


def choose(model: Net, height: int, width: int, tile: int | None = None) -> int:
    """Returns the side of the tiles in pixels for an image of this size, or 0 for no tiles. `tile`
    is what the user asks for, 0 for no tiles. An image that fits into one is not cut. None chooses
    tiles if they cost nothing or memory requires them."""
    config = model.config
    if tile is not None:
        return tile if max(height, width) > tile else 0
    if config.scale > 1:
        side = TILE_OUTPUT // config.scale
        many = height * width > 4 * side**2
        return side if many and geometry.seamless(config) else 0
    if in_jax(model) is None or not statistics.fits(model, height, width):
        return 0
    return TILE if untiled_bytes(config, height, width) > backend.memory_left() else 0


def untiled_bytes(config: TransformNetConfig, height: int, width: int) -> int:
    """Returns how much memory the net takes for a whole image, at least: so many activations of the
    stem's size are held at once."""
    activations = 8 if config.scale == 1 else 4  # measured: 9 and 5, by the peak of `export`
    return activations * 4 * config.stem * height * width


def run(
    model: Net,
    x: NDArray[Any],
    tile: int | None = None,
    *,
    deep: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> NDArray[Any]:
    """Returns the net's output for one image (H, W, 3), uint8 or float32 in [0, 1], equal to the
    untiled output within rounding.

    tile: as in `choose`.
    deep: returns the output as float32, not as uint8.
    progress: gets a line per pass over the tiles, if there are several.
    Raises InputError for a net that cannot be tiled."""
    side = choose(model, x.shape[0], x.shape[1], tile)
    if not side:
        seen = images.to_float(x)
        return cutting.kept(np.asarray(model(seen[None]))[0], deep)
    if model.config.scale == 1:
        return statistics.run(model, x, side, deep=deep, progress=progress)
    if not geometry.seamless(model.config):
        raise InputError(
            f"{model.name}: its norm sees the whole image, so it cannot work in tiles; leave out "
            "--tile"
        )
    return cutting.assembled(model, x, side, lambda seen: np.asarray(model(seen)), deep=deep)
