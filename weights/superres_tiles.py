"""Makes the training tiles of x4-feature's last stages from photos that anyone may use:

    python -m weights.superres_tiles --large photos_hr/ --square cid22/ --small photos/ --out DIR

The command makes DIR/tiles, DIR/tiles_flat and DIR/tiles_grain, for `train superres --data`.
`--large` takes photos of a megapixel or more. `--square` takes CID22's photos of 512 pixels; every
17th of them, twelve in all, is left out. `--small` takes photos of 320 pixels, which are shrunk to
remove their JPEG artefacts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jaxpercept import errors, images

SIDE, FLAT_SIDE, GRAIN_SIDE = 288, 192, 160  # the tiles' sides in pixels
SMALLER = 0.6  # the factor of the rescaled copies
Tile = tuple[str, NDArray[np.uint8]]


def detail(x: NDArray[np.uint8]) -> float:
    """Returns the mean absolute Laplacian of the grey values."""
    y = np.pad(x.astype(np.float32).mean(-1), 1, mode="edge")
    around = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:]
    return float(np.abs(4 * y[1:-1, 1:-1] - around)[1:-1, 1:-1].mean())


def photos(folder: Path) -> list[Path]:
    """Returns the folder's images in alphabetical order, on which the photos left out depend."""
    return sorted(images.list_images(folder))


def copies(path: Path, *factors: float) -> Iterator[Tile]:
    """Yields the photo at each factor."""
    with Image.open(path) as file:
        photo = file.convert("RGB")
    for factor in factors:
        size = int(photo.width * factor), int(photo.height * factor)
        small = photo if factor == 1 else photo.resize(size, Image.Resampling.BICUBIC)
        yield f"{path.stem}-{round(100 * factor)}", np.asarray(small)


def cut(name: str, x: NDArray[np.uint8], side: int) -> Iterator[Tile]:
    """Yields as many tiles as fit, spread over the photo."""
    starts = [
        [(size - side) * i // max(size // side - 1, 1) for i in range(size // side)]
        for size in x.shape[:2]
    ]
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            yield f"{name}-{i}-{j}", x[top : top + side, left : left + side]


def grain(number: int, rng: np.random.Generator) -> Tile:
    """Draws a slope of one colour with noise of grey and of colour."""
    y, x = np.mgrid[:GRAIN_SIDE, :GRAIN_SIDE][..., None] - GRAIN_SIDE // 2
    slopes = rng.normal(0, 0.15, (2, 3))
    picture = rng.uniform(20, 235, 3) + y * slopes[0] + x * slopes[1]
    picture = picture + rng.normal(0, rng.uniform(0.5, 5), (GRAIN_SIDE, GRAIN_SIDE, 1))
    picture = picture + rng.normal(0, rng.uniform(0, 2), picture.shape)
    return f"grain-{number}", np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def write(folder: Path, tiles: list[Tile]) -> None:
    """Writes the tiles as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, x in tiles:
        Image.fromarray(x).save(folder / f"{name}.png", compress_level=1)
    print(f"{folder}: {len(tiles)} tiles")


def most_detailed(tiles: list[Tile], share: float) -> list[Tile]:
    """Returns the given share of the tiles, the most detailed first; a negative share takes the
    least detailed."""
    ordered = sorted(tiles, key=lambda tile: detail(tile[1]), reverse=share > 0)
    return ordered[: round(abs(share) * len(tiles))]


def main() -> None:
    """Runs the command above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in ("--large", "--square", "--small", "--out"):
        parser.add_argument(option, type=Path, required=True, metavar="FOLDER")
    given: Any = parser.parse_args()
    large = [
        tile
        for path in photos(given.large)
        for name, x in copies(path, 1, SMALLER)
        for tile in cut(name, x, SIDE)
    ]
    held = photos(given.square)[::17][:12]
    square = [
        tile
        for path in photos(given.square)
        if path not in held
        for name, x in copies(path, 1, SMALLER)
        for tile in cut(name, x, SIDE)
    ]
    small = [copy for path in photos(given.small) for copy in copies(path, SMALLER)]
    small = [(name, x) for name, x in small if detail(x) > 8]
    write(given.out / "tiles", most_detailed(large, 0.6) + square + small)
    flat = [
        tile
        for path in photos(given.large)
        for name, x in copies(path, SMALLER)
        for tile in cut(name, x, FLAT_SIDE)
    ]
    write(given.out / "tiles_flat", most_detailed(flat, -0.25))
    rng = np.random.default_rng(0)
    write(given.out / "tiles_grain", [grain(i, rng) for i in range(150)])


if __name__ == "__main__":
    errors.reporting(main)
