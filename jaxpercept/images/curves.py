"""Line charts, drawn with Pillow: enough to compare training runs without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxpercept.images.scaling import Float

# Okabe and Ito's colours, which colour-blind people tell apart (https://jfly.uni-koeln.de/color/)
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0))
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 24, 44, 56


def draw_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    smooth: float = 0.0,
    size: tuple[int, int] = (900, 560),
) -> Float:
    """Curves (x, y) by name on white, with axes and a legend: float32 (H, W, 3); `size` is (W, H).

    The y axis is logarithmic when every value is above 0 and they span more than a factor of 10. smooth: the running
    mean over this share of a curve on top of its points, which are then faint. Points that are not finite are left
    out; ValueError when none is left."""
    kept = {name: _finite(*curve) for name, curve in curves.items()}
    everything = [p for points in kept.values() for p in points]
    if not everything:
        raise ValueError("draw_curves: no finite point to draw")
    xs, ys = zip(*everything, strict=True)
    log = min(ys) > 0 and max(ys) > 10 * min(ys)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    x_range, y_range = _range(xs), _range([math.log10(y) for y in ys] if log else ys)
    width, height = size[0] - _LEFT - _RIGHT, size[1] - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        y = math.log10(y) if log else y
        return (_LEFT + width * (x - x_range[0]) / (x_range[1] - x_range[0]),
                _TOP + height * (y_range[1] - y) / (y_range[1] - y_range[0]))  # fmt: skip

    for x in _ticks(*x_range):
        across = place(x, ys[0])[0]
        pen.line([(across, _TOP), (across, _TOP + height)], fill=(225, 225, 225))
        pen.text((across, _TOP + height + 8), f"{x:g}", "black", font, anchor="mt")
    for tick in _log_ticks(*y_range) if log else _ticks(*y_range):
        down = place(x_range[0], tick)[1]
        pen.line([(_LEFT, down), (_LEFT + width, down)], fill=(225, 225, 225))
        pen.text((_LEFT - 8, down), f"{tick:.4g}", "black", font, anchor="rm")
    pen.rectangle([_LEFT, _TOP, _LEFT + width, _TOP + height], outline=(120, 120, 120))
    pen.text((_LEFT, 14), title, "black", ImageFont.load_default(size=18))
    for i, (name, points) in enumerate(kept.items()):
        colour = COLOURS[i % len(COLOURS)]
        faint = tuple(255 - (255 - c) // 3 for c in colour)
        pen.line([place(*p) for p in points], fill=faint if smooth else colour, width=1 if smooth else 2)
        if smooth:
            mean = running_mean([y for _, y in points], max(1, round(smooth * len(points))))
            pen.line([place(x, y) for (x, _), y in zip(points, mean, strict=True)], fill=colour, width=2)
        below = _TOP + 10 + 20 * i
        pen.line([(_LEFT + width - 30, below + 7), (_LEFT + width - 10, below + 7)], fill=colour, width=3)
        pen.text((_LEFT + width - 38, below), name, "black", font, anchor="ra")
    return np.asarray(sheet, np.float32) / np.float32(255)


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """The mean of the last `width` values at each place, of fewer at the start."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return [float(m) for m in (sums[ends] - sums[starts]) / (ends - starts)]


def _finite(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    spare = (high - low) * 0.04 or max(abs(high) * 0.1, 1e-9)
    return low - spare, high + spare


def _ticks(low: float, high: float) -> list[float]:
    """At most eight round numbers."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(f for f in (1, 2, 5, 10) if (high - low) / (f * step) <= 8)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between 10^low and 10^high; the powers alone over four decades."""
    factors = (1, 2, 5) if high - low < 4 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [f * 10.0**p for p in powers for f in factors if low <= math.log10(f * 10.0**p) <= high]
