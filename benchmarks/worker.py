"""A process with one contender of one row. It alone uses its library, and it waits for its turn
without working.

It reads lines of JSON from standard input and answers each with one: {"build": …} first, then
{"run": seconds} any number of times.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import rows
from jaxpercept.runtime import allocator

OURS = "jaxpercept"
OPENVINO_AS_IT_COMES = "openvino as it comes"


class Worker:
    """The parent's end of the connection."""

    def __init__(
        self,
        contender: str,
        row: str,
        weights: Path,
        result: Path,
        precision: str,
        threads: int,
        python: str = sys.executable,
    ):
        self.contender = contender
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", row],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if contender != OURS else None,
            text=True,
            env=environment,
        )
        begun = time.perf_counter()
        self.about = self._ask(
            build=[contender, row, str(weights), str(result), precision, threads]
        )
        self.about["first_s"] = time.perf_counter() - begun

    def run(self, seconds: float) -> list[float]:
        """Returns the times of successive calls, which go on for that many seconds."""
        return self._ask(run=seconds)["times"]

    def close(self) -> float:
        """Ends the process and returns its peak memory in MiB."""
        memory = self._ask(memory=1)["mib"]
        self.process.stdin.close()
        self.process.wait()
        return memory

    def _ask(self, **question: Any) -> dict[str, Any]:
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            said = self.process.stderr.read().strip() if self.process.stderr else ""
            killed = self.process.wait() == -9
            why = (
                "killed; memory ran out?"
                if killed
                else said.splitlines()[-1]
                if said
                else "it ended"
            )
            raise RuntimeError(f"{self.contender}: {why}")
        return json.loads(answer)


def serve(row: str) -> None:
    """Runs the child's end of the connection."""
    # As our command lines do. Peers get faster too.
    if rows.named(row).training:
        allocator.use_huge_pages()
    else:
        allocator.keep_freed_memory()
    answers, call = os.fdopen(os.dup(1), "w"), None
    os.dup2(2, 1)  # keeps libraries' prints off standard output
    for line in sys.stdin:
        asked = json.loads(line)
        if "build" in asked:
            answer, call = _build(*asked["build"])
        elif "run" in asked:
            times = []
            while not times or sum(times) < asked["run"]:
                begun = time.perf_counter()
                call()
                times.append(time.perf_counter() - begun)
            answer = {"times": times}
        else:
            answer = {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _build(
    contender: str, row: str, weights: str, result: str, precision: str, threads: int
) -> Any:
    if contender == OURS:
        import jax

        from benchmarks import ours

        call = ours.build(rows.named(row), Path(weights), precision)
        used = f"{jax.__version__}, Python {platform.python_version()}"
        about = {"version": used, "device": jax.devices()[0].device_kind}
    else:
        import torch

        from benchmarks import peers

        call = peers.build(contender, rows.named(row), Path(weights), precision, threads)
        about = {"version": torch.__version__, "device": peers.DEVICE}
        if library := next(
            (n for n in ("onnxruntime", "openvino", "mnn") if contender.startswith(n)), ""
        ):
            about["version"] = version(library)
    np.save(result, np.asarray(call(), np.float32))
    return about, call


if __name__ == "__main__":
    serve(sys.argv[1])
