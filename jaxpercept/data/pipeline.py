"""The input pipeline, made with Grain: an endless, deterministic, resumable stream of batches,
uint8 (N, S, S, 3).

Batch k is a pure function of (sources, seed, batch size, k). Threads, worker processes, the cache
and the start of the stream do not change a bit of it, and the stream's position is one integer.
Each shard takes its contiguous part of the same global batch, so the images of step k are the same
on any number of hosts.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import grain
import numpy as np
from absl import flags
from numpy.typing import NDArray

from jaxpercept.data import workers as processes
from jaxpercept.data.loading import WORDS, Load
from jaxpercept.data.sources import Folder, Source
from jaxpercept.errors import InputError, printable
from jaxpercept.images import left_out_line
from jaxpercept.images.listing import UNREADABLE

log = logging.getLogger(__name__)


class Batches:
    """The stream: an iterator of {"target": uint8 (N, S, S, 3)} and the entries that `each` of
    `make_dataset` added, with `get_state()` and `set_state()`."""

    def __init__(
        self, batches: grain.MapDataset, load: Load, *, workers: int, threads: int, max_broken: int
    ):
        self._batches, self.load, self._max_broken = batches, load, max_broken
        self._workers, self._threads = workers, threads
        self._stream: Any = None
        self._processes: list[BaseProcess] = []
        self._step = 0
        # By index, since the images may be elsewhere when a run goes on.
        self._broken: dict[int, str] = {}
        self._small: set[int] = set()

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> dict[str, NDArray[Any]]:
        if starting := self._stream is None:
            self._stream = self._start()
            self._closer = weakref.finalize(
                self, self._stream.close
            )  # also at exit, while its modules still exist
        if starting and self._workers:
            found, self._processes = processes.first(self._stream)
        else:
            found = next(self._stream)
        element = dict(found)
        self._step += 1
        self._note(element.pop("left_out"), element.pop("why"))
        return (
            {k: np.array(v) for k, v in element.items()} if self._workers else element
        )  # copies out of shared memory

    def _start(self) -> grain.DatasetIterator:
        self.load.closed = False
        rest = self._batches[self._step :] if self._step else self._batches
        if self._workers:
            if not flags.FLAGS.is_parsed():
                # Grain reads absl flags here, which are unparsed outside absl programs.
                flags.FLAGS.mark_as_parsed()
            lone = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
            options = grain.MultiprocessingOptions(
                num_workers=self._workers, per_worker_buffer_size=4
            )
            return iter(rest.to_iter_dataset(lone).mp_prefetch(options))
        return iter(
            rest.to_iter_dataset(
                grain.ReadOptions(num_threads=self._threads, prefetch_buffer_size=4 * self._threads)
            )
        )

    @property
    def problems(self) -> dict[str, str]:
        """The broken images met so far: the reasons by name."""
        return {self.load.source.name(index): why for index, why in self._broken.items()}

    @property
    def too_small(self) -> set[str]:
        """The names of the images met so far that are smaller than the patch."""
        return {self.load.source.name(index) for index in self._small}

    def get_state(self) -> dict[str, Any]:
        """Returns the position, JSON-able: how many batches were taken, and what they left out."""
        broken = {str(index): why for index, why in self._broken.items()}
        return {"step": self._step, "broken": broken, "too_small": sorted(self._small)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues exactly as a stream that has given `step` batches, at no cost. A state of a
        number of steps alone will do."""
        self.close()
        self._step = int(state["step"])
        self._broken |= {int(index): why for index, why in state.get("broken", {}).items()}
        self._small.update(state.get("too_small", ()))

    def close(self) -> None:
        """Stops reading ahead. The next batch starts it again."""
        self.load.closed = True
        if self._stream is not None:
            processes.end(self._processes, self._closer)
        self._stream, self._processes = None, []

    def _note(self, left_out: NDArray[np.int64], why: NDArray[np.uint8]) -> None:
        for code, text in zip(left_out.ravel().tolist(), why.reshape(-1, WORDS), strict=True):
            index, small = divmod(code, 2)
            if code < 0 or index in (self._small if small else self._broken):
                continue
            if small:
                self._small.add(index)
                name = self.load.source.name(index)
                log.info("left out: %s is smaller than the patch of %d", name, self.load.size)
                continue
            self._broken[index] = text.tobytes().rstrip(b"\0").decode("utf-8", "replace")
            so_far = f"({len(self._broken)} of {len(self.load.source)} so far)"
            log.warning("left out: %s %s", printable(self._broken[index]), so_far)
        if len(self._broken) > self._max_broken:
            last = self.load.source.name(list(self._broken)[-1])
            raise InputError(
                f"{len(self._broken)} of {len(self.load.source)} training images cannot be read, "
                f"the last one {last}; more than {self._max_broken} broken images end the run: "
                "check the data"
            )


