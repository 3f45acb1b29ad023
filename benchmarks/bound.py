"""How near rows come to the bound of direct convolutions: their arithmetic at the speed of large matrix products.

`python -m benchmarks.bound [--rows R …]`. The arithmetic is XLA's count for the plain forms, the speed that of jax's
own product of two 2048×2048 matrices in between. Winograd's forms need less arithmetic, so a share may pass 1.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import ours, rows
from jaxpercept import allocator, conv, transform_net, vgg

SIDE = 2048


def arithmetic(row: rows.Row) -> float:
    """Operations of a style, super-resolution or vgg row, by XLA's count."""
    x = jax.ShapeDtypeStruct((row.batch, row.size, row.size, 3), jnp.float32)
    with conv.forced(False):
        if row.kind == "vgg":
            layers = rows.train_config(row).objective.style_layers
            lowered = jax.jit(lambda p, x: vgg.vgg_features(p, x, layers)).lower(vgg.load_vgg16(), x)
        else:
            params, stats = transform_net.init(rows.net(row))
            lowered = jax.jit(lambda p, x: transform_net.apply(rows.net(row), p, stats, x)[0]).lower(params, x)
        counted: Any = lowered.cost_analysis()
    return float(counted["flops"])


def seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [name for name, row in rows.ROWS.items() if row.kind in ("style", "superres", "vgg")]
    parser.add_argument("--rows", nargs="+", default=known, choices=known, metavar="R", help=f"of {', '.join(known)}")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    given = parser.parse_args()
    allocator.keep_freed_memory()
    square = jnp.ones((SIDE, SIDE), given.precision)
    product = jax.jit(jnp.matmul)
    for name in given.rows:
        row = rows.ROWS[name]
        with tempfile.TemporaryDirectory() as made:
            weights = Path(made) / "net.safetensors"
            if row.kind != "vgg":
                rows.write_weights(row, weights)
            call = ours.build(row, weights, given.precision)
            call()
        turns = [(seconds(lambda: product(square, square).block_until_ready()), seconds(call)) for _ in range(15)]
        speed = 2 * SIDE**3 / statistics.median(a for a, _ in turns[1:])
        taken = statistics.median(b for _, b in turns[1:])
        bound = arithmetic(row) / speed
        print(f"{name}: {1e3 * taken:.1f} ms, bound {1e3 * bound:.1f} ms at {speed / 1e9:.0f} Gflop/s, "
              f"share {bound / taken:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
