"""The result of `evaluate video` as a table and a plot over time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import images
from jaxpercept.errors import InputError, cell
from jaxpercept.evaluation.video import INPUT, NOTHING
from jaxpercept.evaluation.video_losses import LOSSES
from jaxpercept.images import Float


def markdown(result: dict[str, Any]) -> str:
    """Returns the result as a Markdown table per clip, with each error's ratio to the input's."""
    lines: list[str] = []
    for clip, rows in result["clips"].items():
        own = rows[INPUT]
        keys = [key for key in own if not key.endswith("each")]
        keys += [key for key in LOSSES if any(key in row for row in rows.values())]
        lines += ["", f"{cell(Path(clip).name)}, RMSE", "", f"| style | {' | '.join(keys)} |"]
        lines += ["|---|" + "---|" * len(keys)]
        for name, row in rows.items():
            cells = (_cell(key, row.get(key), own.get(key)) for key in keys)
            lines.append(f"| {cell(name)} | {' | '.join(cells)} |")
    return "\n".join(lines[1:]) + "\n"


def _cell(key: str, value: float | None, own: float | None) -> str:
    if value is None:
        return ""
    if key in LOSSES:
        return f"{value:.3g}"
    ratio = f" ({value / own:.1f}×)" if key.startswith("lag") and own and value != own else ""
    return f"{value:.4f}{ratio}"


def plot(result: dict[str, Any]) -> Float:
    """Returns a chart per clip, one under the other, of each style's error over the frames. Raises
    InputError if no clip has such errors."""
    first = result["lags"][0]
    charts = [
        images.line_chart(
            [_line(name, first, row["each"]) for name, row in rows.items()],
            title=f"{Path(clip).name}: RMSE against the frame {first} before",
            x_label="frame",
            log=False,
        )
        for clip, rows in result["clips"].items()
        if any(error is not None for error in rows[INPUT]["each"])
    ]
    if not charts:
        raise InputError(NOTHING)
    return np.concatenate(charts)


def _line(name: str, first: int, each: list[float | None]) -> images.Line:
    values = [math.nan if error is None else error for error in each]
    return images.Line(Path(name).name, range(first, first + len(values)), values)
