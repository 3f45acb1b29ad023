"""What happens to an image around the net: how it is read, what comes before and after the net, and
how the result is written.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.config import MAX_PIXELS
from jaxpercept.errors import InputError
from jaxpercept.files import STANDARD
from jaxpercept.images import resampling
from jaxpercept.inference import strokes
from jaxpercept.inference.model import Net


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """The choices as a plain value, which can be compared, pickled and sent to another process.

    Reading: `size` is the longer side to scale to first. `max_pixels` is the limit of every image
    on the way: the file, and what a net makes, before that is reduced to the result's size.
    Before the net: `stroke` is the factor by which strokes are larger than the net paints them
    (None: by the size of the picture, see `strokes`), for nets of scale 1. `grain` is as in
    `images.grain` (None: the net's own).
    The net: `tile` is as in `tiles.choose`.
    After the net: `strength` and `keep_color` are as in `images.controlled`. `keep_grey` keeps a
    grey file grey. `match_histogram` keeps the picture's histogram. `factor` (times the picture's
    size) or `width` (pixels) sets the result's size if it is not the net's. Transparency is kept.
    Writing: `quality` is as in `images.encode`, and `strip` writes nothing but the pixels. The
    target's suffix gives the format."""

    size: int | None = None
    max_pixels: int = MAX_PIXELS
    stroke: float | None = 1.0
    grain: float | None = None
    tile: int | None = None
    strength: float = 1.0
    keep_color: bool = False
    keep_grey: bool = False
    match_histogram: bool = False
    factor: float | None = None
    width: int | None = None
    quality: int | None = None
    strip: bool = False

    def __post_init__(self) -> None:
        strokes.check(self.stroke)
        images.check_strength(self.strength)
        images.check_grain(self.grain or 0.0)
        images.check_quality(self.quality)


class Sizes(NamedTuple):
    """(height, width) of a file, of its picture as it is read, and of what the net sees."""

    file: tuple[int, int]
    picture: tuple[int, int]
    seen: tuple[int, int]


def checked_sizes(treatment: Treatment, model: Net, source: images.Source, name: str) -> Sizes:
    """Returns the sizes, from the file's header. Raises InputError for too few pixels or too
    many."""
    config = model.config
    file = height, width = images.size_of(source, max_pixels=treatment.max_pixels, name=name)
    if treatment.size:
        height, width = images.fit(height, width, treatment.size, "long")
    check_factor(treatment, model, name, height, width)
    seen, least = (height, width), config.least_side
    if config.scale == 1:
        seen = strokes.seen_size(treatment.stroke, height, width, least)
    check_pixels(treatment, model, name, height, width, seen)
    if min(seen) < least:
        fixes = [f"give at least {least} pixels per side"]
        fixes += ["enlarge it with --size"] if config.scale == 1 else []
        fixes += ["give a smaller --stroke"] if seen != (height, width) else []
        raise InputError(f"{name}: {seen[1]}x{seen[0]} is too small", fixes=fixes)
    return Sizes(file, (height, width), seen)


def check_pixels(
    treatment: Treatment,
    model: Net,
    name: str,
    height: int,
    width: int,
    seen: tuple[int, int] | None = None,
) -> None:
    """Raises InputError if `max_pixels` is less than the largest image made of a picture of this
    size, of which the net sees the size `seen`. What a net enlarges is in memory as a whole before
    it is reduced to the size asked for."""
    scale = model.config.scale
    made, result = (scale * height, scale * width), _asked_size(treatment, height, width)
    what, fixes = f"{width}x{height} would become", ["shrink it"]
    if treatment.size:
        what, fixes = f"--size {treatment.size} makes it", ["give a smaller --size"]
    elif made == (height, width) and seen in (None, made):
        what, fixes = "is", ["shrink it", "give a smaller --size"]
    if seen not in (None, (height, width)):
        made, result = max(made, strokes.enlarged_size(seen), key=math.prod), (height, width)
        fixes.append("give another --stroke")
    if (count := math.prod(made)) > treatment.max_pixels:
        before = "" if result in (None, made) else " before it is reduced"
        raise InputError(
            f"{name}: {what} {made[1]}x{made[0]}{before}, {count:,} pixels, more than the limit "
            f"of {treatment.max_pixels:,}",
            fixes=[*fixes, "raise --max-pixels"],
        )


def check_factor(treatment: Treatment, model: Net, name: str, height: int, width: int) -> None:
    """Raises InputError if a picture of this size becomes larger than the net can make it."""
    scale = model.config.scale
    factor = treatment.factor if treatment.width is None else treatment.width / width
    if scale > 1 and (factor or 0) > scale:
        fix = "factor" if treatment.width is None else f"--width, at most {scale * width}"
        raise InputError(
            f"{name}: a net of scale {scale} does not enlarge {width}x{height} {factor:.4g} times; "
            f"give another --model or a smaller {fix}"
        )


