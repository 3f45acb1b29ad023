"""Computes optical flow with OpenCV's DIS (Kroeger et al. 2016, arXiv 1603.03590), and where it is
reliable. No other module imports cv2, which is in the extra `video`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.errors import InputError
from jaxpercept.images import Float

LOBES = 8  # of Lanczos' filter: how many pixels away `moved` reads; 4 blur fine strokes
CONTRAST = 1.0  # grey values per pixel, after a blur; noise of 2 grey values gives 0.15


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            "optical flow needs the extra `video`, which is not installed; "
            "pip install 'jaxpercept[video]'"
        ) from error
    return cv2


def check() -> None:
    """Raises InputError without OpenCV."""
    _cv2()


def flow(first: NDArray[Any], second: NDArray[Any]) -> Float:
    """Returns (H, W, 2): how far each pixel of `first` has moved to the right and down in `second`,
    in pixels. Both are (H, W, 3), float in [0, 1] or uint8, at least 16 pixels per side."""
    cv2 = _cv2()
    grey = [cv2.cvtColor(images.to_uint8(x), cv2.COLOR_RGB2GRAY) for x in (first, second)]
    made = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    return np.asarray(made, np.float32)


def warped(x: NDArray[Any], motion: Float) -> Float:
    """Samples `x` (H, W, C) bilinearly at the place to which each pixel's `motion` (H, W, 2) leads.
    Outside, it takes the nearest border pixel."""
    height, width = motion.shape[:2]
    across, down = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype="f"))
    cv2 = _cv2()
    made = cv2.remap(
        np.asarray(x, np.float32),
        across + motion[..., 0],
        down + motion[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(made, np.float32)


def moved(x: NDArray[Any], right: float, down: float) -> Float:
    """Returns `x` (H, W, C) with its content moved by so many pixels, resampled by Lanczos' filter.
    What comes in at the border is mirrored. A move by whole pixels changes no value."""
    cv2 = _cv2()
    filters = _lanczos(right), _lanczos(down)
    made = cv2.sepFilter2D(np.asarray(x, np.float32), -1, *filters, borderType=cv2.BORDER_REFLECT)
    return np.asarray(made, np.float32)


def _lanczos(shift: float) -> Float:
    """Returns the weights of the pixels around one whose content comes from `shift` before it."""
    away = LOBES + math.ceil(abs(shift))
    places = np.arange(-away, away + 1) + shift
    weights = np.sinc(places) * np.sinc(places / LOBES) * (np.abs(places) < LOBES)
    weights[np.abs(weights) < 1e-9] = 0
    return np.asarray(weights / weights.sum(), np.float32)


def follow(
    before: NDArray[Any], photo: NDArray[Any], longest: int
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Returns the flow of `photo` to the frame `before` it, the flow back, and where the first is
    reliable. They are computed on frames of at most `longest` pixels per side, and enlarged."""
    height, width = photo.shape[:2]
    share = longest / max(height, width)
    if share >= 1 or min(height, width) * share < 16:
        back, forward = flow(photo, before), flow(before, photo)
        return back, forward, valid(back, forward)
    cv2 = _cv2()
    here, there = (_reduced(x, longest) for x in (photo, before))
    back, forward = flow(here, there), flow(there, here)
    mask = valid(back, forward).astype(np.uint8)
    factor = np.array([width / here.shape[1], height / here.shape[0]], np.float32)
    large = [cv2.resize(x, (width, height)) * factor for x in (back, forward)]
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return large[0], large[1], mask.astype(bool)


def camera(photo: NDArray[Any], forward: Float, longest: int) -> NDArray[Any]:
    """Returns how far the photo moves along its flow `forward`, to the right and down: the median
    over what has some contrast, on a frame of at most `longest` pixels per side. Even surfaces have
    no vote, since the flow over them is arbitrary. Without any contrast, it is 0."""
    cv2 = _cv2()
    grey = cv2.cvtColor(_reduced(photo, longest), cv2.COLOR_RGB2GRAY).astype(np.float32)
    slopes = np.hypot(*np.gradient(cv2.GaussianBlur(grey, (0, 0), 2)))
    moves = cv2.resize(forward, slopes.shape[::-1], interpolation=cv2.INTER_NEAREST)
    votes = moves[slopes > CONTRAST]
    return np.asarray(np.median(votes, 0)) if len(votes) else np.zeros(2)


def _reduced(photo: NDArray[Any], longest: int) -> NDArray[np.uint8]:
    """Returns the photo with at most `longest` pixels per side."""
    height, width = photo.shape[:2]
    share = min(1.0, longest / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    made = _cv2().resize(images.to_uint8(photo), size, interpolation=_cv2().INTER_AREA)
    return np.asarray(made, np.uint8)


def valid(back: Float, forward: Float) -> NDArray[np.bool_]:
    """Returns where `back`, the flow (H, W, 2) of a frame to an earlier one, is reliable. It is
    where it leads inside the image, where `forward`, the earlier frame's flow, leads back (so
    nothing was hidden), and where there is no motion boundary. After Ruder et al. 2016, arXiv
    1604.08610, section 4.3, with the sign of their flows."""
    height, width = back.shape[:2]
    down, across = np.mgrid[:height, :width].astype(np.float32)
    x, y = across + back[..., 0], down + back[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    there = warped(forward, back)
    apart = ((there + back) ** 2).sum(-1)
    seen = apart <= 0.01 * ((there**2).sum(-1) + (back**2).sum(-1)) + 0.5
    slopes = sum((part**2).sum(-1) for part in np.gradient(back, axis=(0, 1)))
    smooth = slopes <= 0.01 * (back**2).sum(-1) + 0.002
    return np.asarray(inside & seen & smooth)
