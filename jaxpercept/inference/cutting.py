"""Cuts an image into tiles and assembles a net's outputs for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.inference.model import Net
from jaxpercept.nets import geometry


def assembled(
    model: Net,
    x: NDArray[Any],
    side: int,
    call: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    deep: bool,
) -> NDArray[Any]:
    """Calls `call` on the tiles of (H, W, 3) and assembles the results."""
    height, width = x.shape[:2]
    scale = model.config.scale
    out = np.empty((scale * height, scale * width, 3), np.float32 if deep else np.uint8)
    for rows, columns in both_axes(model, x, side):
        part = call(seen(x, rows, columns))[0]
        inside = part[_scaled(rows.inside, scale), _scaled(columns.inside, scale)]
        out[_scaled(rows.own, scale), _scaled(columns.own, scale)] = kept(inside, deep)
    return out


def both_axes(model: Net, x: NDArray[Any], side: int) -> list[tuple[geometry.Tile, geometry.Tile]]:
    """Returns the tiles of (H, W, 3) as pairs of rows and columns."""
    rows, columns = (geometry.tiles(model.config, size, side) for size in x.shape[:2])
    return list(itertools.product(rows, columns))


def seen(x: NDArray[Any], rows: geometry.Tile, columns: geometry.Tile) -> NDArray[np.float32]:
    """Returns the part of the image that the net sees for a tile: (1, height, width, 3)."""
    return images.to_float(x[None, rows.seen, columns.seen])


def kept(output: NDArray[np.float32], deep: bool) -> NDArray[Any]:
    """Returns a net's output in the form in which it waits to be written: uint8, or float32 if
    `deep`."""
    return output if deep else images.to_uint8(output)


def _scaled(part: slice, scale: int) -> slice:
    return slice(scale * part.start, scale * part.stop)
