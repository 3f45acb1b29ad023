"""Compares error and speed of every shipped net in each runtime and precision of `--runtime`.

    python -m benchmarks.runtimes --json docs/results/runtimes.json

Errors are absolute differences from JAX in float32, in units of 1/255, over all pixels of sample
photos: the mean, the 99.9th percentile, and the largest. Times are for one photo, as medians of
elapsed seconds and of processor seconds over rounds in which the contenders take turns. On a busy
machine, compare processor seconds only. Needs the extras `openvino` and `export`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import command
from benchmarks.machine import describe, load
from jaxpercept import images
from jaxpercept.errors import reporting
from jaxpercept.images.samples import sample_photos
from jaxpercept.inference.model import load_model
from jaxpercept.interop import exported_net
from jaxpercept.interop.runtimes import BOUND, errors
from jaxpercept.nets import shipped, weights_file
from jaxpercept.runtime import compilation_cache

JAX = "jax float32"
CONTENDERS = ("openvino float32", "openvino bfloat16", "onnxruntime float32")


def timed(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """Returns medians of elapsed and of processor seconds, in turns with a rotating order. Each
    turn begins with a call that does not count: threads of ONNX Runtime spin for a while after
    theirs, and would slow the next contender."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            calls[name]()
            begun = time.perf_counter(), time.process_time()
            calls[name]()
            seen[name].append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    return {
        name: {
            "seconds": statistics.median(s for s, _ in pairs),
            "processor_s": statistics.median(p for _, p in pairs),
        }
        for name, pairs in seen.items()
    }


def measure(name: str, side: int, count: int, rounds: int) -> dict[str, Any]:
    """Measures the errors and times of one net in every contender."""
    model = load_model(name)
    side //= model.config.scale
    samples = list(sample_photos().values())[:count]
    photos = [images.square(photo, side)[None] for photo in samples]
    nets: dict[str, Any] = {JAX: model}
    for contender in CONTENDERS:
        runtime, precision = contender.split()
        (nets[contender],) = exported_net.nets([model], runtime, precision)
    outputs = {key: [np.asarray(net(x)) for x in photos] for key, net in nets.items()}
    calls = {key: (lambda net=net: np.asarray(net(photos[0]))) for key, net in nets.items()}
    times = timed(calls, rounds)
    return {
        "net": name,
        "side": side,
        "contenders": {key: times[key] | errors(outputs[key], outputs[JAX]) for key in nets},
    }


def table(measured: Sequence[dict[str, Any]]) -> str:
    """Returns Markdown: processor seconds, and for the other runtimes mean / 99.9th percentile of
    the error."""
    head = ["net", JAX, *(text for key in CONTENDERS for text in (key, "error"))]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for m in measured:
        found = m["contenders"]
        cells = [f"`{m['net']}`, {m['side']}²", f"{1000 * found[JAX]['processor_s']:.0f} ms"]
        for key in CONTENDERS:
            ratio = found[JAX]["processor_s"] / found[key]["processor_s"]
            cells.append(f"{1000 * found[key]['processor_s']:.0f} ms ({ratio:.2f}×)")
            cells.append(f"{found[key]['mean']:.2g} / {found[key]['p999']:.2g}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = command.parser(__doc__, prog="python -m benchmarks.runtimes")
    every = [*shipped.styles(), *weights_file.available("superres")]
    parser.add_argument("--nets", nargs="+", default=every, metavar="N", help="default: all")
    parser.add_argument(
        "--side", type=command.SIDE, default=512, metavar="PX", help="of the output (default: 512)"
    )
    parser.add_argument("--photos", type=command.COUNT, default=3, metavar="N", help="default: 3")
    parser.add_argument("--rounds", type=command.COUNT, default=5, metavar="N", help="default: 5")
    command.add_json(parser)
    given = parser.parse_args()
    compilation_cache.enable()
    measured = []
    for name in given.nets:
        print(name, file=sys.stderr, flush=True)
        measured.append(measure(name, given.side, given.photos, given.rounds))
    print(table(measured))
    beyond = [
        f"{m['net']} in {key}: {what} {found[what]:.2f}/255, more than {bound:g}"
        for m in measured
        for key, found in m["contenders"].items()
        for what, bound in BOUND.items()
        if found[what] > bound
    ]
    print("\n".join(beyond) or "every error is within the bound")
    about = {"machine": describe(), "load": load(), "rounds": given.rounds, "rows": measured}
    command.keep(given.json, about)


if __name__ == "__main__":
    reporting(main)
