"""The time that `learn` keeps for painting the photos when a style is learned."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpercept.errors import InputError

if TYPE_CHECKING:
    from jaxpercept.inference.treatment import Sizes, Treatment

# Before it learns, the net is compiled for so many sizes of photos.
_TRIED = 4
# The seconds for another size, or for the net that enlarges.
_COMPILING = 4.0
# Pixels that the net could paint meanwhile. Both together were measured as 0.4 to 0.9.
_ENLARGED, _RESIZED = 0.7, 0.1
# The same, while the style is saved.
_SAVING = 1_500_000


def sizes_of(model: Any, how: Treatment, photos: list[Path]) -> list[Sizes]:
    """Returns the sizes of the photos that can be painted."""
    from jaxpercept.inference.treatment import checked_sizes

    sizes = []
    for photo in photos:
        with contextlib.suppress(InputError):  # reported when it is to be stylized
            sizes.append(checked_sizes(how, model, photo, str(photo)))
    return sizes


def tried(model: Any, sizes: list[Sizes]) -> list[tuple[int, int]]:
    """Returns the sizes to compile the net for before it learns: the first few that it sees."""
    from jaxpercept.inference import tiles

    whole = (s.seen for s in sizes if not tiles.choose(model, *s.seen))
    return list(dict.fromkeys(whole))[:_TRIED]


def pace(model: Any, photo: Any) -> float:
    """Returns the seconds that the net takes per pixel of a photo, once it is compiled."""
    import numpy as np

    times = [time.monotonic()]
    for _ in range(9):  # the median: a pause of the machine tells nothing, but other work does
        np.asarray(model(photo[None]))
        times.append(time.monotonic())
    return float(np.median(np.diff(times))) / (photo.shape[0] * photo.shape[1])


def reserve(pace: float, sizes: list[Sizes], tried: list[tuple[int, int]]) -> float:
    """Returns the seconds to keep for the pictures: to save the style and its picture, to compile
    what is not yet compiled, and to read, paint, enlarge and write the photos. All of it is counted
    in pixels of the net at 256²: 2 for each that it sees, and for photos that it sees reduced
    `_ENLARGED` for each that is made of them and `_RESIZED` for each of the file."""
    from jaxpercept.inference import strokes

    reduced = [s for s in sizes if s.seen != s.file]
    pixels: float = _SAVING + 2 * sum(math.prod(s.seen) for s in sizes)
    for s in reduced:
        pixels += _ENLARGED * math.prod(strokes.enlarged_size(s.seen))
        pixels += _RESIZED * math.prod(s.file)
    compiled = len({s.seen for s in sizes} - {*tried}) + bool(reduced)
    return 0.5 + _COMPILING * compiled + pace * pixels
