"""A comparison: one function of arrays, written once for us and once for the PyTorch twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jax import Array

from jaxpercept.evaluation.parity.inputs import Arrays


@dataclass(frozen=True)
class Case:
    """`ours(arrays, dtype)`, which computes in dtype, against `twin(tensors)`. Both return a dict
    of results. `inputs()` returns their arguments, float64. `depth` is "layer", "block", "net",
    "vgg" or "loss"."""

    depth: str
    name: str
    inputs: Callable[[], Arrays]
    ours: Callable[[dict[str, Array], Any], dict[str, Array]]
    twin: Callable[[dict[str, Any]], dict[str, Any]]


def load_twin() -> Any:
    """Returns the PyTorch nets and losses. Torch is imported here, when a case needs it."""
    from jaxpercept.evaluation import torch_twin

    return torch_twin
