"""Runs jobs over many files. Threads decode and encode while the device works, and the waiting work
is bounded.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxpercept.errors import InputError
from jaxpercept.runtime import threads

THREADS = 2  # for decoding, and as many for encoding
PIXELS = 8_000_000  # the limit of images decoded ahead, and of waiting outputs


@dataclass
class Job:
    """What was done: the files `written`, the outputs `skipped` because they exist, and one line
    for each output that `failed`. `total` outputs are asked for. If it is 1, the caller reports the
    failure instead of `progress`. `flags` are the options of the command, which failures name (see
    `InputError.with_flags`). `seconds` is the time of all threads by what they did. A `key` is
    the caller's own name of an output."""

    total: int
    progress: Callable[[str], None] = lambda line: None
    flags: Mapping[str, str] | None = None
    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    noted: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def timed(self, what: str, call: Callable[..., Any], *args: Any, **how: Any) -> Any:
        """Returns the call's result and adds the seconds that it took, also if it raises."""
        begun = time.perf_counter()
        try:
            return call(*args, **how)
        finally:
            with self._lock:
                self.seconds[what] += time.perf_counter() - begun

    def done(self, path: Path, key: Any = None) -> None:
        """Counts a file that was written."""
        self.written.append(path)
        self.progress(f"[{len(self.written) + len(self.skipped)}/{self.total}] {path}")

    def skip(self, path: Path) -> bool:
        """Returns whether an output exists already, and counts it as skipped."""
        if there := os.path.exists(path):  # Path.exists raises for a name that is too long
            self.skipped.append(path)
        return there

    def fail(self, error: InputError, key: Any = None) -> None:
        """Records a failure once."""
        line = str(error) if self.flags is None else error.with_flags(self.flags)
        if line not in self.failed:
            self.failed.append(line)
            if self.total > 1:
                self.progress(f"error: {line}")

    def untold(self) -> list[str]:
        """Returns the failures that the caller has to report."""
        return self.failed if self.total == 1 and not self.written else []

    def damaged(self, line: str, key: Any = None) -> None:
        """Records a file that was processed and written only in part."""
        self.failed.append(line)
        self.progress(f"error: {line}")

    def note(self, name: str, notes: Iterable[str]) -> None:
        """Prints once what reading left out of a file."""
        for line in (f"{name}: {note}" for note in notes):
            if line not in self.noted:
                self.noted.add(line)
                self.progress(line)


def ahead(
    pool: ThreadPoolExecutor,
    work: Iterable[tuple[Any, Callable[[], Any], int]],
    limit: int = PIXELS,
) -> Iterator[tuple[Any, Future[Any]]]:
    """Turns (key, call, cost) into (key, the call's future), in order. Calls begin in `pool` while
    the costs of those not taken yet stay within `limit`; at least one call always begins."""
    begun: deque[tuple[Any, Future[Any], int]] = deque()
    total = 0
    for key, call, cost in work:
        while begun and total + cost > limit:
            taken = begun.popleft()
            yield taken[:2]
            total -= taken[2]
        begun.append((key, pool.submit(call), cost))
        total += cost
    for taken in begun:
        yield taken[:2]


class Writer:
    """Writes files in the threads of `pool` and reports them to `job` in order."""

    def __init__(self, pool: ThreadPoolExecutor, job: Job):
        self._pool, self._job = pool, job
        self._begun: deque[tuple[Future[Path], int, Any]] = deque()

    def write(self, call: Callable[[], Path], cost: int, key: Any = None) -> None:
        """Begins `call`, which returns the file it wrote. Waits first if the work in progress would
        exceed PIXELS."""
        while self._begun and sum(cost for _, cost, _ in self._begun) + cost > PIXELS:
            self._take()
        self._begun.append((self._pool.submit(call), cost, key))
        while self._begun and self._begun[0][0].done():
            self._take()

    def finish(self) -> None:
        """Waits for all writes."""
        while self._begun:
            self._take()

    def _take(self) -> None:
        written, _, key = self._begun.popleft()
        try:
            self._job.done(written.result(), key)
        except InputError as e:
            self._job.fail(e, key)


@contextmanager
def overlapping(job: Job) -> Iterator[tuple[ThreadPoolExecutor, Writer]]:
    """Yields a pool for `ahead` and a writer for `job`. At the end, all files are written. After an
    exception, writes in progress are finished and waiting ones are dropped."""
    with threads.pool(THREADS) as readers, threads.pool(THREADS) as writers:
        writer = Writer(writers, job)
        yield readers, writer
        writer.finish()
