"""Compares speed with PyTorch (eager and compiled, both memory formats), ONNX Runtime, OpenVINO
and MNN, with the same weights, work and machine.

    python -m benchmarks --json docs/results/benchmarks.json --markdown docs/results/benchmarks.md

Every contender is a process of its own. They take turns, in an order that rotates from round to
round, and their results are compared before anything is timed. The results are medians over the
rounds, and the best peer's time divided by ours (above 1: we are faster) with the lowest and
highest of the rounds. Needs the `test` extra, a C++ compiler for `torch compile`, and the packages
`openvino` and `MNN` for those peers. `--python` adds our own code in other interpreters, with their
versions of jax; they are compared, but are no peers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command, rows
from benchmarks.machine import describe
from benchmarks.worker import OPENVINO_AS_IT_COMES, OURS, Worker
from jaxpercept.errors import InputError, reporting

PEERS = (
    "torch",
    "torch channels_last",
    "torch compile",
    "torch compile channels_last",
    "onnxruntime",
    "openvino",
    OPENVINO_AS_IT_COMES,
    "mnn",
)
# It has bfloat16 on some processors, so it is measured, but is never the best peer.
OTHER_PRECISION = OPENVINO_AS_IT_COMES
EXPORTED = ("onnxruntime", "openvino", OTHER_PRECISION, "mnn")
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}  # relative to a result's largest value


def measure(row: rows.Row, given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measures one row: every contender's times, first result and memory."""
    weights = scratch / "weights.safetensors"
    rows.write_weights(row, weights)
    workers: dict[str, Worker] = {}
    failed: dict[str, str] = {}
    apart: dict[str, float] = {}
    ours: Any = None  # our result
    elsewhere = [(OURS, path) for path in given.python]
    for name, python in [(n, sys.executable) for n in (OURS, *given.peers)] + elsewhere:
        if name in EXPORTED and (
            row.training or row.kind == "gradient" or given.precision != "float32"
        ):
            continue
        precision = "bfloat16" if name == OTHER_PRECISION else given.precision
        result, first = scratch / "result.npy", ours is None
        try:
            how = given.precision, given.threads, python
            worker = Worker(name, row.name, weights, result, *how)
            theirs = np.load(result)
            ours = theirs if first else ours
            key = name if first or name != OURS else f"{OURS}, jax {worker.about['version']}"
            workers[key] = worker
            apart[key] = check(key, theirs, ours, TOLERANCE[precision])
        except (RuntimeError, ValueError) as e:
            failed[name if first or name != OURS else python] = str(e)
            if first or isinstance(e, ValueError):
                raise SystemExit(f"{row.name}: {e}") from e
    times: dict[str, list[float]] = {name: [] for name in workers}
    turn = given.seconds or (5.0 if row.training else 1.0)
    for number in range(given.rounds + 1):
        names = list(workers)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            try:
                seen = statistics.median(workers[name].run(turn))
            except RuntimeError as e:
                if name == OURS:
                    raise SystemExit(f"{row.name}: {e}") from e
                failed[name] = str(e)
                del workers[name], times[name]
                continue
            if number:  # the first round is a warm-up
                times[name].append(seen)
    found = {
        name: {
            "seconds": statistics.median(times[name]),
            "rounds": times[name],
            "differs": apart[name],
            "first_s": worker.about["first_s"],
            "peak_mib": worker.close(),
            "version": worker.about["version"],
            "device": worker.about["device"],
        }
        for name, worker in workers.items()
    }
    return {
        "row": row.name,
        "turn_s": turn,
        "contenders": found,
        "failed": failed,
        **compare(times),
    }


def check(name: str, theirs: np.ndarray, ours: np.ndarray, tolerance: float) -> float:
    """Returns the largest difference from our result, relative to its largest value. Raises
    ValueError if it exceeds the tolerance."""
    if theirs.shape != ours.shape:
        raise ValueError(f"{name} gives {theirs.shape}, {OURS} {ours.shape}")
    worst = float(np.abs(theirs - ours).max() / np.abs(ours).max())
    if not worst <= tolerance:
        raise ValueError(
            f"{name} differs from {OURS} by {worst:.2g} of the largest value; allowed is "
            f"{tolerance}"
        )
    return worst


