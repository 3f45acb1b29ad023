"""Measures the images per second of the input pipeline without a training step, decoded every time
and from its cache.

`python -m benchmarks.pipeline [--data D …] [--size 256]`; without `--data`, it makes 64 JPEG images
of 270x300.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import command
from jaxpercept import data, images
from jaxpercept.errors import reporting


def rate(sources: list[str], size: int, batches: int, cache_bytes: int) -> float:
    """Returns the images per second over `batches` batches of 4, after as many that fill the
    buffers and the cache."""
    stream = data.make_dataset(
        data.open_sources(sources), batch_size=4, image_size=size, seed=0, cache_bytes=cache_bytes
    )
    for _ in range(batches):
        next(stream)
    begun = time.perf_counter()
    for _ in range(batches):
        next(stream)
    seconds = time.perf_counter() - begun
    stream.close()
    return 4 * batches / seconds


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--data", nargs="+", metavar="D", help="as train.py takes them")
    parser.add_argument(
        "--size", type=command.SIDE, default=256, metavar="PX", help="of the crops (default: 256)"
    )
    parser.add_argument(
        "--batches", type=command.COUNT, default=300, metavar="N", help="of 4, timed (default: 300)"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if not given.data:
            rng = np.random.default_rng(0)
            for i in range(64):
                coarse = rng.random((9, 10, 3)).astype(np.float32)
                images.save_image(Path(made) / f"{i}.jpg", images.resize(coarse, (270, 300)))
        for name, room in (("decoded every time", 0), ("from the cache", 4 << 30)):
            found = rate(given.data or [made], given.size, given.batches, room)
            print(f"{name}: {found:.0f} images/s at {given.size}x{given.size}", flush=True)


if __name__ == "__main__":
    reporting(main)
