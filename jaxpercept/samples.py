"""Pictures that come with the installation, for examples, tests and a first try: nothing is downloaded.

All float32 RGB (H, W, 3) in [0, 1]. The photographs are the ones inside scikit-image's wheel.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from jaxpercept.errors import InputError
from jaxpercept.images import Float, load_image

_PHOTOS = {"chelsea": "chelsea.png", "coffee": "coffee.png", "rocket": "rocket.jpg", "astronaut": "astronaut.png"}


def sample_photos() -> dict[str, Float]:
    """scikit-image's cat, coffee, rocket and astronaut: name to (H, W, 3), 300 to 512 pixels high."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise InputError("the sample photos come with scikit-image, which is not installed; pip install scikit-image")
    folder = Path(spec.origin).parent / "data"
    return {name: load_image(folder / file) for name, file in _PHOTOS.items()}
