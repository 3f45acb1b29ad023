"""Connects to Ray, and places actors on its nodes. Only this module imports Ray."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from jaxpercept.config.bulk import BulkConfig
from jaxpercept.errors import InputError

STORE = 256 << 20  # bytes of Ray's object store on this machine, through which only names pass
START = 120.0  # seconds within which Ray must answer
_CPUS = 4  # CPUs of an actor, if the machine has as many


def ray() -> Any:
    """Returns the module `ray`. Raises InputError if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray as library
        import ray.data
    except ImportError as error:
        raise InputError(
            f"bulk needs Ray ({error}); install it: pip install -e '.[ray]'"
        ) from error
    return library


@contextmanager
def connected(config: BulkConfig) -> Iterator[Any]:
    """Yields the module `ray`, connected: to the caller's Ray if it is running, else to the cluster
    at `config.address`, else to one that runs on this machine until the context ends."""
    # or a thread that outlives an interrupted job would start another Ray
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    library = ray()
    if library.is_initialized():
        yield library
        return
    connect(library, config)
    try:
        yield library
    finally:
        library.shutdown()


def connect(library: Any, config: BulkConfig) -> None:
    """Joins the cluster, or starts one on this machine."""
    where = f"--address {config.address}" if config.address else "Ray on this machine"
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if config.address:
        how["address"] = config.address
    else:
        os.environ.setdefault("RAY_worker_niceness", "0")  # at 15, workers would starve
        how |= {"address": "local", "include_dashboard": False, "object_store_memory": STORE}
    try:
        with _limited(where), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jax warns of forks, which here only start programs
            library.init(**how)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # the job reports errors itself
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{where}: no cluster answers ({reason}); check `ray status` there"
        ) from error


@contextmanager
def _limited(where: str) -> Iterator[None]:
    """Ends the process if Ray does not answer within `START` seconds. If a worker dies while a
    driver registers, Ray (2.60) waits for it for ever, in code that no Python signal reaches."""

    def give_up() -> None:
        print(
            f"error: {where}: no answer for {START:.0f} s; give the command again",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    timer = threading.Timer(START, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def pool(
    nodes: Sequence[Mapping[str, float]], config: BulkConfig, *, spare: bool = False
) -> tuple[int, float, float]:
    """Returns the number of actors on nodes with these resources, and the CPUs and GPUs of each.

    Our own jobs take all CPUs, since their actors read and write files themselves and no task of
    Ray's needs a CPU. `spare` leaves one CPU to the other steps of a pipeline; without it, Ray
    would let them wait for ever and say nothing."""
    gpus = config.gpus_per_actor
    have_gpus = any(node.get("GPU") for node in nodes)
    gpus = float(have_gpus) if gpus is None else gpus
    if gpus and not have_gpus:
        raise InputError(f"--gpus-per-actor {gpus:g}: no node has a GPU; leave it out")
    total = sum(node.get("CPU", 0) for node in nodes) - spare
    cpus = config.cpus_per_actor
    if cpus is None:
        cpus = min(_CPUS, total, max((node.get("CPU", 0) for node in nodes), default=0))
        if gpus:  # the actors that fit on a node's GPUs share its CPUs
            cpus = min(cpus, *(n["CPU"] // (n["GPU"] // gpus) for n in nodes if n.get("GPU")))
    count = sum(_room(node, cpus, gpus) for node in nodes)
    if not count:
        largest = max((node.get("CPU", 0) for node in nodes), default=0)
        raise InputError(
            f"no node has {cpus:g} CPUs and {gpus:g} GPUs for an actor; the largest has "
            f"{largest:g} CPUs; give less with --cpus-per-actor or --gpus-per-actor"
        )
    if spare and cpus:
        count = max(1, min(count, int(total // cpus)))
    return config.actors or count, float(cpus), gpus


def _room(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Returns how many actors fit on a node."""
    rooms = [node.get("CPU", 0) // cpus] if cpus else []
    rooms += [node.get("GPU", 0) // gpus] if gpus else []
    return int(min(rooms, default=1))


def alive(library: Any) -> dict[str, Mapping[str, float]]:
    """Returns the resources of each node that is alive, by its id."""
    return {n["NodeID"]: n["Resources"] for n in library.nodes() if n["Alive"]}
