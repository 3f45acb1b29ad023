"""The lines of progress while a film is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from jaxpercept.images.frames import Cut, Film, Frame
from jaxpercept.runtime import progress


def told(
    frames: Iterator[Frame], film: Film, cut: Cut, before: int, say: Callable[[str], None]
) -> Iterator[Frame]:
    """Yields the same frames, which follow the first `before`, and prints a line of progress every
    few seconds. The rate is that after the first frame, which waits for the compiler."""
    count, first, begun, said = _expected(film, cut), before + 1, 0.0, 0.0
    for done, frame in enumerate(frames, first):
        yield frame
        now = time.monotonic()
        if done == first:
            begun = said = now
        elif now - said >= progress.SAID:
            said = now
            rate = (done - first) / (now - begun)
            left = ""
            if count:
                rest = max(0, round((count - done) / rate))
                left = f" of {count}, {rest // 60}:{rest % 60:02} left"
            say(f"{done} frames{left}, {rate:.2f} frames/s")


def _expected(film: Film, cut: Cut) -> int:
    """Returns about how many frames will be made, or 0 if that is unknown."""
    if not film.count:
        return 0
    if cut == Cut():
        return film.count
    rate = cut.fps or film.rate
    if film.loop is not None:  # an animation's rate is not known
        return 0
    # With --fps, the film's `rate` is that already, and its own length is lost.
    if cut.end is None:
        return 0
    return round((cut.end - cut.start) * rate)
