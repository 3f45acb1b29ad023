"""Measures bfloat16 products inside the fast float32 convolution of JAX on a CPU, a trial.

    python -m benchmarks.bfloat16 --json docs/results/bfloat16.json

Winograd's transforms stay in float32. Only the products between them are in bfloat16 with float32
results: where it works along columns alone, three shifted matrix products per row of taps. The two
forms take turns on all cores, and the shortest time of each counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks import command
from benchmarks.machine import describe, load
from jaxpercept import images
from jaxpercept.errors import reporting
from jaxpercept.images import samples
from jaxpercept.inference.model import load_model
from jaxpercept.nets import transform_net, vgg
from jaxpercept.nets.conv import winograd
from jaxpercept.runtime import allocator

LAYERS = ((64, 64, 64), (128, 128, 64), (256, 256, 64), (64, 64, 128), (128, 128, 128))
DEEPEST = "relu4_3"


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--seconds", type=command.number(float, above=0), default=15, help="per row (default 15)"
    )
    command.add_json(parser)
    given = parser.parse_args()
    allocator.keep_freed_memory()  # or page faults would count in the large layers
    before = load()
    found = {}
    for name, (function, x) in rows().items():
        found[name] = compare(function, x, given.seconds)
        print(f"{name}: {found[name]}", flush=True)
    result = {"machine": describe(), "load_before": before, "load_after": load(), "rows": found}
    command.keep(given.json, result)


def rows() -> dict[str, tuple[Callable[[Array], Array], Array]]:
    """Returns the layers, a shipped net, and VGG-16 with its gradient, each with its input."""
    photo = next(iter(samples.sample_photos().values()))
    small, large = (jnp.asarray(images.square(photo, side)[None]) for side in (256, 512))
    net, phi = load_model("wave"), vgg.load_vgg16()
    found: dict[str, tuple[Callable[[Array], Array], Array]] = {
        f"{c} to {o} channels at {side}²": _layer(c, o, side) for c, o, side in LAYERS
    }

    def features(x: Array) -> Array:
        return vgg.vgg_features(phi, x, (DEEPEST,))[DEEPEST]

    return found | {
        "wave, 512²": (
            lambda x: transform_net.apply(net.config, net.params, net.stats, x)[0],
            large,
        ),
        "VGG-16, 256²": (features, small),
        "VGG-16 and its gradient, 256²": (jax.grad(lambda x: jnp.mean(features(x) ** 2)), small),
    }


def compare(function: Callable[[Array], Array], x: Array, seconds: float) -> dict[str, Any]:
    """Returns milliseconds of both forms, their ratio, and the error relative to the mean size of
    the result."""
    forms, results = [], []
    ours = {"along_rows": winograd.along_rows, "multiplied": winograd.multiplied}
    for products in (ours, {"along_rows": along_rows, "multiplied": multiplied}):
        with mock.patch.multiple(winograd, **products):
            # a new function each time, because jax keeps what it has traced
            forms.append(jax.jit(lambda x: function(x)).lower(x).compile())
        results.append(np.asarray(forms[-1](x)))
    best = [np.inf, np.inf]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for i, form in enumerate(forms):
            begun = time.perf_counter()
            form(x).block_until_ready()
            best[i] = min(best[i], 1e3 * (time.perf_counter() - begun))
    error, size = np.abs(results[1] - results[0]), np.abs(results[0]).mean()
    return {
        "float32_ms": round(best[0], 2),
        "bfloat16_ms": round(best[1], 2),
        "ratio": round(best[0] / best[1], 2),
        "mean_error": float(f"{error.mean() / size:.3g}"),
        "error_99.9_percent": float(f"{np.quantile(error, 0.999) / size:.3g}"),
    }


def multiplied(x: Array, taps: Array, contraction: str) -> Array:
    """Computes what `winograd.multiplied` does, in bfloat16 with float32 results."""
    x, taps = x.astype(jnp.bfloat16), taps.astype(jnp.bfloat16)
    return jnp.einsum(contraction, x, taps, preferred_element_type=jnp.float32)


def along_rows(x: Array, taps: Array) -> Array:
    """Computes what `winograd.along_rows` does, by bfloat16 products with float32 results."""
    n, h, w, c = x.shape
    line = jnp.pad(x.astype(jnp.bfloat16).reshape(-1, c), ((0, 2), (0, 0)))
    parts = [
        jnp.dot(line[j : j + n * h * w], tap, preferred_element_type=jnp.float32)
        for j, tap in enumerate(taps.astype(jnp.bfloat16))
    ]
    return sum(parts[1:], parts[0]).reshape(n, h, w, -1)[:, :, :-2]


def _layer(c: int, o: int, side: int) -> tuple[Callable[[Array], Array], Array]:
    draw = np.random.default_rng(0).standard_normal
    kernel = jnp.asarray(draw((3, 3, c, o)) / np.sqrt(9 * c), jnp.float32)
    x = jnp.asarray(draw((1, side, side, c)), jnp.float32)
    return lambda x: winograd.convolution(x, kernel, 1), x


if __name__ == "__main__":
    reporting(main)
