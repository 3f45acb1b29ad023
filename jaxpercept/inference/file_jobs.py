"""Jobs over many files, whose decoding and encoding overlap the device's work: threads, and bounds
on what waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxpercept.errors import InputError

THREADS = 2  # decoding, and as many encoding
PIXELS = 8_000_000  # of images decoded ahead, and of outputs that wait to be written


@dataclass
class Job:
    """What was done: files `written`; outputs that were there already, `skipped`; one line for each
    of those that `failed`. `total` outputs are asked for; of a single one, the caller reports what
    failed, not `progress`."""

    total: int
    progress: Callable[[str], None] = lambda line: None
    written: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    noted: set[str] = field(default_factory=set)

    def done(self, path: Path) -> None:
        """Counts a file that was written."""
        self.written.append(path)
        self.progress(f"[{len(self.written) + len(self.skipped)}/{self.total}] {path}")

    def skip(self, path: Path) -> bool:
        """Whether an output is there already, which is then counted as skipped."""
        if there := path.exists():
            self.skipped.append(path)
        return there

    def fail(self, error: InputError) -> None:
        """Notes what could not be done, once."""
        if str(error) not in self.failed:
            self.failed.append(str(error))
            if self.total > 1:
                self.progress(f"error: {error}")

    def damaged(self, line: str) -> None:
        """Notes a file of which only a part could be done, and written."""
        self.failed.append(line)
        self.progress(f"error: {line}")

    def note(self, name: str, notes: Iterable[str]) -> None:
        """Says what was left out of a file in reading it, once."""
        for line in (f"{name}: {note}" for note in notes):
            if line not in self.noted:
                self.noted.add(line)
                self.progress(line)


def ahead(
    pool: ThreadPoolExecutor,
    work: Iterable[tuple[Any, Callable[[], Any], int]],
    limit: int = PIXELS,
) -> Iterator[tuple[Any, Future[Any]]]:
    """(key, call, cost) in, (key, the call's future) out, in order; calls are begun in `pool` while
    the costs of those not taken yet stay within `limit`, and one always is."""
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
    """Writes files in the threads of `pool`, and tells `job` of them in order."""

    def __init__(self, pool: ThreadPoolExecutor, job: Job):
        self._pool, self._job = pool, job
        self._begun: deque[tuple[Future[Path], int]] = deque()

    def write(self, call: Callable[[], Path], cost: int) -> None:
        """Begins `call`, which returns the file it wrote; waits while more than PIXELS would be
        under way."""
        while self._begun and sum(cost for _, cost in self._begun) + cost > PIXELS:
            self._take()
        self._begun.append((self._pool.submit(call), cost))
        while self._begun and self._begun[0][0].done():
            self._take()

    def finish(self) -> None:
        """Waits for all."""
        while self._begun:
            self._take()

    def _take(self) -> None:
        try:
            self._job.done(self._begun.popleft()[0].result())
        except InputError as e:
            self._job.fail(e)


@contextmanager
def overlapping(job: Job) -> Iterator[tuple[ThreadPoolExecutor, Writer]]:
    """A pool for `ahead` and a writer for `job`. At the end all is written; at an exception what is
    being written is finished and what waits is not begun."""
    with ThreadPoolExecutor(THREADS) as readers, ThreadPoolExecutor(THREADS) as writers:
        writer = Writer(writers, job)
        try:
            yield readers, writer
            writer.finish()
        except BaseException:
            for pool in (readers, writers):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
