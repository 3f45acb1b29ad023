"""The processes in which Grain reads photos: how they begin and how they end."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from multiprocessing import connection, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

from jaxpercept.runtime.stopping import SIGNALS

_PATIENCE = 3.0


def first(stream: Iterator[Any]) -> tuple[Any, list[BaseProcess]]:
    """Returns next(stream), and the processes that this begins. They are shielded from the signals
    that ask a training to stop, which reach every process of a group. The training answers them and
    ends its workers. The workers inherit the signal mask of their own thread, so not even a
    starting one sees a signal, and this thread can be interrupted while it waits. Then it ends
    them, since Grain would wait for what they read."""
    # if begun later, it would lift the mask in Python 3.11 and 3.12
    resource_tracker.ensure_running()
    found: Future[Any] = Future()
    others = multiprocessing.active_children()

    def begun() -> list[BaseProcess]:
        return [child for child in multiprocessing.active_children() if child not in others]

    def begin() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            found.set_result(next(stream))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=begin, daemon=True).start()
    try:
        return found.result(), begun()
    except KeyboardInterrupt:
        for worker in begun():
            worker.kill()
        raise


def end(workers: Sequence[BaseProcess], close: Callable[[], Any]) -> None:
    """Calls `close`, by which Grain ends the workers one after another, and waits until each has
    read the photos of its batch. If none has ended for `_PATIENCE` seconds, they are killed."""
    closing = threading.Thread(target=close)
    closing.start()
    try:
        left = {worker.sentinel for worker in workers}
        while left and (ended := connection.wait(left, _PATIENCE)):
            left -= {*ended}
    finally:  # also if Ctrl-C ends the wait
        for worker in workers:
            worker.kill()
        closing.join()
