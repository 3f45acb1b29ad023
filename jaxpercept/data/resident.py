"""Holds photos for a device's memory: all are decoded once, and batches only name them.

The order of the photos, their seeds, the photos left out and the position of the stream are the
pipeline's. `training.resident` cuts the crops on the device.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxpercept.data.loading import Load
from jaxpercept.errors import InputError
from jaxpercept.runtime import threads

PAGE = 1024  # pixels per page; a photo takes whole pages, so that every index fits in 32 bits


class Photos(NamedTuple):
    """All photos, one after the other: `pixels` (pages, PAGE, 3) uint8; `page` (N,), the first page
    of each photo; and `size` (N, 2), the height and width of each, int32."""

    pixels: NDArray[np.uint8]
    page: NDArray[np.int32]
    size: NDArray[np.int32]


class Pick(Load):
    """Maps (index, seed) to the number of a photo that can be decoded and the seed of its crop.
    Call `pack` first, which finds the photos that can be decoded."""

    def pack(self) -> Photos:
        """Decodes all photos, at the size from which crops are cut."""
        count = len(self.source)
        page, size = np.zeros(count, np.int32), np.ones((count, 2), np.int32)
        parts, pages = [np.zeros((1, PAGE, 3), np.uint8)], 1
        with threads.pool(os.cpu_count()) as pool:
            for index, image in enumerate(pool.map(self._decoded, range(count))):
                if image is None:
                    continue
                page[index], size[index] = pages, image.shape[:2]
                flat = image.reshape(-1, 3)
                parts.append(np.pad(flat, ((0, -len(flat) % PAGE), (0, 0))).reshape(-1, PAGE, 3))
                pages += len(parts[-1])
        return Photos(np.concatenate(parts), page, size)

    def _decoded(self, index: int) -> NDArray[np.uint8] | None:
        try:
            return super().decode(index)
        except InputError as error:
            self.left_out[index] = self.known(index, error)
            return None

    def decode(self, index: int) -> NDArray[np.uint8]:
        """Returns an empty array, since `pack` has already decoded the photos."""
        return np.empty(0, np.uint8)

    def made(self, index: int, image: NDArray[np.uint8], seed: int) -> dict[str, NDArray[Any]]:
        return {"photo": np.array(index, np.int32), "seed": np.array(seed % 2**32, np.uint32)}
