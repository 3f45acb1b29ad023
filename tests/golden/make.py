"""Makes `parity.npz`: PyTorch 2.13.0's float64 results for every case and gradient of
`jaxpercept.evaluation.parity`.

    python tests/golden/make.py

Run it after a change of the cases, with torch installed. A tensor is stored as a sketch: its norm
and `SIGNS` sums of its values times random signs. The difference of two sketches estimates the norm
of the tensors' difference (Johnson-Lindenstrauss), in 72 bytes instead of megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxpercept.evaluation import parity
from jaxpercept.evaluation.parity import cases, gradients, inputs
from jaxpercept.evaluation.parity.case import Case

FILE = Path(__file__).parent / "parity.npz"
SIGNS = 8


def named_cases() -> Iterator[tuple[str, Case]]:
    """Yields the cases, with names made unique by a number for the size."""
    seen: dict[str, int] = {}
    for case in cases.all_cases():
        name = f"{case.depth}: {case.name}"
        seen[name] = seen.get(name, -1) + 1
        yield f"{name} #{seen[name]}", case


def sketch(x: np.ndarray) -> np.ndarray:
    """Returns (1 + SIGNS,): the norm and the signed sums, float64."""
    flat = np.asarray(x, np.float64).ravel()
    signs = np.sign(inputs.uniform("signs", (SIGNS, flat.size)))
    return np.concatenate([[np.linalg.norm(flat)], signs @ flat])


def error(x: np.ndarray, golden: np.ndarray) -> float:
    """Returns the relative error of `x`, estimated from the sketch of the true tensor."""
    return float(np.linalg.norm(sketch(x)[1:] - golden[1:]) / np.sqrt(SIGNS) / (golden[0] or 1.0))


def make() -> dict[str, np.ndarray]:
    """Returns all sketches by "case name | tensor name"."""
    out = {}
    for name, case in named_cases():
        for key, value in parity.run_twin(case, np.float64).items():
            out[f"{name} | {key}"] = sketch(value)
    for problem in gradients.problems():
        loss, grads = gradients.twin(problem, problem.inputs())
        out[f"gradient: {problem.name} | loss"] = np.array([loss])
        for key, value in grads.items():
            out[f"gradient: {problem.name} | {key}"] = sketch(value)
    return out


if __name__ == "__main__":
    made = make()
    names = sorted(made)
    rows = np.stack([np.pad(made[name], (0, 1 + SIGNS - len(made[name]))) for name in names])
    np.savez_compressed(FILE, names=np.array(names), sketches=rows)
    print(f"{FILE}: {len(made)} sketches, {FILE.stat().st_size} bytes")
