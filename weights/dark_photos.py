"""Makes copies of photos with large dark areas, for the training of `wave`:

    python -m weights.dark_photos --photos photos/ --out DIR

Of every fourth photo, DIR gets one copy: in turn at 0.3 of its exposure, and with a black ellipse
or rectangle of 5 to 30 % of its area. Train on both folders, with --weights.dark.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from jaxpercept import errors, images
from jaxpercept.images import opening

EVERY, EXPOSURE = 4, 0.3
GAMMA = 2.2
AREA = (0.05, 0.3)  # share of the photo
STRETCH = (0.6, 1.6)  # of the area's width over its height, times the photo's


def underexposed(photo: Image.Image) -> Image.Image:
    """Returns the photo as a camera with less light would take it."""
    light = (np.asarray(photo) / 255) ** GAMMA
    return Image.fromarray(np.rint(255 * (EXPOSURE * light) ** (1 / GAMMA)).astype(np.uint8))


def with_black(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns the photo with a black ellipse or rectangle somewhere."""
    area, stretch = rng.uniform(*AREA), rng.uniform(*STRETCH)
    width, height = photo.width * (area * stretch) ** 0.5, photo.height * (area / stretch) ** 0.5
    left, top = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - height)
    out = photo.copy()
    draw = ImageDraw.Draw(out)
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    shape((left, top, left + width, top + height), fill=(0, 0, 0))
    return out


def main() -> None:
    """Runs the command above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, metavar="D", help="folder of photos")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    given: Any = parser.parse_args()
    rng = np.random.default_rng(0)
    chosen = images.list_images(given.photos)[::EVERY]
    given.out.mkdir(parents=True, exist_ok=True)
    for i, path in enumerate(chosen):
        with opening.reported(str(path)), Image.open(path) as file:
            photo = file.convert("RGB")
        copy = with_black(photo, rng) if i % 2 else underexposed(photo)
        copy.save(given.out / f"dark-{path.stem}.jpg", quality=95)
    print(f"{given.out}: {len(chosen)} photos")


if __name__ == "__main__":
    errors.reporting(main)
