"""Sample pictures for examples, tests and a first try. They come with the installation, so nothing
is downloaded.

All are float32 RGB (H, W, 3) in [0, 1]. The photographs are part of scikit-image's wheel; the style
is drawn here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.images import Float, load_image

_PHOTOS = {
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "astronaut": "astronaut.png",
}
# Of the PNG of `drawn_style()` that the shipped nets were trained on; today's encoder makes others.
DRAWN_SHA256 = "30dc4f9a8496c1a60801cade87ce8205318da9bd05f3f84cde0b1e6ff3963ce0"


def sample_files() -> dict[str, Path]:
    """Returns the paths of scikit-image's cat, coffee, rocket and astronaut by name. Raises
    InputError if it is not installed."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise InputError(
            "the sample photos come with scikit-image, which is not installed; pip install "
            "scikit-image"
        )
    folder = Path(spec.origin).parent / "data"
    return {name: folder / file for name, file in _PHOTOS.items()}


def sample_photos() -> dict[str, Float]:
    """Returns the same photos by name, (H, W, 3), 300 to 512 pixels high."""
    return {name: load_image(file) for name, file in sample_files().items()}


_SKY = (
    "fff6c8",
    "ffe07a",
    "ffb52e",
    "f5781f",
    "dd3524",
    "b31747",
    "7a1a6b",
    "45218a",
    "2a2f9e",
    "1b2a78",
)
_SEA = (
    "0f2a6b",
    "0b4aa8",
    "0a78c2",
    "11a3b8",
    "2fc7a6",
    "8fe0b0",
    "0e8f84",
    "0a5f9e",
    "123a86",
    "0c1f57",
)


def drawn_style(seed: int = 0, size: int = 512) -> Float:
    """Draws a sunset over waves in stained glass, (size, size, 3). Another seed cuts the glass
    anew.

    Panes are Voronoi cells, laid in rings around the sun and in rows along the waves, on slightly
    bent coordinates. The lead follows their borders, at the exact distance to the nearest bisector.
    """
    rng = np.random.default_rng(seed)
    sites, colors, angles = _panes(rng)
    step = (np.arange(size, dtype=np.float32) + 0.5) / size
    y, x = np.meshgrid(step, step, indexing="ij")
    bend = [_ripple(rng, x, y, 2.5) * 0.012 + _ripple(rng, x, y, 7.0) * 0.004 for _ in range(2)]
    points = np.stack([x + bend[0], y + bend[1]], axis=-1).reshape(-1, 2)
    cell, border = _nearest(points, sites)
    cell, border = cell.reshape(size, size), border.reshape(size, size)

    u, v = (points - sites[cell.reshape(-1)]).T.reshape(2, size, size)
    along = u * np.cos(angles)[cell] + v * np.sin(angles)[cell]
    across = v * np.cos(angles)[cell] - u * np.sin(angles)[cell]
    streaks = (
        _ripple(rng, along * 0.2 + 0.37 * cell, across + 0.1 * cell, 45.0) * 0.08
        + _ripple(rng, x, y, 14.0) * 0.03
    )
    light = 1 + 4.0 * along + streaks  # each pane brightens along its grain
    light *= 0.62 + 0.38 * np.clip(border / 0.012, 0, 1)  # and darkens towards the lead
    glass = np.clip(colors[cell] * light[..., None], 0, 1)

    width = 0.0036 + 0.0008 * _ripple(rng, x, y, 9.0)
    pane = np.clip((border - width) * size / 1.3 + 0.5, 0, 1)[..., None]
    shine = 0.16 * np.exp(-((border / (0.35 * width)) ** 2))[..., None]
    lead = np.array([0.05, 0.045, 0.07]) + shine * np.array([0.8, 0.85, 1.0])
    return np.clip(pane * glass + (1 - pane) * lead, 0, 1).astype(np.float32)


