"""Measures the start-up of the command line: one photo stylized by a process of its own.

    python -m benchmarks.startup --checkout . ../before --json docs/results/startup.json

Each checkout of this project has a compilation cache of its own, which a first run fills. The
checkouts then take turns. The results are processor seconds of the whole process (user and system,
all threads), which a busy machine distorts less than elapsed time, and elapsed seconds beside them.
The outputs of all checkouts are compared bit by bit. --steps also times processes of the first
checkout that stop earlier, so that the differences say what a start consists of.
"""

from __future__ import annotations

import argparse
import itertools
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
from jaxpercept.errors import reporting
from jaxpercept.images import samples

# What each step adds to those before it.
STEPS = {
    "python": "pass",
    "numpy and Pillow": "import numpy, PIL.Image",
    "jax": "import jax",
    "jax's client": "jax.devices()",
    "our imports": "import jaxpercept.inference.flow",
    "weights": """
from jaxpercept.inference.model import load_model
net = load_model({style!r})""",
    "the net, once": """
from jaxpercept.runtime import compilation_cache
compilation_cache.enable()
numpy.asarray(net(numpy.zeros((1, {side}, {side}, 3), numpy.float32)))""",
}


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--checkout", nargs="+", default=["."], metavar="DIR")
    parser.add_argument("--style", default="wave")
    parser.add_argument("--side", type=command.SIDE, default=512)
    parser.add_argument("--rounds", type=command.COUNT, default=5)
    parser.add_argument("--steps", action="store_true", help="also time the steps of a start")
    command.add_json(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photo = Path(scratch, "photo.png")
        sample = next(iter(samples.sample_photos().values()))
        images.save_image(photo, images.resize(sample, (given.side, given.side)))
        found, steps = [], []
        for _ in range(given.rounds + 1):
            found += [[run(Path(c), i, photo, given.style) for i, c in enumerate(given.checkout)]]
            if given.steps:
                whole = itertools.accumulate(STEPS.values(), "{}\n{}".format)
                codes = [code.format(style=given.style, side=given.side) for code in whole]
                cache = photo.with_name("cache0")
                steps += [[timed(["-c", code], Path(given.checkout[0]), cache) for code in codes]]
        outputs = {Path(scratch, f"{i}.png").read_bytes() for i in range(len(given.checkout))}
    result = summary(given, found, len(outputs) == 1)
    if steps:
        medians = np.median(np.array(steps)[1:], 0)
        keys = ("processor_s", "elapsed_s")
        result["steps"] = {
            name: dict(zip(keys, row.tolist(), strict=True))
            for name, row in zip(STEPS, medians, strict=True)
        }
    print(json.dumps(result, indent=1))
    command.keep(given.json, result)


def run(checkout: Path, index: int, photo: Path, style: str) -> tuple[float, float]:
    """Stylizes the photo by a checkout's command. Returns processor and elapsed seconds."""
    out = photo.with_name(f"{index}.png")
    words = ["infer.py", "stylize", str(photo), "--style", style, "-o", str(out)]
    return timed(words, checkout, photo.with_name(f"cache{index}"))


def timed(words: list[str], checkout: Path, cache: Path) -> tuple[float, float]:
    """Runs Python with these words. Returns processor and elapsed seconds."""
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
    reporting(main)