def default_cache_bytes() -> int:
    """Returns 2 GiB, or an eighth of this machine's memory if that is less."""
    try:
        return min(2 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8)
    except (AttributeError, OSError, ValueError):
        return 1 << 30


def make_dataset(
    source: Source,
    *,
    batch_size: int,
    image_size: int,
    seed: int,
    crop: Literal["resize", "patch"] = "resize",
    augment: bool | None = None,
    workers: int = 0,
    threads: int | None = None,
    shard: tuple[int, int] = (0, 1),
    cache_bytes: int | None = None,
    max_broken_share: float = 0.1,
    each: Callable[[dict[str, Any], np.random.Generator], dict[str, Any]] | None = None,
    kind: type[Load] = Load,
) -> Batches:
    """Returns an endless iterator of {"target": uint8 (batch_size, image_size, image_size, 3)}.

    source: the result of `open_sources`, for example. It is shuffled anew every epoch.
    seed: decides the order, the crops and the augmentation.
    batch_size: the number of images of this shard; shard (i, n) is the i-th of n parts of the
    global batch.
    crop, augment: see `loading`. Crops are augmented by default only with `crop="patch"`.
    workers: the number of decoding processes; 0 uses `threads` (2 to 8, by the machine).
    cache_bytes: the limit of decoded images kept in memory, shared among the workers. Other images
    are decoded every time, with the same result.
    max_broken_share: a broken image is replaced by another, counted and named. If broken images
    exceed this share of the data (and 10, unless it is 0), or no image is usable, that is an
    `InputError`.
    each: a function of every cut image's element, {"target": …, "left_out": …, "why": …}, whose
    entries it must keep, and of a generator, which alone decides what is random in it.
    """
    index, count = shard
    if batch_size < 1 or image_size < 1 or not 0 <= index < count:
        raise InputError(
            f"batch size {batch_size}, image size {image_size}, shard {index} of {count}: "
            "not allowed"
        )
    if crop not in ("resize", "patch"):
        raise ValueError(f"crop={crop!r}, expected 'resize' or 'patch'")
    for part in getattr(source, "parts", [source]):
        if isinstance(part, Folder) and (line := left_out_line(part.left_out)):
            level = logging.WARNING if UNREADABLE in part.left_out else logging.INFO
            log.log(level, "%s", printable(f"{part.folder}: {line}"))
    room = default_cache_bytes() if cache_bytes is None else cache_bytes
    augment = crop == "patch" if augment is None else augment
    load = kind(source, image_size, crop, augment, room // max(1, workers))
    order = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat()
    elements = order.random_map(_with_seed).map(load)
    elements = elements if each is None else elements.random_map(each)
    batches = elements.batch(batch_size, drop_remainder=True)
    if count > 1:
        batches = batches[index::count]
    threads = threads or min(8, max(2, os.cpu_count() or 2))
    allowed = max(10, int(max_broken_share * len(source))) if max_broken_share else 0
    return Batches(batches, load, workers=workers, threads=threads, max_broken=allowed)


def _with_seed(index: int, rng: np.random.Generator) -> tuple[int, int]:
    return index, int(rng.integers(2**62))
