"""Batches of images of exactly equal size.

Instance-norm statistics see every pixel, so an image is never padded to share a size with another,
and a batch cut short is filled up with copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxpercept.inference.model import Net

BATCH_PIXELS = 4_000_000  # a batch is cut to this many, so that memory is not multiplied
WAITING_PIXELS = 32_000_000  # of images that wait for more of their size (12 bytes each)


@dataclass(frozen=True)
class Batch:
    """Images (H, W, 3) of one size, and what they belong to; the net sees `length` of them."""

    keys: list[Any]
    images: list[np.ndarray]
    length: int

    def run(self, model: Net) -> np.ndarray:
        """The net's outputs, one for each key."""
        copies = self.images[:1] * (self.length - len(self.images))
        return np.asarray(model(np.stack(self.images + copies)))[: len(self.images)]

    def alone(self) -> Iterator[Batch]:
        """The same images, one by one."""
        for key, image in zip(self.keys, self.images, strict=True):
            yield Batch([key], [image], 1)


class Batches:
    """Gathers images by size. A batch is ready when it is full or, when too much waits, that of the
    size which has waited longest. Each size has one batch length, set by its first."""

    def __init__(self, batch_size: int):
        self._most = batch_size
        self._waiting: dict[tuple[int, ...], list[tuple[Any, np.ndarray]]] = defaultdict(list)
        self._lengths: dict[tuple[int, ...], int] = {}

    def add(self, key: Any, image: np.ndarray) -> list[Batch]:
        """Takes an image, and returns the batches that are ready."""
        shape, ready = image.shape, []
        self._waiting[shape].append((key, image))
        most = max(1, min(self._most, BATCH_PIXELS // _pixels(shape)))
        if len(self._waiting[shape]) == self._lengths.get(shape, most):
            ready.append(self._taken(shape))
        while sum(len(g) * _pixels(s) for s, g in self._waiting.items()) > WAITING_PIXELS:
            ready.append(self._taken(next(iter(self._waiting))))
        return ready

    def rest(self) -> Iterator[Batch]:
        """What still waits."""
        while self._waiting:
            yield self._taken(next(iter(self._waiting)))

    def _taken(self, shape: tuple[int, ...]) -> Batch:
        group = self._waiting.pop(shape)
        length = self._lengths.setdefault(shape, len(group))
        return Batch([key for key, _ in group], [image for _, image in group], length)


def run_batches(
    model: Net, items: Iterator[tuple[Any, np.ndarray]], batch_size: int
) -> Iterator[tuple[Any, np.ndarray]]:
    """(key, image) pairs in, (key, output) pairs out, images of equal size together."""
    batches = Batches(batch_size)
    for key, image in items:
        for batch in batches.add(key, image):
            yield from zip(batch.keys, batch.run(model), strict=True)
    for batch in batches.rest():
        yield from zip(batch.keys, batch.run(model), strict=True)


def _pixels(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1]
