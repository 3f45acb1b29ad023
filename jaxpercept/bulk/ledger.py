"""Who is doing what in a round of a bulk job: what has to be known of a process that has died."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class State:
    """A round so far: outputs done and failed; done by each node; seconds of the workers' time by
    what they did; the outputs that each worker has begun and not ended; and when the last word
    came."""

    done: int = 0
    failed: int = 0
    nodes: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    begun: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)
    problem: str = ""  # which ends the job
    fault: str = ""  # the last of a task, which the next round repeats


class Ledger:
    """Keeps the state. One process has it, and all workers tell it."""

    def __init__(self) -> None:
        self._state = State()
        self._claimed: set[str] = set()

    def claim(self, task: str) -> bool:
        """Whether a task (by its first output) may be begun: once in a round."""
        if task in self._claimed:
            return False
        self._claimed.add(task)
        return True

    def begin(self, worker: tuple[str, int], outputs: Sequence[str]) -> None:
        """A worker (its node and process) begins these outputs."""
        self._heard().begun[worker] = list(outputs)

    def end(
        self, worker: tuple[str, int], done: int, failed: int, seconds: Mapping[str, float]
    ) -> None:
        """A worker has done, or recorded as failed, what it had begun."""
        state = self._heard()
        state.begun.pop(worker, None)
        state.done += done
        state.failed += failed
        state.nodes[worker[0]] += done
        state.seconds.update(seconds)

    def fault(self, worker: tuple[str, int], said: str) -> None:
        """What a worker had begun ended with an error that is not the inputs'."""
        state = self._heard()
        state.begun.pop(worker, None)
        state.fault = said

    def beat(self) -> None:
        """A worker is alive."""
        self._heard()

    def stop(self, problem: str) -> None:
        """A worker cannot work at all, and so no other can."""
        self._heard().problem = problem

    def state(self) -> tuple[State, float]:
        """The state, and how many seconds ago the last word came."""
        return self._state, time.monotonic() - self._state.heard

    def _heard(self) -> State:
        self._state.heard = time.monotonic()
        return self._state


PROCESS, NODE, DEADLY = 2, 1, 4  # an input is given up after two processes, or four nodes


@dataclass
class Deaths:
    """Which inputs may have killed processes: those that a process had begun when it died."""

    points: Counter[str] = field(default_factory=Counter)

    def note(self, begun: Mapping[tuple[str, int], Sequence[str]], alive: set[str]) -> None:
        """What was begun and never ended, at the end of a round; `alive`: the nodes. A node's death
        is rarely an input's fault."""
        for (node, _), outputs in begun.items():
            for output in outputs:
                self.points[output] += PROCESS if node in alive else NODE

    def deadly(self, output: str) -> bool:
        """Whether it is not to be tried again."""
        return self.points[output] >= DEADLY

    def suspect(self, output: str) -> bool:
        """Whether it is to be tried alone."""
        return self.points[output] > 0
