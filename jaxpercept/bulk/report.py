"""Reports the progress of a bulk job: a line every few seconds, and a summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from jaxpercept.bulk.ledger import State
from jaxpercept.errors import counted

EVERY = 5.0  # seconds between lines of progress
_STAGES = ("fetch", "decode", "net", "encode", "write", "record", "wait", "all")
Say = Callable[[str], None]


class Report:
    """Counts how many of `total` outputs are done, over all rounds."""

    def __init__(self, total: int, say: Say):
        self.total, self._say = total, say
        self._done, self._failed, self._rounds = 0, 0, 0
        self._seconds: Counter[str] = Counter()
        self._nodes: Counter[str] = Counter()
        self._begun = self._said = time.monotonic()
        self._first: float | None = None  # the time of the first output

    def show(self, state: State, actors: int) -> None:
        """Prints a line of progress, unless the last one is less than `EVERY` seconds old."""
        now = time.monotonic()
        done, failed = self._done + state.done, self._failed + state.failed
        if self._first is None and done:
            self._first = now
        if now - self._said < EVERY:
            return
        self._said = now
        self._say(self._line(done, failed, state, actors, now))

    def _line(self, done: int, failed: int, state: State, actors: int, now: float) -> str:
        share = (done + failed) / self.total
        line = f"[{done + failed}/{self.total}] {share:.1%}"
        if not done:
            return f"{line} · {counted(actors, 'worker')} starting"
        rate = done / (now - self._begun)
        left = (self.total - done - failed) / rate
        line += f" · {rate:.1f} images/s · {_clock(left)} to go · {failed} failed"
        nodes = self._nodes + state.nodes
        if len(nodes) > 1:
            shares = (f"{node[:6]} {count}" for node, count in nodes.most_common(8))
            line += f" · by node: {', '.join(shares)}"
        return line

    def add(self, state: State) -> None:
        """Adds a round that has ended."""
        self._rounds += 1
        self._done += state.done
        self._failed += state.failed
        self._seconds.update(state.seconds)
        self._nodes.update(state.nodes)

    def summary(self, wanted: int, begun: int, failed: int, seconds: float) -> dict[str, Any]:
        """Returns the job's figures: images, rate, and the workers' seconds by kind of work.
        Decoding, encoding and reading overlap the net, so the seconds add up to more than `all`."""
        working = time.monotonic() - (self._first or self._begun)
        return {
            "wanted": wanted,
            "there_before": wanted - begun,
            "done": begun - failed,
            "failed": failed,
            "rounds": self._rounds,
            "seconds": round(seconds, 2),
            "images_per_second": round((begun - failed) / seconds, 3),
            "seconds_since_first": round(working, 2),
            "worker_seconds": {what: round(self._seconds[what], 2) for what in _STAGES},
            "by_node": dict(self._nodes),
        }


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
