"""Connects the processes of one run, each with its own devices and its own part of the data. All
functions but `join` are collectives over all devices, so every process calls them in the same
order. With one process they cost nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxpercept.errors import InputError

_LEAVE_SECONDS = 60  # how long a failed process waits for the others before it ends


@contextmanager
def join(coordinator: tuple[str, int, int] | None) -> Iterator[None]:
    """Makes this process one of several, before any other use of jax, and leaves them at the end.

    `coordinator` is (HOST:PORT of process 0, number of processes, this one's number), or None if
    the cluster knows (TPU pods, SLURM, Open MPI). Raises InputError if the processes do not find
    each other. If one is lost, jax ends the others after 100 seconds and names it; the same
    commands resume."""
    address, count, number = coordinator or (None, None, None)
    try:
        jax.distributed.initialize(address, count, number, shutdown_timeout_seconds=_LEAVE_SECONDS)
    except (RuntimeError, ValueError) as e:
        hint = (
            f"start process 0 where {address} is, on a free port, and all {count} with the same "
            "command but for ID"
            if coordinator
            else "no TPU pod, SLURM or MPI cluster found here; give COORDINATOR,NUM,ID"
        )
        raise InputError(f"--distributed: {hint} ({_first_line(e)})") from e
    gather(np.zeros(1, np.uint32))  # connects all devices while all processes are here
    yield
    gather(np.zeros(1, np.uint32))  # no process leaves before the last file is written
    jax.distributed.shutdown()


def gather(value: np.ndarray) -> np.ndarray:
    """Returns `value` of every process, (P, …), by process number. The shapes must agree."""
    if jax.process_count() == 1:
        return value[None]
    return _first_of_each(np.asarray(_spread(value).addressable_data(0)))


def check_same(**values: Any) -> None:
    """Raises an InputError, in every process, that names the JSON-able `values` that differ between
    processes."""
    digests = [
        hashlib.sha256(json.dumps(v, sort_keys=True).encode()).digest()[:8] for v in values.values()
    ]
    everywhere = gather(np.frombuffer(b"".join(digests), np.uint32).reshape(len(digests), 2))
    differing = [
        name for i, name in enumerate(values) if (everywhere[:, i] != everywhere[0, i]).any()
    ]
    if differing:
        raise InputError(
            f"--distributed: the processes differ in {', '.join(differing)}; give all the same "
            "options, and data and "
            "--out on a file system that they share"
        )


class AnyProcess:
    """Whether any process says yes. All get the same answer at the same call. With several
    processes it is the answer of the previous call, so that no process waits for the device."""

    _asked: jax.Array | None = None

    def __call__(self, mine: bool) -> bool:
        if jax.process_count() == 1:
            return mine
        before, self._asked = self._asked, _spread(np.array([mine], np.uint32))
        return before is not None and bool(np.asarray(before.addressable_data(0)).any())


def _spread(value: np.ndarray) -> jax.Array:
    """Puts (devices, …) on every device, with the value of each device's process in its row."""
    mesh = Mesh(np.array(jax.devices()), ("all",))
    rows = np.broadcast_to(value, (jax.local_device_count(), *value.shape))
    split = jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec("all")), rows)
    return jax.jit(_same, out_shardings=NamedSharding(mesh, PartitionSpec()))(split)


def _same(x: jax.Array) -> jax.Array:
    return x


def _first_of_each(rows: np.ndarray) -> np.ndarray:
    owners = [d.process_index for d in jax.devices()]
    return rows[[owners.index(p) for p in range(jax.process_count())]]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160] or type(error).__name__
