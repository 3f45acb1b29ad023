"""The inputs of the comparisons: flat dicts of float64 arrays, the same on every machine.

They are drawn by a counter-based generator that no library's version changes, or are cut from
scikit-image's photographs. Parameters are named "params.…" and statistics "stats.…".
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.config import TransformNetConfig
from jaxpercept.images import samples
from jaxpercept.nets import transform_net, vgg

Arrays = dict[str, NDArray[Any]]


def uniform(
    key: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0
) -> NDArray[np.float64]:
    """Returns uniform numbers in [low, high), which depend on `key` and `shape` alone
    (splitmix64)."""
    count = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
    z = count * np.uint64(0x9E3779B97F4A7C15) + np.uint64(zlib.crc32(key.encode()) << 32)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (low + (high - low) * ((z >> np.uint64(11)).astype(np.float64) / 2**53)).reshape(shape)


def picture(size: tuple[int, int], count: int = 2, key: str = "image") -> NDArray[np.float64]:
    """Returns (count, *size, 3) in [0, 1]: generated if the height is even, else cut from
    photographs of a cat and a cup."""
    if size[0] % 2 == 0:
        return uniform(key, (count, *size, 3), 0.0, 1.0)
    photos, (h, w) = samples.sample_photos(), size
    pairs = [
        photos[name][90 : 90 + 5 * h : 5, 60 : 60 + 7 * w : 7] for name in ("chelsea", "coffee")
    ]
    return np.stack(pairs[:count]).astype(np.float64)


def variables(config: TransformNetConfig) -> Arrays:
    """Returns a net's parameters and statistics, in sizes as Torch draws them. None has a special
    value such as 0 or 1."""
    params, stats = transform_net.shapes(config)
    out: Arrays = {}
    for name, shape in params.items():
        if name.endswith("scale"):
            out[f"params.{name}"] = uniform(f"net{name}", shape, 0.6, 1.4)
        else:
            bound = 1 / np.sqrt(np.prod(shape[:3])) if len(shape) == 4 else 0.2
            out[f"params.{name}"] = uniform(f"net{name}", shape, -bound, bound)
    for name, shape in stats.items():
        low, high = (-0.2, 0.2) if name.endswith("mean") else (0.3, 0.9)
        out[f"stats.{name}"] = uniform(f"net{name}", shape, low, high)
    return out


def part(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Returns the entries under `prefix.`, without the prefix."""
    return {
        k.removeprefix(f"{prefix}."): v for k, v in arrays.items() if k.startswith(f"{prefix}.")
    }


@cache
def vgg_inputs() -> Arrays:
    """Returns the shipped loss network's arrays."""
    return {f"vgg.{k}": np.asarray(v, np.float64) for k, v in vgg.load_vgg16().items()}