def read(
    treatment: Treatment, model: Net, source: images.Source, name: str, sizes: Sizes, *, uint8: bool
) -> tuple[images.Picture, NDArray[Any]]:
    """Returns the picture, and its pixels as the net sees them. `uint8` saves memory for large
    images."""
    picture = images.read(
        source,
        size=treatment.size,
        uint8=uint8 or sizes.seen != sizes.picture,
        max_pixels=treatment.max_pixels,
        name=name,
    )
    own = getattr(model, "grain", 0.0)
    seen = picture.pixels
    if sizes.seen != sizes.picture:
        seen = strokes.reduced(seen, sizes.seen)
        seen = seen if uint8 or seen.dtype != np.uint8 else images.to_float(seen)
    return picture, images.grain(seen, own if treatment.grain is None else treatment.grain)


def finish(treatment: Treatment, picture: images.Picture, output: NDArray[Any]) -> images.Picture:
    """Returns the picture to save for a net's `output` (uint8 or float32). It has the output's
    size, or the size of `picture` if the net saw that reduced."""
    if output.size < picture.pixels.size:
        output = strokes.to_size(output, *picture.pixels.shape[:2])
    scale = output.shape[0] // picture.pixels.shape[0]
    if treatment.keep_grey and picture.grey:
        output = _grey(output)
    if treatment.keep_color or treatment.strength != 1:
        output = _controlled(treatment, enlarged(picture.pixels, scale), output)
    alpha = None if picture.alpha is None else enlarged(picture.alpha, scale)
    if treatment.match_histogram:
        output = _matched(picture, output, alpha)
    size = _asked_size(treatment, *picture.pixels.shape[:2])
    if size is not None and size != output.shape[:2]:
        output = images.resize(output, size)
        alpha = None if alpha is None else images.resize(alpha, size)
    return picture.replaced(output, alpha)


def _asked_size(treatment: Treatment, height: int, width: int) -> tuple[int, int] | None:
    """Returns the requested height and width of the result, or None for the net's."""
    factor = treatment.factor if treatment.width is None else treatment.width / width
    if factor is None:
        return None
    return max(1, round(factor * height)), treatment.width or max(1, round(factor * width))


def _matched(
    picture: images.Picture, output: NDArray[Any], alpha: NDArray[Any] | None
) -> NDArray[Any]:
    """Returns the output with the picture's histogram: uint8, weighted by alpha, or float32 if the
    picture has more than 8 bits. No value moves farther than the net moved it from bicubic
    interpolation. With few colours the map is steep and would otherwise turn a faint edge into a
    stain."""
    bicubic = enlarged(picture.pixels, output.shape[0] // picture.pixels.shape[0])
    deep = picture.bits > 8 and output.dtype != np.uint8 and alpha is None
    read: Callable[[NDArray[Any]], NDArray[Any]] = images.to_float if deep else images.to_uint8
    signed: Any = np.float32 if deep else np.int16
    own, low = read(output), read(picture.pixels)
    matched = read(images.match_histogram(own, low, alpha, picture.alpha)).astype(signed)
    moved = np.abs(own.astype(signed) - read(bicubic))
    return np.clip(matched, own - moved, own + moved).astype(own.dtype)


def enlarged(x: NDArray[Any], scale: int) -> NDArray[Any]:
    """Enlarges (H, W, 3) or (H, W) `scale` times by bicubic interpolation, in [0, 1]."""
    if scale == 1:
        return x
    x = images.to_float(x)
    large = resampling.upscale(x if x.ndim == 3 else x[..., None], scale)
    large = np.clip(np.asarray(large), 0, 1)
    return large if x.ndim == 3 else large[..., 0]


def _controlled(treatment: Treatment, content: NDArray[Any], output: NDArray[Any]) -> NDArray[Any]:
    """Applies `images.controlled`, in strips if the output is uint8, since memory is short then."""
    how: dict[str, Any] = {"strength": treatment.strength, "keep_color": treatment.keep_color}
    if output.dtype != np.uint8:
        return images.controlled(output, images.to_float(content), **how)
    made = np.empty_like(output)
    for top in range(0, len(output), 64):
        part = np.s_[top : top + 64]
        below = images.to_float(content[part])
        made[part] = images.to_uint8(images.controlled(images.to_float(output[part]), below, **how))
    return made


def _grey(output: NDArray[Any]) -> NDArray[Any]:
    mean = np.repeat(images.to_float(output).mean(-1, keepdims=True), 3, axis=-1)
    return images.to_uint8(mean) if output.dtype == np.uint8 else mean


def write(treatment: Treatment, picture: images.Picture, target: Path, suffix: str) -> Path:
    """Writes a picture, whole or not at all. If `target` is `-` (standard output) or has no image
    suffix (a device, a FIFO), `suffix` names the format."""
    how: dict[str, Any] = {"quality": treatment.quality, "strip": treatment.strip}
    if target != STANDARD:
        own = target.suffix.lower() in images.WRITE_SUFFIXES
        return images.save(target, picture, suffix=None if own else suffix, **how)
    data = images.encode(picture, suffix, **how)
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(
            f"standard output: cannot be written ({os.strerror(error.errno or 0)})"
        ) from error
    return target
