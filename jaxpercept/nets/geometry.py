"""The geometry of a transform net: the sizes it rounds up to, how far a pixel sees, where its norms
lie, and the tiles that an image is cut into. Pixels are the input's. No image is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jaxpercept.config import TransformNetConfig


def multiple(config: TransformNetConfig) -> int:
    """Returns the factor by which the stride-2 layers divide a side."""
    return 2 ** len(config.down)


def rounding(config: TransformNetConfig) -> int:
    """Returns the multiple that sides are reflected up to before the net, or 1 if nothing is
    reflected."""
    return multiple(config) if config.fit == "reflect" else 1


def reach(config: TransformNetConfig) -> int:
    """Returns how many pixels an output pixel depends on in each direction, apart from an instance
    norm's statistics."""
    farthest = 2 if config.skip == "bicubic" else 0
    for place in range(max(multiple(config), config.scale)):  # trace one output pixel back
        low = high = place // config.head_scale
        low, high = low - config.head_size // 2, high + config.head_size // 2
        for _ in config.up:
            low, high = low // 2 - 1, high // 2 + 1  # a 3×3 convolution at either resolution
        low, high = low - 2 * config.blocks, high + 2 * config.blocks
        for _ in config.down:
            low, high = 2 * low - 1, 2 * high + 1
        low, high = low - config.stem_size // 2, high + config.stem_size // 2
        at = place // config.scale
        farthest = max(farthest, at - low, high - at)
    return farthest


def seamless(config: TransformNetConfig) -> bool:
    """Returns whether overlapping tiles equal the whole image. They do if each pixel sees the same
    part of the image wherever the tile begins."""
    return not (config.norm == "instance" or config.down or config.start_padding)


def overlap(config: TransformNetConfig) -> int:
    """Returns the overlap of tiles: the reach as a multiple of the strides, plus the distance by
    which rounding up inside the net may move the content."""
    step = multiple(config)
    moved = step if config.down and config.fit == "crop" else 0
    return -(-reach(config) // step) * step + moved


class Tile(NamedTuple):
    """A tile along one axis. The net sees `length` pixels from `start`, and the result is valid in
    [first, end). `length` and the image's `size` have the same remainder modulo the strides, so the
    layers round up and pad in the same places."""

    first: int
    end: int
    start: int
    length: int
    size: int

    @property
    def seen(self) -> slice:
        """The slice of the image that the net sees."""
        return slice(self.start, self.start + self.length)

    @property
    def own(self) -> slice:
        """The slice of the image for which the tile's result is valid."""
        return slice(self.first, self.end)

    @property
    def inside(self) -> slice:
        """The slice of the net's input for which the tile's result is valid."""
        return slice(self.first - self.start, self.end - self.start)


def tiles(config: TransformNetConfig, size: int, side: int) -> Iterator[Tile]:
    """Yields the tiles of an axis of `size` pixels for a net."""
    return cut(size, side, overlap(config), multiple(config))


def cut(size: int, side: int, over: int, step: int = 1) -> Iterator[Tile]:
    """Yields the tiles of an axis of `size` pixels. Each is valid for `side` pixels (the last for
    the remainder) and has `over` more on both sides. All have one length, so that the net is
    compiled once. That length and `size` have the same remainder modulo `step`."""
    length = min(size, side + 2 * over + size % step)
    for first in range(0, size, side):
        start = min(max(first - over, 0), size - length)
        yield Tile(first, min(first + side, size), start, length, size)


class Norm(NamedTuple):
    """A norm of the net: the prefix of its parameters' names, the number of input pixels between
    two of its places, and the multiple that its length in pixels was rounded up to."""

    name: str
    step: int
    rounding: int


def norms(config: TransformNetConfig) -> list[Norm]:
    """Returns the norms in the order in which the net applies them, or none if `config.norm` is
    "none"."""
    if config.norm == "none":
        return []
    deepest = multiple(config)
    found = [Norm("stem_norm", 1, 1)]
    found += [Norm(f"down_norm.{i}", 2 ** (i + 1), 2 ** (i + 1)) for i in range(len(config.down))]
    for i in range(config.blocks):
        found += [Norm(f"blocks.{i}.norm{n}", deepest, deepest) for n in (1, 2)]
    found += [
        Norm(f"up_norm.{i}", max(1, deepest // 2 ** (i + 1)), deepest)
        for i in range(len(config.up))
    ]
    return [*found, Norm("head_norm", 1, deepest)] if config.head_norm else found
