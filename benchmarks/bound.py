"""Measures how near rows come to the bound of direct convolutions: their arithmetic at the speed of
large matrix products.

`python -m benchmarks.bound [--rows R …]`. The arithmetic is XLA's count for the plain forms. The
speed is that of jax's product of two large matrices, measured in between. Winograd's forms need
less arithmetic, so a share may exceed 1.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import command, ours, rows
from jaxpercept.config import PRECISIONS
from jaxpercept.errors import reporting
from jaxpercept.runtime import allocator

SIDE = {"cpu": 2048}  # of the matrices; 8192 keeps accelerators busy


def seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    parser = command.parser(__doc__)
    rows.add_option(parser, list(rows.ROWS))
    parser.add_argument("--precision", default="float32", choices=PRECISIONS)
    command.add_json(parser)
    given = parser.parse_args()
    allocator.keep_freed_memory()
    side = SIDE.get(jax.default_backend(), 8192)
    square, product, found = jnp.ones((side, side), given.precision), jax.jit(jnp.matmul), []
    for name in given.rows:
        row = rows.named(name)
        with tempfile.TemporaryDirectory() as made:
            weights = Path(made) / "net.safetensors"
            rows.write_weights(row, weights)
            counted = ours.arithmetic(row, weights, given.precision)
            call = ours.build(row, weights, given.precision)
            call()
        turns = [
            (seconds(lambda: product(square, square).block_until_ready()), seconds(call))
            for _ in range(15)
        ]
        speed = 2 * side**3 / statistics.median(a for a, _ in turns[1:])
        taken = statistics.median(b for _, b in turns[1:])
        bound = counted / speed
        found.append(
            {
                "row": name,
                "seconds": taken,
                "bound": bound,
                "product_flops": speed,
                "share": bound / taken,
            }
        )
        print(
            f"{name}: {1e3 * taken:.1f} ms, bound {1e3 * bound:.1f} ms at {speed / 1e9:.0f} "
            "Gflop/s, "
            f"share {bound / taken:.2f}",
            flush=True,
        )
    about = {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "precision": given.precision,
    }
    command.keep(given.json, about | {"rows": found})


if __name__ == "__main__":
    reporting(main)
