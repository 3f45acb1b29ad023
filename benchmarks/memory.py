"""Measures a training's memory, stage by stage, beside the same step in PyTorch.

    python -m benchmarks.memory --json docs/results/memory.json

Every contender is its own process with the same net, batch and objective. It takes 50 steps, in
turns of 5 with the others. After each stage and each step it reports its resident memory, and the
peak within that stage or step, as the kernel counts them, shared libraries included. Steps are
compared by processor time, which a busy machine disturbs less than elapsed time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import command, rows
from benchmarks.machine import describe, load
from jaxpercept.errors import reporting
from jaxpercept.runtime import allocator

OURS, KEPT, DEFAULT = "jaxpercept", "jaxpercept, freed memory kept", "jaxpercept, glibc's default"
CONTENDERS = (OURS, KEPT, DEFAULT, "torch", "torch compile")
_TURN = 5  # steps
Stage = tuple[str, Callable[[], Any]]


class Contender:
    """The parent's end of one process."""

    def __init__(self, name: str, batch: int, weights: Path):
        environment = os.environ | {"OMP_NUM_THREADS": str(os.cpu_count())}
        self.name, self.times = name, list[float]()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.memory", "--serve", name, str(batch), str(weights)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.stages: dict[str, dict[str, float]] = self._answer()

    def turn(self, steps: range) -> None:
        """Takes these steps. The first is not timed: the host of a virtual machine may have taken
        back what was free while this process waited."""
        assert self.process.stdin
        for number in steps:
            self.process.stdin.write("step\n")
            self.process.stdin.flush()
            answer = self._answer()
            self.stages[f"step {number}"] = answer["memory"]
            if number != steps[0]:
                self.times.append(answer["processor_s"])

    def close(self) -> dict[str, Any]:
        """Ends it. Returns all stages, and the median time of the timed steps."""
        self.process.communicate()
        return {"stages": self.stages, "processor_s": statistics.median(self.times)}

    def _answer(self) -> Any:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise SystemExit(f"{self.name}: ended with status {self.process.wait()}")
        return json.loads(line)


def serve(name: str, batch: int, weights: Path) -> None:
    """The child's end: the stages, then a step for each line of standard input."""
    if name == OURS:
        allocator.use_huge_pages()  # as `train.py` does
    elif name == KEPT:
        allocator.keep_freed_memory()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints does not belong there

    def say(answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    row = rows.named(f"train-style-256-b{batch}")
    stages, once = {"start": memory()}, _nothing
    for stage, call in (_ours if name.startswith(OURS) else _theirs)(name, row, weights):
        stages[stage], once = memory(), call
        _forget_the_peak()
    say(stages)
    for _ in sys.stdin:
        _forget_the_peak()
        begun = time.process_time()
        once()
        say({"processor_s": time.process_time() - begun, "memory": memory()})


def memory() -> dict[str, float]:
    """Returns the resident memory of this process and its peak since it was last forgotten, in
    MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return {"resident": int(kib["VmRSS"]) / 1024, "peak": int(kib["VmHWM"]) / 1024}


def _forget_the_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc_pid_clear_refs(5)


def _nothing() -> None:
    pass


def _ours(name: str, row: rows.Row, weights: Path) -> Iterator[Stage]:
    """As `training.loop` goes about it, and once as it did before."""
    import jax

    yield "library", _nothing
    from benchmarks import ours
    from jaxpercept.training import loop

    yield "imports", _nothing
    program, (state, *rest) = ours.training_step(row, weights)
    jax.block_until_ready((state, rest))
    yield "state", _nothing
    if name == OURS:
        step = loop.compiled(program, state, *rest)
    else:
        step = program.lower(state, *rest).compile()
    states, trimmer = [state], allocator.Trimmer()

    def once() -> None:
        states[0], metrics = step(states[0], *rest)
        jax.block_until_ready(metrics)
        if name == OURS:
            trimmer.step()

    yield "compiled", once


def _theirs(name: str, row: rows.Row, weights: Path) -> Iterator[Stage]:
    """PyTorch compiles in its first step. Our helpers import jax beside it."""
    import torch  # noqa: F401

    yield "library", _nothing
    from benchmarks import peers

    yield "imports", _nothing
    yield "state", peers.build(name, row, weights, threads=os.cpu_count() or 1)


def measure(batch: int, steps: int, names: list[str]) -> dict[str, dict[str, Any]]:
    """All contenders at this batch size."""
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "weights.safetensors"
        rows.write_weights(rows.named(f"train-style-256-b{batch}"), weights)
        there = []
        for name in names:
            print(f"batch {batch}: {name}", file=sys.stderr, flush=True)
            there.append(Contender(name, batch, weights))
        for first in range(1, steps + 1, _TURN):
            for contender in there:
                contender.turn(range(first, min(first + _TURN, steps + 1)))
        return {contender.name: contender.close() for contender in there}


def table(batch: int, found: dict[str, dict[str, Any]]) -> str:
    """Returns Markdown: the resident memory after each stage, the median peak of the first and of
    the last ten steps, the highest peak, and the time of a step relative to ours."""
    shown = ["library", "imports", "state", "compiled", "step 1"]
    within = ["steps, first", "steps, last"]
    head = [f"batch {batch}, MiB", *shown, *within, "peak", "peak / torch", "step / ours"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    peaks = {name: max(s["peak"] for s in m["stages"].values()) for name, m in found.items()}
    for name, measured in found.items():
        held = [measured["stages"].get(stage) for stage in shown]
        cells = [f"{h['resident']:.0f}" if h else "-" for h in held]
        steps = [m["peak"] for stage, m in measured["stages"].items() if stage.startswith("step ")]
        cells += [f"{statistics.median(some):.0f}" for some in (steps[:10], steps[-10:])]
        beside = peaks[name] / peaks["torch"] if "torch" in peaks else float("nan")
        took = measured["processor_s"] / found[OURS]["processor_s"] if OURS in found else 1
        cells += [f"**{peaks[name]:.0f}**", f"{beside:.2f}", f"{took:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = command.parser(__doc__, prog="python -m benchmarks.memory")
    parser.add_argument("--batches", nargs="+", type=command.COUNT, default=[1, 4], metavar="N")
    parser.add_argument("--steps", type=command.COUNT, default=50, metavar="N", help="default: 50")
    parser.add_argument(
        "--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS, metavar="C"
    )
    command.add_json(parser)
    given = parser.parse_args()
    found = {str(b): measure(b, given.steps, given.contenders) for b in given.batches}
    for batch, measured in found.items():
        print(table(int(batch), measured), end="\n\n")
    about = {"machine": describe(), "load": load(), "steps": given.steps, "batches": found}
    command.keep(given.json, about)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        reporting(main)
