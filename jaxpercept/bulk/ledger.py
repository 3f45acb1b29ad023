"""Records what each worker is doing in a round of a bulk job, so that it is known when a process
dies.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class State:
    """The state of a round: the outputs done and failed; the outputs done by each node; the seconds
    that workers spent on each kind of work; and the outputs that each worker has begun but not
    ended."""

    done: int = 0
    failed: int = 0
    nodes: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    begun: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)
    problem: str = ""  # this problem ends the job
    fault: str = ""  # the last error of a task, which the next round repeats


class Ledger:
    """Keeps the state of a round in one process, to which all workers report."""

    def __init__(self) -> None:
        self._state = State()
        self._claimed: set[str] = set()

    def claim(self, task: str) -> bool:
        """Returns whether a task, named by its first output, may be begun. That is so once per
        round."""
        if task in self._claimed:
            return False
        self._claimed.add(task)
        return True

    def begin(self, worker: tuple[str, int], outputs: Sequence[str]) -> None:
        """Records that a worker (its node and process) begins these outputs."""
        self._heard().begun[worker] = list(outputs)

    def end(
        self, worker: tuple[str, int], done: int, failed: int, seconds: Mapping[str, float]
    ) -> None:
        """Records that a worker has finished, or given up as failed, all outputs that it had
        begun."""
        state = self._heard()
        state.begun.pop(worker, None)
        state.done += done
        state.failed += failed
        state.nodes[worker[0]] += done
        state.seconds.update(seconds)

    def fault(self, worker: tuple[str, int], said: str) -> None:
        """Records that the outputs a worker had begun ended with an error that is not the inputs'
        fault."""
        state = self._heard()
        state.begun.pop(worker, None)
        state.fault = said

    def beat(self) -> None:
        """Records that a worker is alive."""
        self._heard()

    def stop(self, problem: str) -> None:
        """Records that a worker cannot work at all, so that no other worker can either."""
        self._heard().problem = problem

    def state(self) -> tuple[State, float]:
        """Returns the state, and the seconds since the last report."""
        return self._state, time.monotonic() - self._state.heard

    def _heard(self) -> State:
        self._state.heard = time.monotonic()
        return self._state


PROCESS, NODE, DEADLY = 2, 1, 4  # given up after two processes or four nodes


@dataclass
class Deaths:
    """Counts which inputs may have killed processes: those that a process had begun when it
    died."""

    points: Counter[str] = field(default_factory=Counter)

    def note(self, begun: Mapping[tuple[str, int], Sequence[str]], alive: set[str]) -> None:
        """Counts, at the end of a round, the outputs that were begun but never ended. `alive` holds
        the nodes that are alive: if a node died, the input is rarely at fault."""
        for (node, _), outputs in begun.items():
            for output in outputs:
                self.points[output] += PROCESS if node in alive else NODE

    def deadly(self, output: str) -> bool:
        """Returns whether an input has killed too often to be tried again."""
        return self.points[output] >= DEADLY

    def suspect(self, output: str) -> bool:
        """Returns whether an input must be tried alone."""
        return self.points[output] > 0
