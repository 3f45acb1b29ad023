"""The same mathematics in plain `torch.nn`, as a reference for ours: layers, f_W, φ, losses and
objective.

No other module imports torch, which is an optional dependency. Everything takes and returns tensors
in *our* layouts and names (images NHWC in [0, 1], kernels HWIO, flat dicts), on the CPU, in float32
or float64. `functional_call` loads the modules, so that PyTorch's autograd gives gradients in our
layouts too. The twin is written from the paper and the authors' Lua code, not from the modules that
it checks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from jaxpercept.evaluation.torch_twin import layers, nets, objective

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, Tensor]
__all__ = ["Arrays", "Tensors", "adam", "evaluate", "gradient", "layers", "nets", "objective"]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limits PyTorch to one thread. Its threads wait by spinning, which on small tensors and busy
    machines costs ten times the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def on_arrays(fn: Callable[[Tensors], Tensors], arrays: Arrays) -> Arrays:
    """Calls `fn` on the arrays as tensors of the same type, and returns its results as arrays."""
    with torch.no_grad():
        return {
            k: v.numpy() for k, v in fn({k: torch.from_numpy(v) for k, v in arrays.items()}).items()
        }


@_one_thread()
def gradient(
    fn: Callable[[Tensors], Tensor], arrays: Arrays, wrt: Collection[str]
) -> tuple[NDArray[Any], Arrays]:
    """Returns the scalar fn(arrays) and its gradient with respect to the arrays named in `wrt`."""
    tensors = {k: torch.from_numpy(v).requires_grad_(k in wrt) for k, v in arrays.items()}
    value = fn(tensors)
    value.backward()
    return value.detach().numpy(), {k: _grad(tensors[k]).numpy() for k in wrt}


def _grad(t: Tensor) -> Tensor:
    return torch.zeros_like(t) if t.grad is None else t.grad


@_one_thread()
def adam(
    fn: Callable[[Tensors, Tensor], Tensor],
    params: Arrays,
    batches: list[NDArray[Any]],
    learning_rate: float,
) -> tuple[list[float], Arrays]:
    """Takes a step of Adam on fn(params, batch) for every batch. Returns the losses before each
    step and the parameters at the end."""
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in params.items()}
    optimizer = torch.optim.Adam(tensors.values(), lr=learning_rate)
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        value = fn(tensors, torch.tensor(batch))
        value.backward()
        optimizer.step()
        seen.append(float(value.detach()))
    return seen, {k: v.detach().numpy() for k, v in tensors.items()}
