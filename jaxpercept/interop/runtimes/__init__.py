"""Runtimes for the ONNX graph of a trained net. Each module has `load(data, precision)`.

Both import their library on first use, and raise an InputError that says how to install it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

# Names in our graphs: what the first layer takes, and what the stem and the stride-2 layers make.
PIXELS, ENCODED = "pixels", "encoded"
# The errors that bfloat16 may have, in units of 1/255: the mean, and the 99.9th percentile.
BOUND = {"mean": 1.0, "p999": 4.0}


class Loaded(NamedTuple):
    """A graph that is ready to run. `run` maps its inputs, float32 in their order, to its output.
    `about` names the library, its version and the precision in use."""

    run: Callable[..., np.ndarray]
    about: str


def errors(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> dict[str, float]:
    """Returns the absolute differences over all values of all images, in units of 1/255: the mean,
    the 99.9th percentile and the largest."""
    pairs = zip(found, expected, strict=True)
    apart = 255 * np.concatenate([np.abs(a - b).ravel() for a, b in pairs])
    return {
        "mean": float(apart.mean(dtype=np.float64)),
        "p999": float(np.quantile(apart, 0.999)),
        "largest": float(apart.max()),
    }
