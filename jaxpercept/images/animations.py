"""Reads and writes animated GIF, WebP and PNG with Pillow: frames, their times and the repetitions.

Frames are read one at a time. When writing, Pillow keeps all frames in memory until the file is
complete, so a long film needs another format.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxpercept.errors import InputError
from jaxpercept.images import apng, colour, gif, png
from jaxpercept.images.bleeding import bled
from jaxpercept.images.frames import Film, Frame

_FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
# What Pillow raises for files that it cannot read.
_BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError),
    *(IndexError, struct.error),  # of GIFs that end too early
)
# Browsers show a shorter frame for 0.1 s.
_LEAST = Fraction(20, 1000)  # of GIF; the other formats have no shortest time but 0
_INSTEAD = Fraction(100, 1000)


def read(path: Path) -> Film:
    """Opens the film in an animation. Raises InputError for another kind of file or a single
    frame."""
    with contextlib.ExitStack() as stack:
        try:
            image = stack.enter_context(_opened(path))
            count = getattr(image, "n_frames", 1)
        except _BROKEN as error:
            raise InputError(
                f"{path}: cannot be read as an animation ({str(error)[:200]}); give a film"
            ) from error
        if count < 2:
            raise InputError(f"{path}: is a single image, not an animation; use stylize for images")
        stack.pop_all()
    if image.info.get("default_image"):
        count -= 1  # the still picture for other readers
    film = Film(path, count=count, loop=_loop(image))
    film.frames = _frames(image, film)
    return film


def is_animation(path: Path) -> bool:
    """Returns whether a file holds several frames. A file that cannot be read holds none."""
    if not path.is_file():
        return False
    try:
        with _opened(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except _BROKEN:
        return False


def _opened(path: Path) -> Image.Image:
    with warnings.catch_warnings():  # frames have a limit of their own
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


def _loop(image: Image.Image) -> int:
    """Returns how many times an animation is shown. A GIF without a loop extension is shown
    once."""
    loop = image.info.get("loop")
    if image.format == "GIF":
        return 1 if loop is None else int(loop) and int(loop) + 1  # a GIF stores its repetitions
    return int(loop or 0)


def _frames(image: Image.Image, film: Film) -> Iterator[Frame]:
    start, profile = Fraction(0), image.info.get("icc_profile")
    if image.format == "PNG":
        profile, notes = png.implied_profile(image, grey=False)
        film.notes += notes
    with (
        image,
        film.path.open("rb") as file,
        contextlib.closing(_composed(image, file)) as shown,  # before its file
    ):
        for index in range(film.count):
            try:
                found, duration = next(shown)
            except (*_BROKEN, StopIteration) as error:
                reason = str(error)[:100] or "the file ends"
                film.damage = f"damaged at frame {index + 1} of {film.count} ({reason})"
                return
            if duration < (_LEAST if image.format == "GIF" else Fraction(1, 1000)):
                duration = _INSTEAD
            rgba = np.asarray(_to_srgb(Image.fromarray(found), profile, film))
            alpha = None if rgba[..., 3].min() == 255 else rgba[..., 3]
            pixels = rgba[..., :3] if alpha is None else bled(rgba[..., :3], alpha)
            yield Frame(np.ascontiguousarray(pixels), start, duration, alpha)
            start += duration


def _composed(
    image: Image.Image, file: BinaryIO
) -> Generator[tuple[NDArray[np.uint8], Fraction], None, None]:
    """Yields the frames (H, W, 4) and their durations in seconds."""
    if image.format == "GIF":
        yield from gif.frames(file, *image.size)
    else:
        yield from apng.frames(file) if image.format == "PNG" else _webp(image)


def _webp(image: Image.Image) -> Iterator[tuple[NDArray[np.uint8], Fraction]]:
    for index in itertools.count():
        image.seek(index)
        image.load()
        milliseconds = Fraction(image.info.get("duration") or 0).limit_denominator(1000)
        yield np.asarray(image.convert("RGBA")), milliseconds / 1000


def _to_srgb(frame: Image.Image, profile: bytes | None, film: Film) -> Image.Image:
    try:
        return colour.to_srgb(frame, profile)
    except colour.UnusableProfile as error:
        note = f"its colour profile cannot be used ({error}); taken as sRGB"
        if note not in film.notes:
            film.notes.append(note)
        return frame


def write(
    file: BinaryIO, suffix: str, frames: Iterable[Frame], loop: int | None, quality: int | None
) -> None:
    """Writes an animation in the format that `suffix` names. `loop` is as in `Film`, with None for
    an endless loop. `quality` is WebP's, 0 to 100."""
    kind = _FORMATS[suffix]
    times: list[int] = []
    images = _images(frames, times, Fraction(1, 100) if kind == "GIF" else Fraction(1, 1000))
    first = next(images)
    rest: Iterable[Image.Image] = images
    if kind == "PNG":
        rest = list(images)  # Pillow reads them twice
    elif kind == "GIF":
        # One transparent frame decides how all are taken away.
        held = deque(map(_paletted, images))
        clears = first.mode == "RGBA" or any("transparency" in image.info for image in held)
        rest = (held.popleft() for _ in range(len(held)))
    how: dict[str, Any] = {"save_all": True, "append_images": rest, "duration": times}
    if kind != "GIF" or not loop:
        how["loop"] = loop or 0
    elif loop > 1:
        how["loop"] = loop - 1
    if kind == "WEBP":
        how |= {"quality": 80 if quality is None else quality, "method": 4, "minimize_size": False}
    elif kind == "GIF":
        how |= {"disposal": 2 if clears else 1, "optimize": False}
    first.save(file, kind, **how)


def _images(frames: Iterable[Frame], times: list[int], unit: Fraction) -> Iterator[Image.Image]:
    """Yields the images and appends each one's time in milliseconds to `times`, since Pillow asks
    for a frame's time after it has taken the frame. A frame is shown until the next begins, since
    films whose frames are reordered name other durations. Times are rounded to the format's `unit`,
    and rounding errors do not add up. A GIF leaves out frames that would be shorter than
    `_LEAST`."""
    least = int(_LEAST / unit) if unit > Fraction(1, 1000) else 1
    shown: int | None = None  # the end of what is written, in units
    for frame, following in itertools.pairwise(itertools.chain(frames, (None,))):
        assert frame is not None
        start = round(frame.start / unit) if shown is None else shown
        end = round((following.start if following else frame.end) / unit)
        if shown is not None and end - start < least:
            continue
        shown = max(end, start + least)
        times.append(int((shown - start) * unit * 1000))
        rgb = Image.fromarray(frame.pixels)
        if frame.alpha is not None:
            rgb.putalpha(Image.fromarray(frame.alpha))
        yield rgb


def _paletted(image: Image.Image) -> Image.Image:
    """Returns the image with a palette, as Pillow writes it into a GIF, in a quarter of the
    memory."""
    made = image.convert("P", palette=Image.Palette.ADAPTIVE)
    if image.mode == "RGBA" and made.palette is not None:
        colours = made.palette.colors
        clear = [number for colour, number in colours.items() if tuple(colour)[3:] == (0,)]
        if clear:
            made.info["transparency"] = clear[0]
    return made
