"""Torch's side of `benchmarks.lbfgs`, and how both sides take turns and are timed."""

import threading
import time

import numpy as np
import torch

from benchmarks.torch_modules import Objective
from jaxpercept.config import DEFAULT_WEIGHTS, ObjectiveConfig

OBJECTIVE = ObjectiveConfig(weights=DEFAULT_WEIGHTS["reference"])


class Clock:
    """Adds up wall and processor seconds between `start` and `stop`."""

    def __init__(self) -> None:
        self.seconds = np.zeros(2)

    def start(self) -> None:
        self._begun = np.array([time.perf_counter(), time.process_time()])

    def stop(self) -> None:
        self.seconds += np.array([time.perf_counter(), time.process_time()]) - self._begun


class TorchSide:
    """The objective in Torch, (1, 3, H, W) in [0, 1] to a scalar. Its targets are computed once."""

    def __init__(self, content: np.ndarray, style: np.ndarray):
        self.objective, self.content = Objective(OBJECTIVE, nchw(style)), nchw(content)
        self.targets = self.objective.targets(self.content)

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        return self.objective(x, self.content, self.targets)

    def minimise(
        self, start: np.ndarray, evaluations: int, turn: "Turns"
    ) -> tuple[list[float], Clock]:
        """Returns all evaluated losses, in order."""
        x, seen, clock = nchw(start).clone().requires_grad_(), [], Clock()
        solver = torch.optim.LBFGS(
            [x],
            max_iter=evaluations,
            max_eval=evaluations,
            tolerance_grad=0,
            tolerance_change=0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )

        def closure() -> torch.Tensor:
            clock.stop()
            if len(seen) % 10 == 0:
                turn.theirs()
            clock.start()
            solver.zero_grad()
            value = self.loss(x)
            value.backward()
            seen.append(float(value.detach()))
            return value

        turn.theirs()
        clock.start()
        solver.step(closure)
        clock.stop()
        return seen, clock


class Turns:
    """Two threads that run one at a time."""

    def __init__(self) -> None:
        self._ours, self._theirs, self._over = threading.Semaphore(0), threading.Semaphore(0), False

    def ours(self) -> None:
        """Ends our turn and lets Torch do ten evaluations."""
        self._theirs.release()
        if not self._over:
            self._ours.acquire()

    def theirs(self) -> None:
        self._ours.release()
        if not self._over:
            self._theirs.acquire()

    def end(self) -> None:
        """Marks one side as done, so that the other no longer waits."""
        self._over = True
        self._ours.release()
        self._theirs.release()


def nchw(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 0)[None]))


def fastest(side: TorchSide, x: torch.Tensor) -> int:
    """Returns 1 or Torch's own number of threads, whichever does two evaluations sooner."""
    times = {}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        for _ in range(2):
            begun = time.perf_counter()
            side.loss(x.clone().requires_grad_()).backward()
            times[threads] = time.perf_counter() - begun
    return min(times, key=lambda n: times[n])
