"""A contact sheet of flicker: frames, a net's pictures of them, and what changed in these besides
the motion.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.errors import InputError
from jaxpercept.evaluation.video import NOTHING
from jaxpercept.images import Float

PAIRS = 3  # of neighbouring frames per clip and net
MAGNIFIED = 4
_GREY = 0.5  # of pixels whose flow is not reliable
_CELL = 240


class Differences:
    """Gathers the pictures of a sheet while `evaluate_video` runs."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[NDArray[np.uint8]]] = defaultdict(list)

    def watch(
        self,
        clip: str,
        net: str,
        index: int,
        count: int,
        frame: Float,
        output: Float,
        apart: Float,
        mask: Any,
    ) -> None:
        """Takes the frame `index` (H, W, 3) of `count`, a net's picture of it, its difference
        `apart` to the picture before, moved along the flow, and where that flow is reliable, (H,
        W)."""
        if index in {round(i * (count - 1) / PAIRS) for i in range(1, PAIRS + 1)}:
            shown = np.where(mask[..., None], np.abs(apart) * MAGNIFIED, _GREY)
            cells = (
                images.resize(images.to_uint8(x), _CELL, "long") for x in (frame, output, shown)
            )
            self.rows[clip, net].extend(cells)

    def sheet(self) -> Float:
        """Returns the sheet: a row per clip and net, three columns per frame. Raises InputError if
        no picture was watched."""
        if not self.rows:
            raise InputError(NOTHING)
        most = max(map(len, self.rows.values()))
        return images.contact_sheet(
            list(self.rows.values()),
            row_labels=[f"{Path(clip).name}, {Path(net).name}" for clip, net in self.rows],
            column_labels=["frame", "picture", f"change, {MAGNIFIED} times"] * (most // 3),
        )
