"""Parity with PyTorch: compares every layer, block, net, loss and the objective's gradient, on this
machine's default device, with a plain `torch.nn` twin on the CPU. Weights and images are the same.

The relative error of a tensor is ‖a - b‖₂ / ‖b‖₂; a row shows the largest over its tensors and
sizes. `python -m jaxpercept parity` prints the rows of `compare`. They need torch, and the error
without it says how to install it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpercept.config import PRECISIONS, choose
from jaxpercept.errors import InputError
from jaxpercept.evaluation.parity import cases, gradients
from jaxpercept.evaluation.parity.case import Case
from jaxpercept.evaluation.parity.inputs import Arrays

DEPTHS = ("layer", "block", "net", "vgg", "loss", "gradient")
# In float32, rounding sums of a few thousand terms leaves ~1e-6. bfloat16 keeps 8 bits (2^-9 = 0.2
# % per rounding). Its tolerances allow for rounding alone, with room: a larger error is a fault.
TOLERANCE = {
    "float32": dict.fromkeys(DEPTHS, 1e-5),
    "bfloat16": {
        "layer": 0.01,
        "block": 0.03,
        "net": 0.05,
        "vgg": 0.05,
        "loss": 0.02,
        "gradient": 0.5,
    },
}
# In float32, the largest distance from the float64 gradient, in units of PyTorch's own.
TIMES_TORCH = 3.0


@dataclass(frozen=True)
class Row:
    """A line of the table: what was compared, its largest relative error, the allowed error, and
    whether it holds."""

    name: str
    error: float
    tolerance: float
    ok: bool


def compare(
    precision: str = "float32",
    depths: Collection[str] = DEPTHS,
    progress: Callable[[str], object] = lambda line: None,
) -> list[Row]:
    """Compares on the default device, which takes a minute or two on a CPU. `depths` selects parts
    of the comparison. `progress` gets the name of each before it is compared. Raises InputError for
    another precision, or if torch is not installed."""
    choose("precision", precision, PRECISIONS)
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "parity compares with PyTorch, which is not installed; the small build: "
            "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
        )
    errors: dict[tuple[str, str], float] = {}
    for case in cases.all_cases():
        if case.depth in depths:
            progress(f"{case.depth}: {case.name}")
            ours, twin = run_ours(case, precision), run_twin(case)
            for key, value in twin.items():
                row = case.depth, f"{case.name} {key}" if case.depth == "vgg" else case.name
                errors[row] = max(errors.get(row, 0.0), relative_error(ours[key], value))
    rows = [
        _row(f"{depth}: {name}", error, TOLERANCE[precision][depth])
        for (depth, name), error in sorted(errors.items(), key=lambda e: DEPTHS.index(e[0][0]))
    ]
    if "gradient" in depths:
        for problem in gradients.problems():
            progress(f"gradient: {problem.name}")
            error, torch_error = gradients.compare(problem, precision, _context(precision))
            allowed = (
                TIMES_TORCH * torch_error
                if precision == "float32"
                else TOLERANCE[precision]["gradient"]
            )
            rows.append(_row(f"gradient: {problem.name}", error, allowed))
    return rows


def _row(name: str, error: float, tolerance: float) -> Row:
    return Row(name, error, tolerance, bool(error <= tolerance))


def report(rows: list[Row]) -> str:
    """Returns the rows as a table, with the device and a last line that says whether all hold."""
    width = max([len(row.name) for row in rows], default=0)
    device = jax.devices()[0]
    lines = [
        f"jax {jax.__version__} on {device.platform} ({device.device_kind}) against PyTorch on "
        "the CPU"
    ]
    lines.append(f"{'':{width}}  max relative error  allowed")
    lines += [
        f"{row.name:{width}}  {row.error:18.1e}  {row.tolerance:7.1e}"
        f"{'' if row.ok else '  TOO LARGE'}"
        for row in rows
    ]
    bad = sum(not row.ok for row in rows)
    lines.append(
        f"{len(rows)} rows, all within what is allowed"
        if not bad
        else f"{bad} of {len(rows)} rows too large"
    )
    return "\n".join(lines)


def relative_error(a: Any, b: Any) -> float:
    """Returns ‖a - b‖₂ / ‖b‖₂ in float64, or ‖a‖₂ if b is zero."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    return float(np.linalg.norm(a - b) / (np.linalg.norm(b) or 1.0))


def _context(precision: str) -> Callable[[], Any]:
    """Returns a context in which float32 means float32, without TF32 or bfloat16 passes in
    convolutions."""
    return (
        nullcontext if precision == "bfloat16" else partial(jax.default_matmul_precision, "highest")
    )


def run_ours(case: Case, precision: str) -> Arrays:
    """Returns our results as float64 arrays. "float64" works within `jax.enable_x64(True)`."""
    wide = np.float64 if precision == "float64" else np.float32
    arrays = {k: jnp.asarray(v.astype(wide)) for k, v in case.inputs().items()}
    with _context(precision)():
        results = jax.jit(case.ours, static_argnums=1)(arrays, jnp.dtype(precision))
    return {k: np.asarray(v.astype(wide), np.float64) for k, v in results.items()}


def run_twin(case: Case, wide: Any = np.float32) -> Arrays:
    """Returns PyTorch's results."""
    from jaxpercept.evaluation import torch_twin

    return torch_twin.on_arrays(case.twin, {k: v.astype(wide) for k, v in case.inputs().items()})
