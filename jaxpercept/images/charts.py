"""Draws line charts as images, (H, W, 3) in [0, 1]: losses over steps, without a plotting
library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from jaxpercept.images.scaling import Float

# Okabe and Ito's colours, which colour-blind people tell apart (https://jfly.uni-koeln.de/color/)
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


class Line(NamedTuple):
    """Points to join. Lines with the same label share a legend entry and a colour. A `thin` line is
    pale, for one run among many."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    thin: bool = False


def line_chart(
    lines: Sequence[Line],
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log: bool | None = None,
    size: tuple[int, int] = (480, 720),
) -> Float:
    """Draws the lines on axes and returns the image; `size` is (H, W). It is drawn at twice the
    size and scaled down.

    log: whether the y axis is logarithmic; None chooses it if every value is above 0 and they span
    more than a factor of 10. Points that are not finite are left out, and so are values of 0 or
    less on a logarithmic axis. Raises ValueError if no point is left."""
    kept = [
        [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x + y)]
        for line in lines
    ]
    ys = [y for points in kept for _, y in points]
    if log is None:
        log = bool(ys) and min(ys) > 0 and max(ys) > 10 * min(ys)
    if log:
        kept = [[(x, math.log10(y)) for x, y in points if y > 0] for points in kept]
    if not any(kept):
        raise ValueError("line_chart: no point to draw")
    height, width = 2 * size[0], 2 * size[1]
    font, small = ImageFont.load_default(size=28), ImageFont.load_default(size=24)
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    left, right, top, bottom = 160, width - 40, 90, height - 110
    (x0, x1), (y0, y1) = (
        _span([p[i] for points in kept for p in points], margin)
        for i, margin in ((0, 0), (1, 0.05))
    )

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (
            bottom - top
        )

    for value in _ticks(x0, x1):
        x, _ = at(value, y0)
        pen.line((x, top, x, bottom), "#e5e5e5", 2)
        pen.text((x, bottom + 12), f"{value:g}", "black", small, anchor="ma")
    for value in _log_ticks(y0, y1) if log else _ticks(y0, y1):
        _, y = at(x0, value)
        pen.line((left, y, right, y), "#e5e5e5", 2)
        pen.text((left - 12, y), f"{10**value if log else value:.3g}", "black", small, anchor="rm")
    pen.rectangle((left, top, right, bottom), outline="#555555", width=2)
    labels = list(dict.fromkeys(line.label for line in lines))
    for line, points in zip(lines, kept, strict=True):
        color = COLORS[labels.index(line.label) % len(COLORS)]
        pale = tuple((c + 255) // 2 for c in ImageColor.getrgb(color)[:3])
        pen.line(
            [at(*p) for p in points],
            pale if line.thin else color,
            2 if line.thin else 5,
            joint="curve",
        )
    pen.text(((left + right) / 2, 30), title, "black", font, anchor="ma")
    pen.text(((left + right) / 2, height - 20), x_label, "black", font, anchor="md")
    pen.text((20, 40), y_label, "black", font)
    for i, label in enumerate(labels):
        y, end = top + 30 + 36 * i, right - 30
        pen.line((end - 60, y, end, y), COLORS[i % len(COLORS)], 5)
        pen.text((end - 75, y), label, "black", small, anchor="rm")
    halved = picture.resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return np.asarray(halved, np.float32) / np.float32(255)


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = margin * (high - low) or (0.5 if high == low else 0.0)
    return low - pad, high + pad


def _ticks(low: float, high: float) -> list[float]:
    """Returns about six round values."""
    raw = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Returns 1, 2 and 5 times the powers of ten, or only the powers if the range spans more than
    three."""
    factors = (1, 2, 5) if high - low <= 3 else (1,)
    values = [
        e + math.log10(f) for e in range(math.floor(low), math.ceil(high) + 1) for f in factors
    ]
    return [v for v in values if low <= v <= high]
