"""Gathers images of exactly equal size into batches.

Instance-norm statistics see every pixel, so an image is never padded to share a size with another.
A batch that is cut short is filled up with copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxpercept.inference.model import Net

BATCH_PIXELS = 4_000_000  # the limit of a batch, to bound memory
WAITING_PIXELS = 32_000_000  # the limit of waiting images (12 bytes each)


@dataclass(frozen=True)
class Batch:
    """Images (H, W, 3) of one size, and the keys they belong to. The net sees `length` of them."""

    keys: list[Any]
    images: list[np.ndarray]
    length: int

    def run(self, model: Net) -> np.ndarray:
        """Returns the net's outputs, one for each key."""
        copies = self.images[:1] * (self.length - len(self.images))
        return np.asarray(model(np.stack(self.images + copies)))[: len(self.images)]

    def alone(self) -> Iterator[Batch]:
        """Yields the same images, one by one."""
        for key, image in zip(self.keys, self.images, strict=True):
            yield Batch([key], [image], 1)


class Batches:
    """Gathers images by size. A batch is ready when it is full. If too many pixels wait, the batch
    of the size that has waited longest is ready too. Each size has one batch length, set by its
    first batch. With `alone`, images that do not fill a batch go one by one. Each size then has
    at most two batch lengths, and no batch is filled up with copies."""

    def __init__(self, batch_size: int, *, alone: bool = False):
        self._most, self._alone = batch_size, alone
        self._waiting: dict[tuple[int, ...], list[tuple[Any, np.ndarray]]] = defaultdict(list)
        self._lengths: dict[tuple[int, ...], int] = {}

    def add(self, key: Any, image: np.ndarray) -> list[Batch]:
        """Takes an image and returns the batches that are ready."""
        shape, ready = image.shape, []
        self._waiting[shape].append((key, image))
        most = max(1, min(self._most, BATCH_PIXELS // _pixels(shape)))
        if len(self._waiting[shape]) == self._lengths.get(shape, most):
            ready.append(self._taken(shape))
        while sum(len(g) * _pixels(s) for s, g in self._waiting.items()) > WAITING_PIXELS:
            ready.append(self._taken(next(iter(self._waiting))))
        return ready

    def rest(self) -> Iterator[Batch]:
        """Yields what still waits."""
        while self._waiting:
            batch = self._taken(next(iter(self._waiting)))
            yield from batch.alone() if self._alone else (batch,)

    def _taken(self, shape: tuple[int, ...]) -> Batch:
        group = self._waiting.pop(shape)
        length = self._lengths.setdefault(shape, len(group))
        return Batch([key for key, _ in group], [image for _, image in group], length)


def run_batches(
    model: Net, items: Iterator[tuple[Any, np.ndarray]], batch_size: int
) -> Iterator[tuple[Any, np.ndarray]]:
    """Turns (key, image) pairs into (key, output) pairs, running images of equal size together."""
    batches = Batches(batch_size)
    for key, image in items:
        for batch in batches.add(key, image):
            yield from zip(batch.keys, batch.run(model), strict=True)
    for batch in batches.rest():
        yield from zip(batch.keys, batch.run(model), strict=True)


def _pixels(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1]
