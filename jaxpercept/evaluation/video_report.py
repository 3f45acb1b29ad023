"""The result of `evaluate video` as a table and a plot over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import images
from jaxpercept.evaluation.video import INPUT
from jaxpercept.evaluation.video_losses import LOSSES
from jaxpercept.images import Float


def markdown(result: dict[str, Any]) -> str:
    """Returns the result as a Markdown table per clip, with each error's ratio to the input's."""
    lines: list[str] = []
    for clip, rows in result["clips"].items():
        own = rows[INPUT]
        keys = [key for key in own if not key.endswith("each")]
        keys += [key for key in LOSSES if any(key in row for row in rows.values())]
        lines += ["", f"{Path(clip).name}, RMSE", "", f"| style | {' | '.join(keys)} |"]
        lines += ["|---|" + "---|" * len(keys)]
        for name, row in rows.items():
            cells = (_cell(key, row.get(key), own.get(key)) for key in keys)
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines[1:]) + "\n"


def _cell(key: str, value: float | None, own: float | None) -> str:
    if value is None:
        return ""
    if key in LOSSES:
        return f"{value:.3g}"
    ratio = f" ({value / own:.1f}×)" if key.startswith("lag") and own and value != own else ""
    return f"{value:.4f}{ratio}"


def plot(result: dict[str, Any]) -> Float:
    """Returns a chart per clip, one under the other, of each style's error over the frames."""
    first = result["lags"][0]
    return np.concatenate(
        [
            images.line_chart(
                [
                    images.Line(
                        Path(name).name, range(first, first + len(row["each"])), row["each"]
                    )
                    for name, row in rows.items()
                ],
                title=f"{Path(clip).name}: RMSE against the frame {first} before",
                x_label="frame",
                log=False,
            )
            for clip, rows in result["clips"].items()
            if rows[INPUT]["each"]
        ]
    )
