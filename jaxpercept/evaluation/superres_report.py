"""The report of super-resolution scores: Markdown tables and a contact sheet of crops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.errors import cell

CROP = 96  # the side of the sheet's details
SHEET_ROWS = 12


def busiest(output: NDArray[np.uint8], target: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Returns the crop where the first method errs most, since it shows the difference best."""
    error = np.abs(output.astype(np.float64) - target).sum(-1)
    size = min(CROP, *error.shape)
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    top, left = (int(i) for i in np.unravel_index(sums.argmax(), sums.shape))
    return slice(top, top + size), slice(left, left + size)


def sheet(
    rows: list[tuple[str, list[NDArray[Any]]]], result: dict[str, Any], names: list[str]
) -> images.Float:
    """Returns the contact sheet. A row is a file's name, its picture, the crop of it, and the crops
    of the methods `names`, uint8 (H, W, 3). `result` is that of `evaluate_superres`."""
    labels = []
    for file, _ in rows:
        scores = [
            f"{n} {s['psnr']:.2f} / {s['ssim']:.3f}"
            for n in names
            if (s := result["models"].get(n, {}).get("images", {}).get(file))
        ]
        labels.append(f"{file}: " + ", ".join(scores))
    grid = [
        [images.resize(whole, 2 * CROP, "long"), *(c.repeat(2, 0).repeat(2, 1) for c in crops)]
        for _, (whole, *crops) in rows
    ]
    return images.contact_sheet(
        grid, row_labels=labels, column_labels=["picture", "original", *names]
    )


def markdown(result: dict[str, Any]) -> str:
    """Returns the result as Markdown tables: means, then PSNR / SSIM per image."""
    models = result["models"]
    keys = [key for key in next(iter(models.values())) if key != "images"]
    lines = [
        f"×{result['scale']}, {result['degradation']} inputs, means",
        "",
        f"| method | {' | '.join(keys)} |",
        "|---|" + "---|" * len(keys),
    ]
    lines += [
        f"| {cell(name)} | {' | '.join(_number(key, entry[key]) for key in keys)} |"
        for name, entry in models.items()
    ]
    files = [cell(name) for name in next(iter(models.values()))["images"]]
    lines += ["", "| method | " + " | ".join(files) + " |", "|---|" + "---|" * len(files)]
    for name, entry in models.items():
        cells = (f"{s['psnr']:.2f} / {s['ssim']:.4f}" for s in entry["images"].values())
        lines.append(f"| {cell(name)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _number(key: str, value: float) -> str:
    return f"{value:.2f}" if key == "psnr" else f"{value:.4f}" if key == "ssim" else f"{value:.4g}"
