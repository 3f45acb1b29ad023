"""Line charts as images, (H, W, 3) in [0, 1]: enough to show a loss over iterations, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxpercept.images.scaling import Float

COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")


class Line(NamedTuple):
    """Points to join. Lines of one label share a legend entry and a colour; `thin` for one of many."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    thin: bool = False


def line_chart(
    lines: Sequence[Line], *, title: str = "", x_label: str = "", y_label: str = "", log: bool = True,
    size: tuple[int, int] = (480, 720),
) -> Float:  # fmt: skip
    """The lines on axes, y logarithmic if `log`; `size`: (H, W). Drawn at twice the size and scaled down."""
    height, width = 2 * size[0], 2 * size[1]
    font, small = ImageFont.load_default(size=28), ImageFont.load_default(size=24)
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    left, right, top, bottom = 160, width - 40, 90, height - 110
    scale = (lambda v: math.log10(max(v, 1e-30))) if log else float
    xs, ys = [x for line in lines for x in line.x], [scale(y) for line in lines for y in line.y]
    (x0, x1), (y0, y1) = _span(xs, 0), _span(ys, 0.05)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (x - x0) / (x1 - x0) * (right - left), bottom - (y - y0) / (y1 - y0) * (bottom - top)

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
    for line in lines:
        color = COLORS[labels.index(line.label) % len(COLORS)]
        points = [at(x, scale(y)) for x, y in zip(line.x, line.y, strict=True)]
        pen.line(points, color, 2 if line.thin else 5, joint="curve")
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
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = margin * (high - low) or (0.5 if high == low else 0.0)
    return low - pad, high + pad


def _ticks(low: float, high: float) -> list[float]:
    """About six round values."""
    raw = (high - low) / 6
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten, or the powers alone over more than three of them."""
    factors = (1, 2, 5) if high - low <= 3 else (1,)
    values = [e + math.log10(f) for e in range(math.floor(low), math.ceil(high) + 1) for f in factors]
    return [v for v in values if low <= v <= high]