def compare(times: dict[str, list[float]]) -> dict[str, Any]:
    """Returns the best peer of the same precision, by its median, and its time / ours: the median,
    lowest and highest over the rounds."""
    others = [name for name in times if name != OURS]
    peers = [name for name in others if not name.startswith(OURS)]
    if not (equal := [name for name in peers if name != OTHER_PRECISION]):
        return {}
    best = min(equal, key=lambda name: statistics.median(times[name]))
    ratios = {
        name: [b / a for a, b in zip(times[OURS], times[name], strict=True)] for name in others
    }
    return {
        "best_peer": best,
        "ratio": statistics.median(ratios[best]),
        "range": [min(ratios[best]), max(ratios[best])],
        "ratios": {name: statistics.median(seen) for name, seen in ratios.items()},
    }


def table(measured: list[dict[str, Any]]) -> str:
    """Returns the results as Markdown."""
    names = list(dict.fromkeys(name for m in measured for name in m["contenders"]))
    head = [
        "row",
        *names,
        "best peer / ours",
        "rounds from, to",
        "first result, ours / best peer",
        "peak MiB, same",
    ]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for m in measured:
        found = m["contenders"]
        cells = [f"{1000 * found[n]['seconds']:.1f} ms" if n in found else "-" for n in names]
        if best := m.get("best_peer"):
            first, peak = ([found[n][k] for n in (OURS, best)] for k in ("first_s", "peak_mib"))
            cells += [
                f"**{m['ratio']:.2f}** ({best})",
                "{:.2f}, {:.2f}".format(*m["range"]),
                "{:.1f} s / {:.1f} s".format(*first),
                "{:.0f} / {:.0f}".format(*peak),
            ]
        else:
            cells += ["-"] * 4
        lines.append(f"| {m['row']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = command.parser(__doc__, prog="python -m benchmarks")
    rows.add_option(parser, list(rows.ROWS))
    parser.add_argument(
        "--peers",
        nargs="*",
        metavar="P",
        default=PEERS,
        choices=PEERS,
        help=f"of {', '.join(map(repr, PEERS))} (default: all)",
    )
    parser.add_argument(
        "--rounds",
        type=command.COUNT,
        default=7,
        metavar="N",
        help="counted, after one that warms up (default: 7)",
    )
    parser.add_argument(
        "--seconds",
        type=command.number(float, above=0),
        metavar="S",
        help="of each turn, at least (default: 1; of trainings, which go on for hours, 5)",
    )
    parser.add_argument(
        "--threads",
        type=command.COUNT,
        default=os.cpu_count(),
        metavar="N",
        help="of the peers (default: all)",
    )
    parser.add_argument(
        "--python",
        nargs="+",
        default=[],
        metavar="FILE",
        help="other interpreters with jax, such as venv313/bin/python",
    )
    parser.add_argument(
        "--precision", default="float32", choices=TOLERANCE, help="of both sides (default: float32)"
    )
    parser.add_argument("--json", metavar="FILE", help="all figures; rows measured before are kept")
    parser.add_argument("--markdown", metavar="FILE", help="the table")
    given = parser.parse_args()
    for path in given.python:
        if not shutil.which(path):
            raise InputError(f"--python {path}: not a program; give an interpreter's file")
    os.environ.setdefault(
        "XLA_PYTHON_CLIENT_PREALLOCATE", "false"
    )  # contenders share a GPU's memory
    machine = describe()
    about = {"machine": machine, "precision": given.precision}
    measured = {m["row"]: m for m in command.kept(given.json, about, {"rows": []})["rows"]}
    for name in given.rows:
        with tempfile.TemporaryDirectory() as scratch:
            print(f"{name} …", file=sys.stderr, flush=True)
            measured[name] = measure(rows.named(name), given, Path(scratch))
        text = table([measured[name]])
        print(text, flush=True)
        for contender, why in measured[name]["failed"].items():
            print(f"{name}: without {contender}: {why}", file=sys.stderr)
        done = [measured[n] for n in dict.fromkeys([*rows.ROWS, *measured]) if n in measured]
        command.keep(given.json, about | {"rows": done})
        if given.markdown:
            text = f"`python -m benchmarks`, {machine}, {given.precision}.\n\n{table(done)}"
            Path(given.markdown).write_text(text)


if __name__ == "__main__":
    reporting(main)
