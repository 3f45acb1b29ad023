"""Steadies what a net sees of a film, so that the strokes hold still and stay as sharp as they are.

A net of stride 4 draws other strokes when the photo moves by a fraction of its stride, or when its
noise changes. So the net sees frames whose noise is averaged along the optical flow, and which are
moved by less than a stride, so that the camera's motion becomes whole strides. The net's picture is
moved back. Strokes on even surfaces begin at noise, so the net also sees grain, which is stronger
than the film's noise and moves with the camera. Only the net sees these frames: all else is made of
the film's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.images import Float
from jaxpercept.inference import optical_flow, smoothing


class View(NamedTuple):
    """A frame as a net sees it: `image` (H, W, 3), whose content is moved by `shift` pixels to the
    right and down. Its content has then moved by `place` since the film began: whole strides."""

    image: NDArray[Any]
    shift: tuple[float, float] = (0.0, 0.0)
    place: tuple[int, int] = (0, 0)

    def grained(self, amount: float) -> NDArray[Any]:
        """Returns `image` with grain that moves with the camera."""
        return images.grain(self.image, amount, self.place)

    def restored(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Returns the net's picture of `image` as that of the frame."""
        if not any(self.shift):
            return picture
        right, down = self.shift
        return _moved(images.to_float(picture), -right, -down)


class Steadier:
    """Shows a net of that stride the frames of a film, one after the other. `share` of what it sees
    is the mean of the frames before, moved along the flow. At 0, it sees the frames themselves."""

    def __init__(self, share: float, stride: int) -> None:
        self._share, self._stride = share, stride
        self._still, self._place = smoothing.Smoother(share), np.zeros(2)

    def __call__(self, photo: NDArray[Any]) -> View:
        """Returns what the net sees of the next frame (H, W, 3), float in [0, 1] or uint8."""
        if not self._share:
            return View(photo)
        image = self._still(photo, photo)
        self._place += self._still.motion()
        half = self._stride / 2
        right, down = (float(x) for x in (half - self._place) % self._stride - half)
        place = round(float(self._place[0]) + right), round(float(self._place[1]) + down)
        return View(_moved(image, right, down), (right, down), place)


def grain(model: Any, share: float, given: float | None = None) -> float:
    """Returns the grain of a film that is steadied by that share: the given one, or the default. A
    pattern that does not follow the camera sticks to the screen, so there is none at 0. Otherwise
    it is twice that of photos: the strokes hold better, and the losses are those without grain."""
    if given is not None:
        return given
    return 2 * float(getattr(model, "grain", 0.0)) if share else 0.0


def _moved(image: NDArray[Any], right: float, down: float) -> Float:
    """Moves the content, and keeps it in [0, 1]. What comes in at the border is mirrored: with a
    wider border, the net paints all of the picture worse."""
    return np.clip(optical_flow.moved(image, right, down), 0, 1)
