"""The data-parallel engines. A step is written once for one replica with the named axis `AXIS`:
`step(state, batch, *constants) -> (state, metrics)`. It reduces gradients, statistics and metrics
itself with `lax.pmean`. Both engines run it over all devices of all processes and give the same
numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxpercept.config import choose
from jaxpercept.errors import InputError, Name

AXIS = "data"


class ShardMap:
    """Runs `jax.jit(jax.shard_map(...))` over a ("data",) mesh. Arrays are global; state and
    constants are replicated."""

    def __init__(self, devices: list[jax.Device]):
        self.devices = devices
        mesh = Mesh(np.array(devices), (AXIS,))
        self._replicated = NamedSharding(mesh, PartitionSpec())
        self._sharded = NamedSharding(mesh, PartitionSpec(AXIS))
        self._mesh = mesh

    def compile(
        self, step: Callable[..., tuple[Any, Any]], constants: int
    ) -> Callable[..., tuple[Any, Any]]:
        """Returns the step over global arrays; the state is donated. `constants` is the number of
        arguments after the batch."""
        one, split = PartitionSpec(), PartitionSpec(AXIS)
        # With check_vma, gradients of replicated parameters would arrive already summed, and pmean
        # would leave them too large by the number of replicas.
        mapped = jax.shard_map(
            step,
            mesh=self._mesh,
            in_specs=(one, split) + (one,) * constants,
            out_specs=(one, one),
            check_vma=False,
        )
        return jax.jit(mapped, donate_argnums=0)

    def replicate(self, tree: Any) -> Any:
        """Copies host or device values to every device."""
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(self._replicated, np.asarray(x)), tree
        )

    def shard(self, batch: np.ndarray) -> Any:
        """Puts this process's part of the global batch (N_local, …) on the devices."""
        return jax.make_array_from_process_local_data(self._sharded, batch)

    def unreplicate(self, tree: Any) -> Any:
        """Returns one copy of a replicated tree, addressable in this process."""
        return jax.tree.map(lambda x: x.addressable_data(0), tree)


class Pmap:
    """Runs `jax.pmap`. Every array has a leading axis of local devices."""

    def __init__(self, devices: list[jax.Device]):
        self.devices = devices
        local = [d for d in devices if d.process_index == jax.process_index()]
        self._count = len(local)
        self._sharded = NamedSharding(Mesh(np.array(local), (AXIS,)), PartitionSpec(AXIS))

    def compile(
        self, step: Callable[..., tuple[Any, Any]], constants: int
    ) -> Callable[..., tuple[Any, Any]]:
        """Does what `ShardMap.compile` does."""
        return jax.pmap(step, axis_name=AXIS, devices=self.devices, donate_argnums=0)

    def replicate(self, tree: Any) -> Any:
        """Does what `ShardMap.replicate` does."""

        def copies(x: Any) -> Any:
            return jax.device_put(np.stack([np.asarray(x)] * self._count), self._sharded)

        return jax.tree.map(copies, tree)

    def shard(self, batch: np.ndarray) -> Any:
        """Does what `ShardMap.shard` does."""
        return jax.device_put(batch.reshape(self._count, -1, *batch.shape[1:]), self._sharded)

    def unreplicate(self, tree: Any) -> Any:
        """Does what `ShardMap.unreplicate` does."""
        # JAX runs x[0] as a collective over the local devices, which steps in flight can block
        # forever.
        return jax.tree.map(lambda x: x.addressable_data(0)[0], tree)


Engine = ShardMap | Pmap
ENGINES: dict[str, type[ShardMap] | type[Pmap]] = {"shard_map": ShardMap, "pmap": Pmap}


def make_engine(name: str, batch_size: int, devices: list[jax.Device] | None = None) -> Engine:
    """Returns the engine over `devices` (default: all). Raises InputError if the processes have
    unequal numbers of devices, or the global batch does not divide among the devices."""
    choose("engine", name, ENGINES)
    devices = list(jax.devices() if devices is None else devices)
    counts = Counter(d.process_index for d in devices)
    if len(set(counts.values())) > 1:
        held = ", ".join(f"process {p} has {n}" for p, n in sorted(counts.items()))
        raise InputError(
            f"every process needs the same number of devices: {held}; give each "
            f"{min(counts.values())}"
        )
    if batch_size % len(devices):
        below = batch_size // len(devices) * len(devices)
        fitting = " or ".join(str(b) for b in (below, below + len(devices)) if b)
        raise InputError(
            Name("batch_size"),
            f" {batch_size} does not divide among {len(devices)} devices; {fitting} would (any "
            f"multiple of {len(devices)})",
        )
    return ENGINES[name](devices)
