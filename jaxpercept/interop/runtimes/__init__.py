"""Runtimes for the ONNX graph of a trained net. Each module has `load(data, precision)`.

Both import their library on first use, and raise an InputError that says how to install it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

ENCODED = "encoded"  # in our graphs, the name of what the stem and the stride-2 layers make


class Loaded(NamedTuple):
    """A graph that is ready to run. `run` maps its inputs, float32 in their order, to its output.
    `about` names the library, its version and the precision in use."""

    run: Callable[..., np.ndarray]
    about: str
