"""Puts images into labelled grids, for previews and comparisons, and matches their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from jaxpercept.images.scaling import Float, resize, to_uint8

GAP, TEXT = 8, 16  # the space between images and the height of letters, in pixels


def contact_sheet(
    rows: Sequence[Sequence[NDArray[Any] | None]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    cell: int | None = None,
) -> Float:
    """Lays out images (h, w, 3) of any sizes, float in [0, 1] or uint8, in a grid on white: float32
    (H, W, 3).

    rows: one list of images per row; None leaves a place empty.
    row_labels: one label per row, written above it (several lines are allowed).
    column_labels: one label per column, written above the grid.
    cell: the longer side to which each image is resized; None keeps its size.
    """
    if row_labels and len(row_labels) != len(rows):
        raise ValueError(f"{len(row_labels)} row labels for {len(rows)} rows")
    grid = [
        [
            None
            if x is None
            else to_uint8(np.asarray(x) if cell is None else resize(x, cell, "long"))
            for x in r
        ]
        for r in rows
    ]
    columns = max(map(len, grid), default=0)
    if column_labels and len(column_labels) != columns:
        raise ValueError(f"{len(column_labels)} column labels for {columns} columns")
    font = ImageFont.load_default(size=TEXT)
    stacks = [[r[c] for r in grid if c < len(r)] for c in range(columns)]
    widths = [max((x.shape[1] for x in stack if x is not None), default=0) for stack in stacks]
    heights = [max((x.shape[0] for x in r if x is not None), default=0) for r in grid]
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    bands = [_height(pen, label, font) for label in (row_labels or [""] * len(grid))]
    top = max((_height(pen, label, font) for label in column_labels), default=0)
    widths = [
        max(w, _width(pen, label, font))
        for w, label in zip(widths, column_labels or [""] * columns, strict=True)
    ]
    total = max(
        [GAP + sum(w + GAP for w in widths)]
        + [2 * GAP + _width(pen, label, font) for label in row_labels]
    )
    sheet = Image.new(
        "RGB",
        (total, GAP + top + sum(h + b + GAP for h, b in zip(heights, bands, strict=True))),
        "white",
    )
    pen = ImageDraw.Draw(sheet)
    lefts = [GAP + sum(w + GAP for w in widths[:c]) for c in range(columns)]
    for label, left in zip(column_labels, lefts, strict=False):
        pen.multiline_text((left, GAP), label, "black", font)
    y = GAP + top
    for i, r in enumerate(grid):
        if row_labels:
            pen.multiline_text((GAP, y), row_labels[i], "black", font)
        y += bands[i]
        for x, left in zip(r, lefts, strict=False):
            if x is not None:
                sheet.paste(Image.fromarray(x), (left, y))
        y += heights[i] + GAP
    return np.asarray(sheet, np.float32) / np.float32(255)


def _height(pen: ImageDraw.ImageDraw, label: str, font: Any) -> int:
    return int(np.ceil(pen.multiline_textbbox((0, 0), label, font)[3])) + GAP if label else 0


def _width(pen: ImageDraw.ImageDraw, label: str, font: Any) -> int:
    return int(np.ceil(pen.multiline_textbbox((0, 0), label, font)[2])) if label else 0


def match_histogram(
    x: NDArray[Any],
    reference: NDArray[Any],
    weights: NDArray[Any] | None = None,
    reference_weights: NDArray[Any] | None = None,
) -> Float:
    """Maps each channel's values of `x` (H, W, 3) so that its histogram matches that of `reference`
    (of any size).

    Both are float in [0, 1], or both are uint8, which is many times faster. Returns float32 in [0,
    1]. The weights (H, W), only for uint8, say how much each pixel counts, as alpha does. By
    default all count alike."""
    if (
        x.dtype == np.uint8 and reference.dtype == np.uint8
    ):  # as scikit-image, but without rounding down
        planes = [
            _matching(x[..., c], reference[..., c], weights, reference_weights)[x[..., c]]
            for c in range(x.shape[-1])
        ]
        return np.stack(planes, -1)
    from skimage.exposure import match_histograms

    return np.clip(match_histograms(x, reference, channel_axis=-1), 0, 1).astype(np.float32)


def _matching(
    x: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    weights: NDArray[Any] | None,
    reference_weights: NDArray[Any] | None,
) -> Float:
    """Returns the new value of each of 256 values. They stay the same if no pixel counts."""
    counts = [
        np.bincount(plane.ravel(), None if w is None else w.ravel(), minlength=256)
        for plane, w in ((x, weights), (reference, reference_weights))
    ]
    if not all(count.sum() for count in counts):
        return (np.arange(256) / 255).astype(np.float32)
    have, want = (np.cumsum(count) / count.sum() for count in counts)
    found = np.flatnonzero(counts[1])
    return (np.interp(have, want[found], found) / 255).astype(np.float32)