def _panes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the sites (n, 2) as x, y in and slightly around the unit square, their colours (n, 3)
    and their grain angles (n,)."""
    sun, horizon = np.array([0.62, 0.36]), 0.62
    sky, sea = (
        np.array([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in p])
        for p in (_SKY, _SEA)
    )
    sites, colors, angles = [sun], [sky[0]], [0.0]

    def shore(x: float) -> float:
        return horizon + 0.035 * np.sin(7 * x + 0.6) + 0.015 * np.sin(17 * x)

    radius, ring = 0.115, 0
    while radius < 1.05:
        count = max(9, round(2 * np.pi * radius / (0.056 + 0.03 * radius)))
        for turn in (
            (np.arange(count) + 0.5 * (ring % 2) + rng.uniform(-0.2, 0.2, count))
            * 2
            * np.pi
            / count
        ):
            spot = sun + (radius + rng.normal(0, 0.005)) * np.array([np.cos(turn), np.sin(turn)])
            if spot[1] < shore(spot[0]) - 0.02 and -0.1 < spot[0] < 1.1 and spot[1] > -0.1:
                sites.append(spot)
                colors.append(_blend(sky, 0.3 + radius * 11 + rng.normal(0, 0.55), rng))
                angles.append(turn + np.pi)
        radius, ring = radius + 0.055 + 0.012 * ring, ring + 1
    for row, depth in enumerate(np.cumsum(np.linspace(0.018, 0.07, 9))):
        wide = 0.075 + 0.12 * depth
        for left in np.arange(-0.1 + 0.5 * wide * (row % 2), 1.1, wide) + rng.normal(0, 0.006):
            drop = depth + (0.008 + 0.035 * depth) * np.sin(9 * left / (1 + depth) + 1.1 * row)
            sites.append(np.array([left, shore(left) + drop]))
            color = _blend(
                sea, 0.9 * row + 1.8 * np.sin(5 * left + 0.9 * row) + rng.normal(0, 0.5), rng
            )
            glitter = np.exp(-(((left - sun[0]) / (0.09 + 0.25 * depth)) ** 2)) * rng.uniform(
                0.2, 1.0
            )
            colors.append(
                color + (_blend(sky, 2.2 + rng.normal(0, 0.7), rng) - color) * (glitter > 0.45)
            )
            angles.append(rng.normal(-0.3, 0.4))
    return np.array(sites, np.float32), np.array(colors, np.float32), np.array(angles, np.float32)


def _blend(palette: np.ndarray, place: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the colour at a place along a palette, mixed from its neighbours with random
    variation."""
    place = float(np.clip(place, 0, len(palette) - 1))
    low = min(int(place), len(palette) - 2)
    mixed = palette[low] + (palette[low + 1] - palette[low]) * (place - low)
    return np.clip(mixed * rng.uniform(0.82, 1.15) + rng.normal(0, 0.02, 3), 0, 1)


def _ripple(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, frequency: float) -> np.ndarray:
    """Returns smooth noise of about unit strength: the sum of eight waves in random directions."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for turn, phase, scale in zip(
        *rng.uniform(0, 2 * np.pi, (2, 8)), rng.uniform(0.6, 1.4, 8), strict=True
    ):
        total += np.sin(
            2 * np.pi * frequency * scale * (x * np.cos(turn) + y * np.sin(turn)) + phase
        )
    return total / 2


def _nearest(points: np.ndarray, sites: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns, for each of the points (m, 2), the index of its nearest site and the distance to the
    border of its cell, both (m,)."""
    cells, borders = [], []
    for part in np.array_split(points, max(1, len(points) // 8192)):
        dx, dy = (part[:, axis, None] - sites[:, axis] for axis in range(2))
        square = dx * dx + dy * dy
        few = np.argpartition(square, 5, axis=1)[:, :6]
        near = np.take_along_axis(square, few, 1)
        order = near.argsort(1)
        few, near = np.take_along_axis(few, order, 1), np.take_along_axis(near, order, 1)
        apart = np.linalg.norm(sites[few[:, 1:]] - sites[few[:, :1]], axis=-1)
        cells.append(few[:, 0])
        borders.append(((near[:, 1:] - near[:, :1]) / (2 * apart)).min(1))
    return np.concatenate(cells), np.concatenate(borders)
