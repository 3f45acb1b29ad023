"""A contact sheet of a film: up to 12 frames, evenly spread, whatever its length."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.images.frames import Frame

STILLS = 12  # the most frames of a contact sheet


class Stills:
    """Keeps every n-th frame. Whenever it has too many, it drops every second one and doubles n.
    `kept` are times in seconds and pictures."""

    def __init__(self) -> None:
        self.seen, self.step = 0, 1
        self.kept: list[tuple[Fraction, NDArray[np.uint8]]] = []

    def watched(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yields the same frames."""
        for frame in frames:
            if self.seen % self.step == 0:
                if len(self.kept) == STILLS:
                    del self.kept[1::2]
                    self.step *= 2
                if self.seen % self.step == 0:
                    small = images.resize(frame.pixels, 384, "long")
                    self.kept.append((frame.start, small))
            self.seen += 1
            yield frame

    def save(self, target: Path) -> Path:
        """Writes the sheet beside the film `target`, and returns its path."""
        rows = [self.kept[i : i + 4] for i in range(0, len(self.kept), 4)]
        labels = [", ".join(f"{float(t):.2f} s" for t, _ in row) for row in rows]
        sheet = images.contact_sheet([[x for _, x in row] for row in rows], row_labels=labels)
        return images.save_image(target.with_name(f"{target.stem}_stills.jpg"), sheet)
