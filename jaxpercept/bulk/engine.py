"""Ray, and what a job does with it: the only importer of Ray.

A round is one `map_batches` over what is still to do. A process or a node that dies takes its
batch with it and nothing else: Ray starts another, and what was lost is in the next round. Ray
itself repeats no task, since only the manifest knows what is done.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from jaxpercept.bulk import manifest
from jaxpercept.bulk.ledger import Ledger, State
from jaxpercept.bulk.manifest import Item
from jaxpercept.bulk.recipe import Recipe
from jaxpercept.bulk.work import Worker
from jaxpercept.config.bulk import BulkConfig
from jaxpercept.errors import InputError

STORE = 256 << 20  # bytes of Ray's object store on this machine: only names pass through it
START = 120.0  # seconds until Ray must have answered
SILENCE = 300.0  # seconds without a word from any worker until a round is given up
_BEAT = 10.0  # seconds between a worker's signs of life
_CPUS = 4  # of an actor, where a machine has so many


def ray() -> Any:
    """The library. InputError where it is not installed."""
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
    """Ray: the caller's, if it is running; else the cluster at `config.address`; else started on
    this machine, for as long as this lasts."""
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
    """Joins the cluster, or starts one here."""
    where = f"--address {config.address}" if config.address else "Ray on this machine"
    how: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    if config.address:
        how["address"] = config.address
    else:
        os.environ.setdefault("RAY_worker_niceness", "0")  # 15 would starve beside other work
        how |= {"address": "local", "include_dashboard": False, "object_store_memory": STORE}
    try:
        with _limited(where), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jax's, of forks, which here only start programs
            library.init(**how)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # we tell what there is to tell
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{where}: no cluster answers ({reason}); check `ray status` there"
        ) from error


@contextmanager
def _limited(where: str) -> Iterator[None]:
    """Ends the process if Ray does not answer: where a worker dies while a driver registers, Ray
    (2.60) waits for it for ever, in code that no signal of Python's reaches."""

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
    """How many actors, and the CPUs and GPUs of each, on nodes with these resources.

    Our own jobs take all CPUs: their actors read and write themselves, and no task of Ray's waits
    for one. `spare` leaves one CPU to the other steps of a pipeline, which Ray would let wait for
    ever without a word."""
    gpus = config.gpus_per_actor
    have_gpus = any(node.get("GPU") for node in nodes)
    gpus = float(have_gpus) if gpus is None else gpus
    if gpus and not have_gpus:
        raise InputError(f"--gpus-per-actor {gpus:g}: no node has a GPU; leave it out")
    total = sum(node.get("CPU", 0) for node in nodes) - spare
    cpus = config.cpus_per_actor
    if cpus is None:
        cpus = min(_CPUS, total, max((node.get("CPU", 0) for node in nodes), default=0))
        if gpus:  # as many actors as the GPUs hold share a node's CPUs
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
    """How many actors fit on a node."""
    rooms = [node.get("CPU", 0) // cpus] if cpus else []
    rooms += [node.get("GPU", 0) // gpus] if gpus else []
    return int(min(rooms, default=1))


def alive(library: Any) -> dict[str, Mapping[str, float]]:
    """The nodes that are alive, and their resources."""
    return {n["NodeID"]: n["Resources"] for n in library.nodes() if n["Alive"]}


class Round:
    """One pass over tasks, each a list of items, in a thread; `wait` tells how it goes."""

    def __init__(
        self,
        library: Any,
        config: BulkConfig,
        recipes: Sequence[Recipe],
        out: str,
        tasks: Sequence[Sequence[Item]],
    ):
        self._ray, self._config = library, config
        self.actors, cpus, gpus = pool([*alive(library).values()], config)
        self.actors = min(self.actors, len(tasks))
        here = library.get_runtime_context().get_node_id()
        pinned = library.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._ledger = (
            library.remote(Ledger)
            .options(num_cpus=0, scheduling_strategy=pinned, max_concurrency=1)
            .remote()
        )
        self.state, self._heard = State(), time.monotonic()
        self.error: BaseException | None = None
        worker = {
            "recipes": recipes,
            "out": out,
            "ledger": self._ledger,
            "cpus": cpus,
            "gpus": gpus,
        }
        self._thread = threading.Thread(
            target=self._run, args=(tasks, worker, cpus, gpus), daemon=True
        )
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Waits at most so long, and brings `state` up to date. Returns whether the round has
        ended."""
        self._thread.join(seconds)
        with suppress(self._ray.exceptions.RayError):  # killed: the last state is what we know
            self.state, ago = self._ray.get(self._ledger.state.remote(), timeout=10)
            self._heard = time.monotonic() - ago
        return not self._thread.is_alive()

    @property
    def silence(self) -> float:
        """Seconds since the last word of any worker."""
        return time.monotonic() - self._heard

    def _run(
        self,
        tasks: Sequence[Sequence[Item]],
        worker: dict[str, Any],
        cpus: float,
        gpus: float,
    ) -> None:
        data = self._ray.data
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # a lost task is done in the next round
        context.print_on_execution_start = False
        try:
            rows = [{"task": manifest.packed(task)} for task in tasks]  # each is one block
            tables = data.from_items(rows, override_num_blocks=len(rows))
            with warnings.catch_warnings():  # retries have no other name yet
                warnings.simplefilter("ignore", self._ray.util.annotations.RayDeprecationWarning)
                made = tables.map_batches(
                    Actor,
                    fn_constructor_kwargs=worker,
                    batch_size=None,
                    compute=data.ActorPoolStrategy(size=self.actors),
                    num_cpus=cpus,
                    num_gpus=gpus or None,
                    max_restarts=-1,
                    max_task_retries=0,
                )
            for _ in made.iter_batches(batch_size=None):
                pass
        except BaseException as error:
            self.error = error


class Actor:
    """A worker in a process of Ray's, which tells the ledger what it does."""

    def __init__(
        self, recipes: Sequence[Recipe], out: str, ledger: Any, cpus: float, gpus: float
    ) -> None:
        settle(cpus, gpus)
        from jaxpercept.runtime import compilation_cache

        compilation_cache.enable()
        library = ray()
        self._ledger = ledger
        self._me = (library.get_runtime_context().get_node_id(), os.getpid())
        self._worker = Worker(recipes, out, self)
        threading.Thread(target=self._beat, daemon=True).start()

    def __call__(self, batch: Any) -> dict[str, list[int]]:
        (task,) = batch["task"]
        items = manifest.unpacked(str(task))
        if not ray().get(self._ledger.claim.remote(items[0].output)):
            return {"done": []}  # Ray repeats it; what is lost is in the next round
        try:
            return {"done": [len(self._worker.work(items))]}
        except InputError as error:  # no net, or no manifest: nobody else would do better
            ray().get(self._ledger.stop.remote(str(error)))
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            ray().get(self._ledger.fault.remote(self._me, said))
            raise

    def begin(self, outputs: Sequence[str]) -> None:
        """Tells what is begun, and waits until it is known: the process may die of it."""
        ray().get(self._ledger.begin.remote(self._me, list(outputs)))

    def end(self, done: int, failed: int, seconds: Mapping[str, float]) -> None:
        """Tells what is done."""
        ray().get(self._ledger.end.remote(self._me, done, failed, dict(seconds)))

    def _beat(self) -> None:
        while True:
            time.sleep(_BEAT)
            self._ledger.beat.remote()


def settle(cpus: float, gpus: float) -> None:
    """What the process of an actor sets before jax has a device: its share of a GPU's memory, or
    the CPU where it has none."""
    if gpus:
        share = f"{0.9 * min(1.0, gpus):.3f}"
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", share)
    else:
        import jax

        jax.config.update("jax_platforms", "cpu")
    if cpus >= 1:
        os.environ.setdefault("NPROC", str(int(cpus)))  # XLA's threads
    from jaxpercept.runtime import allocator

    allocator.keep_freed_memory()
