"""Loads one photo as a training crop, or another one in place of a photo that cannot be used.

`crop="resize"` resizes the short side to S (bicubic), then takes a random S×S crop. It keeps the
proportions, while the paper (section 4.1) resizes to 256×256. `crop="patch"` takes a random S×S
crop without resizing, for super-resolution; smaller images are left out and counted.

Augmented crops are turned by quarters and mirrored at random. For "resize" the photo is also zoomed
into by 1 to 1.15, and its colours x, in [0, 1], become x^γ. Here γ is the product of a value for
the photo, 0.67 to 1.49, and one for each channel, 0.86 to 1.16; all are drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.data.sources import Source
from jaxpercept.errors import InputError
from jaxpercept.images import load_uint8, resize

ZOOM = 1.15  # the largest zoom of augmented crops
GAMMA, CHANNEL_GAMMA = 0.4, 0.15  # largest change of the logarithm, per photo and per channel
# The number of left-out images that an element can report, and the bytes of each one's reason. Both
# are arrays, since Grain's workers pass nothing else on.
REPORTED, WORDS = 4, 400


class _TooSmall(InputError):
    """The image is smaller than the patch."""


class Load:
    """Maps (index, seed) to an S×S image and the images it had to leave out on the way. It is pure,
    except for its cache."""

    def __init__(self, source: Source, size: int, crop: str, augment: bool, cache_bytes: int):
        self.source, self.size, self.crop, self.augment = source, size, crop, augment
        self.zoom = ZOOM if augment and crop == "resize" else 1.0
        self.cache: dict[int, NDArray[np.uint8]] = {}
        self.room = cache_bytes
        self.left_out: dict[int, tuple[int, str]] = {}  # by index: a code and the reason
        self.closed = False  # then threads end after the photo at hand, not after their batch

    def decode(self, index: int) -> NDArray[np.uint8]:
        """Returns an image (H, W, 3) from which crops are cut. Raises InputError if it cannot be
        used."""
        image = self.cache.get(index)
        if image is None:
            short = round(self.size * self.zoom) if self.crop == "resize" else None
            name = self.source.name(index)
            image = load_uint8(self.source.read(index), short=short, name=name)
            if min(image.shape[:2]) < self.size:
                raise _TooSmall(
                    f"{name}: {image.shape[1]}x{image.shape[0]} is smaller than the patch of "
                    f"{self.size}; give larger images or a smaller --patch-size"
                )
            if image.nbytes <= self.room:  # two threads may store the same image, which is harmless
                self.room -= image.nbytes
                self.cache[index] = image
        return image

    def __call__(self, element: tuple[int, int]) -> dict[str, NDArray[Any]]:
        if self.closed:
            raise CancelledError
        first, seed = int(element[0]), int(element[1])
        found: list[tuple[int, str]] = []
        for index in self._candidates(first, seed):
            if (known := self.left_out.get(index)) is None:
                try:
                    image = self.decode(index)
                    break
                except InputError as error:
                    known = self.known(index, error)
                self.left_out[index] = known
            found.append(known)
        else:
            raise InputError(
                f"no usable image among the {len(self.source)} to train on; the last: "
                f"{found[-1][1]}"
            )
        return {**self.made(index, image, seed), **_report(found[:REPORTED])}

    def made(self, index: int, image: NDArray[np.uint8], seed: int) -> dict[str, NDArray[Any]]:
        """Returns the element of this image."""
        return {"target": self._cut(image, np.random.default_rng(seed))}

    @staticmethod
    def known(index: int, error: InputError) -> tuple[int, str]:
        """Returns what `left_out` keeps about an image that cannot be used."""
        return 2 * index + isinstance(error, _TooSmall), str(error)

    def _candidates(self, first: int, seed: int) -> Iterator[int]:
        """Yields `first`, then its replacements if it is unusable, in an order that only the seed
        decides."""
        yield first
        yield from (int(i) for i in np.random.default_rng([seed, 1]).permutation(len(self.source)))

    def _cut(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        side = (
            int(rng.integers(self.size, min(image.shape[:2]) + 1)) if self.zoom > 1 else self.size
        )
        spare = np.array(image.shape[:2]) - side
        top, left = rng.integers(0, spare + 1)
        cut = image[top : top + side, left : left + side]
        if self.augment:
            cut = np.rot90(cut, int(rng.integers(4)))
            if rng.integers(2):
                cut = cut[:, ::-1]
        if self.zoom > 1:  # only augmented photos are zoomed, not patches
            gamma = np.exp(
                rng.uniform(-GAMMA, GAMMA) + rng.uniform(-CHANNEL_GAMMA, CHANNEL_GAMMA, 3)
            )
            table = np.round(255 * (np.arange(256)[:, None] / 255) ** gamma).astype(np.uint8)
            cut = table[cut, np.arange(3)]
        return resize(cut, self.size, method="bicubic")  # a contiguous copy at this size


class Fixed(Load):
    """Cuts an entry of the source alike each time, at random by its number. Further entries of the
    same photo show its other parts."""

    def made(self, index: int, image: NDArray[np.uint8], seed: int) -> dict[str, NDArray[Any]]:
        return super().made(index, image, index)


def _report(found: Sequence[tuple[int, str]]) -> dict[str, NDArray[Any]]:
    left_out = np.full(REPORTED, -1, np.int64)
    why = np.zeros((REPORTED, WORDS), np.uint8)
    for i, (code, reason) in enumerate(found):
        left_out[i] = code
        words = reason.encode("utf-8", "replace")[:WORDS]
        why[i, : len(words)] = np.frombuffer(words, np.uint8)
    return {"left_out": left_out, "why": why}
