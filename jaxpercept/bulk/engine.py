"""Runs the rounds of a bulk job on Ray.

A round is one `map_batches` over the items that are still to do. If a process or a node dies, only
its batch is lost: Ray starts another process, and the next round does the lost items. Ray itself
repeats no task, since only the manifest knows what is done.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from jaxpercept.bulk import cluster, manifest
from jaxpercept.bulk.ledger import Ledger, State
from jaxpercept.bulk.manifest import Item
from jaxpercept.bulk.recipe import Recipe
from jaxpercept.bulk.work import Worker
from jaxpercept.config.bulk import BulkConfig
from jaxpercept.errors import InputError

SILENCE = 300.0  # seconds after which a round is given up if no worker has reported
_BEAT = 10.0  # seconds between a worker's signs of life


class Round:
    """Runs one pass over tasks, each a list of items, in a thread."""

    def __init__(
        self,
        library: Any,
        config: BulkConfig,
        recipes: Sequence[Recipe],
        out: str,
        tasks: Sequence[Sequence[Item]],
    ):
        self._ray, self._config = library, config
        self.actors, cpus, gpus = cluster.pool([*cluster.alive(library).values()], config)
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
        """Waits for at most `seconds`, and updates `state`. Returns whether the round has ended."""
        self._thread.join(seconds)
        with suppress(self._ray.exceptions.RayError):  # the ledger was killed: keep the last state
            self.state, ago = self._ray.get(self._ledger.state.remote(), timeout=10)
            self._heard = time.monotonic() - ago
        return not self._thread.is_alive()

    @property
    def silence(self) -> float:
        """Returns the seconds since any worker last reported."""
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
        context.max_errored_blocks = -1  # the next round does a lost task
        context.print_on_execution_start = False
        try:
            rows = [{"task": manifest.packed(task)} for task in tasks]  # each row is one block
            tables = data.from_items(rows, override_num_blocks=len(rows))
            with warnings.catch_warnings():  # Ray has no newer option for retries yet
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
    """Runs a worker in a process of Ray's, and reports to the ledger."""

    def __init__(
        self, recipes: Sequence[Recipe], out: str, ledger: Any, cpus: float, gpus: float
    ) -> None:
        settle(cpus, gpus)
        from jaxpercept.runtime import compilation_cache

        compilation_cache.enable()
        library = cluster.ray()
        self._ledger = ledger
        self._me = (library.get_runtime_context().get_node_id(), os.getpid())
        self._worker = Worker(recipes, out, self)
        threading.Thread(target=self._beat, daemon=True).start()

    def __call__(self, batch: Any) -> dict[str, list[int]]:
        (task,) = batch["task"]
        items = manifest.unpacked(str(task))
        if not cluster.ray().get(self._ledger.claim.remote(items[0].output)):
            return {"done": []}  # Ray repeats the task; the next round does lost items
        try:
            return {"done": [len(self._worker.work(items))]}
        except InputError as error:  # no net or no manifest: every other actor would fail too
            cluster.ray().get(self._ledger.stop.remote(str(error)))
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            cluster.ray().get(self._ledger.fault.remote(self._me, said))
            raise

    def begin(self, outputs: Sequence[str]) -> None:
        """Reports which outputs are begun. Waits until the ledger knows, since they may kill the
        process."""
        cluster.ray().get(self._ledger.begin.remote(self._me, list(outputs)))

    def end(self, done: int, failed: int, seconds: Mapping[str, float]) -> None:
        """Reports what is done."""
        cluster.ray().get(self._ledger.end.remote(self._me, done, failed, dict(seconds)))

    def _beat(self) -> None:
        while True:
            time.sleep(_BEAT)
            self._ledger.beat.remote()


def settle(cpus: float, gpus: float) -> None:
    """Sets, in an actor's process, what must be set before jax has a device: the process's share of
    a GPU's memory, or the CPU if it has no GPU."""
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
