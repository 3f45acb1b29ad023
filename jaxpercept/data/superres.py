"""Makes super-resolution pairs: low-resolution inputs from the target patches, inside the pipeline.

Batches are {"target": uint8 (N, S, S, 3), "input": uint8 (N, S/scale, S/scale, 3)}. The input is
rounded to 8 bits, as in a file. Patches are random crops of decoded images, which stay in memory;
see `make_dataset`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxpercept.data.pipeline import Batches, make_dataset
from jaxpercept.data.sources import Source
from jaxpercept.errors import InputError, Name
from jaxpercept.images.resampling import degrade


class Degrade:
    """Adds "input" to an element of the pipeline, in a way that only the generator decides."""

    def __init__(self, scale: int, degradation: str):
        self.scale, self.degradation = scale, degradation

    def __call__(self, element: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        small = degrade(element["target"], self.scale, self.degradation, rng)
        return {**element, "input": np.ascontiguousarray(small)}


def make_pairs(
    source: Source,
    *,
    scale: int,
    degradation: str = "blur",
    image_size: int,
    **kwargs: Any,
) -> Batches:
    """Returns pairs of `image_size` patches and their inputs; `kwargs` and the rest are as in
    `make_dataset`.

    degradation: see `resampling.degrade`. Raises `InputError` for a patch that the scale does not
    divide."""
    if image_size % scale:
        raise InputError(
            Name("image_size"),
            f" {image_size} is not a multiple of the scale {scale}; use "
            f"{image_size // scale * scale or scale}",
        )
    return make_dataset(
        source, image_size=image_size, crop="patch", each=Degrade(scale, degradation), **kwargs
    )
