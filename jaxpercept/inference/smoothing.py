"""Smooths films of nets that flicker: the last picture is blended in along the optical flow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.errors import InputError, Name, number
from jaxpercept.images import Float
from jaxpercept.inference import optical_flow

LONGEST = 320  # pixels per side of the frames that the flow is computed on; more takes long
MOST = 0.9  # a larger share leaves trails
ALIKE = 0.1  # how far a channel of the photo may be from the last photo moved along


def check(name: str, share: float) -> None:
    """Raises InputError for a share, called `name`, that is not allowed, or without OpenCV."""
    if not 0 <= share <= MOST:
        raise InputError(Name(name), f" {number(share)} is not allowed; give 0 to {MOST}")
    if share:
        optical_flow.check()


class Smoother:
    """Blends each picture of a film with the one before it. Pictures come in order, (H, W, 3) each.
    `count` is their number, and `last` the last photo with its smoothed picture: a smoother that
    begins with those of another goes on where that one stopped.

    Where the flow between the photos is reliable and the photos are alike along it, a picture is
    (1 - share) times the net's and share times the last one moved along the flow. Elsewhere it is
    the net's. So nothing trails behind what moves away, and a cut stays a cut."""

    def __init__(
        self, share: float, count: int = 0, last: tuple[NDArray[Any], Float] | None = None
    ):
        self.share, self.count, self.last = share, count, last
        self._moved: tuple[NDArray[Any], Float] | None = None  # the last photo but one, its flow

    def __call__(self, photo: NDArray[Any], picture: NDArray[Any]) -> NDArray[Any]:
        """Returns the smoothed picture, float32 in [0, 1], for a photo of its size."""
        self.count += 1
        if not self.share:
            return picture
        made = np.array(images.to_float(picture))
        if self.last is not None:
            before, earlier = self.last
            back, forward, reliable = optical_flow.follow(before, photo, LONGEST)
            self._moved = before, forward
            apart = images.to_float(photo) - optical_flow.warped(images.to_float(before), back)
            # A flow over flat surfaces leads back, and so looks valid, across a cut too. Each
            # channel is compared alone, because NumPy is ten times slower along a short axis.
            same = np.logical_and.reduce(
                [reliable, *(np.abs(apart[..., i]) <= ALIKE for i in range(3))]
            )
            weight = self.share * same[..., None].astype(np.float32)
            made += weight * (optical_flow.warped(earlier, back) - made)
        self.last = photo, made
        return made

    def motion(self) -> NDArray[Any]:
        """Returns how far the camera has moved the photo since the last one, to the right and
        down."""
        return optical_flow.camera(*self._moved, LONGEST) if self._moved else np.zeros(2)
