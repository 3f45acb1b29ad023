"""The same mathematics in plain `torch.nn`, to hold ours against: layers, f_W, φ, losses and
objective.

The only importer of torch, which is an optional dependency. Everything takes and returns tensors in
*our* layouts and names (images NHWC in [0, 1], kernels HWIO, flat dicts), on the CPU, in float32 or
float64. The modules are loaded by `functional_call`, so that PyTorch's autograd gives gradients in
our layouts too. Written from the paper and the authors' Lua code, not from the modules that it
checks.
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
    """PyTorch's threads wait by spinning: on small tensors and busy machines they cost ten times
    the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def on_arrays(fn: Callable[[Tensors], Tensors], arrays: Arrays) -> Arrays:
    """`fn` of the arrays as tensors of the same type; its results as arrays."""
    with torch.no_grad():
        return {
            k: v.numpy() for k, v in fn({k: torch.from_numpy(v) for k, v in arrays.items()}).items()
        }


@_one_thread()
def gradient(
    fn: Callable[[Tensors], Tensor], arrays: Arrays, wrt: Collection[str]
) -> tuple[NDArray[Any], Arrays]:
    """The scalar fn(arrays) and its gradient with respect to the arrays named in `wrt`."""
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
    """A step of Adam on fn(params, batch) for every batch: the losses before, the parameters
    after."""
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
