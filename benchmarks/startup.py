"""Measures the start-up of the command line: one photo stylized by a process of its own.

    python -m benchmarks.startup --checkout . ../before --json docs/results/startup.json

Each checkout of this project has a compilation cache of its own, which a first run fills. The
checkouts then take turns. The results are processor seconds of the whole process (user and system,
all threads), which a busy machine distorts less than elapsed time, and elapsed seconds beside them.
The outputs of all checkouts are compared bit by bit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from benchmarks.machine import describe, load
from jaxpercept import images
from jaxpercept.images import samples


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--checkout", nargs="+", default=["."], metavar="DIR")
    parser.add_argument("--style", default="wave")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    command.add_json(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photo = Path(scratch, "photo.png")
        sample = next(iter(samples.sample_photos().values()))
        images.save_image(photo, images.resize(sample, (given.side, given.side)))
        found = [
            [run(Path(c), i, photo, given.style) for i, c in enumerate(given.checkout)]
            for _ in range(given.rounds + 1)
        ]
        outputs = {Path(scratch, f"{i}.png").read_bytes() for i in range(len(given.checkout))}
    result = summary(given, found, len(outputs) == 1)
    print(json.dumps(result, indent=1))
    command.keep(given.json, result)


def run(checkout: Path, index: int, photo: Path, style: str) -> tuple[float, float]:
    """Stylizes the photo by a checkout's command. Returns processor and elapsed seconds."""
    out = photo.with_name(f"{index}.png")
    words = ["infer.py", "stylize", str(photo), "--style", style, "-o", str(out)]
    cache = photo.with_name(f"cache{index}")
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": ".", "JAXPERCEPT_CACHE": str(cache)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, time.perf_counter() - begun


def summary(
    given: argparse.Namespace, found: list[list[tuple[float, float]]], equal: bool
) -> dict[str, Any]:
    """Returns the medians over the rounds after the first, which had an empty cache."""
    rows = np.array(found)  # (rounds, checkouts, 2)
    return {
        "machine": describe(),
        "load": load(),
        "photo": f"{given.side}x{given.side}",
        "style": given.style,
        "equal outputs": equal,
        "checkouts": [
            {
                "commit": commit(checkout),
                "first": dict(zip(("processor_s", "elapsed_s"), rows[0, i].tolist(), strict=True)),
                "processor_s": statistics.median(rows[1:, i, 0].tolist()),
                "processor_rounds": rows[1:, i, 0].tolist(),
                "elapsed_s": statistics.median(rows[1:, i, 1].tolist()),
            }
            for i, checkout in enumerate(given.checkout)
        ],
    }


def commit(checkout: str) -> str:
    """Returns the short hash of a checkout's commit."""
    words = ["git", "-C", checkout, "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
