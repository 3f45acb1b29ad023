"""A net of another project as its reader returns it, and our names of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxpercept.config import TransformNetConfig

Arrays = dict[str, np.ndarray]
Names = dict[str, tuple[str, tuple[int, ...]]]  # our name: their name, and the order of their axes
CONV, TRANSPOSED, VECTOR = (2, 3, 1, 0), (2, 3, 0, 1), (0,)  # from Torch's OIHW and IOHW to HWIO


@dataclass(frozen=True)
class Source:
    """What a reader found: their arrays by their names (possibly incomplete), their names for ours,
    and the net."""

    config: TransformNetConfig
    arrays: Arrays
    names: Names
    format: str
    licence: str
    about: dict[str, Any] = field(default_factory=dict)  # further entries for the header


def layers(config: TransformNetConfig) -> Iterator[tuple[str, str]]:
    """Yields our names of every convolution and of the norm after it, in order. The last
    convolution has a norm only with `head_norm`."""
    yield "stem", "stem_norm"
    yield from ((f"down.{i}", f"down_norm.{i}") for i in range(len(config.down)))
    yield from (
        (f"blocks.{i}.conv{j}", f"blocks.{i}.norm{j}") for i in range(config.blocks) for j in (1, 2)
    )
    yield from ((f"up.{i}", f"up_norm.{i}") for i in range(len(config.up)))
    yield "head", "head_norm"


def length(state: Arrays, name: str, axis: int, default: int) -> int:
    """Returns the width of a layer, or `default` if its kernel is missing or misshapen, which is
    reported later."""
    value = state.get(name)
    return value.shape[axis] if value is not None and value.ndim == 4 and value.size else default
