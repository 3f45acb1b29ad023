"""Pools of threads that end soon. Imports no jax."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def pool(count: int | None) -> Iterator[ThreadPoolExecutor]:
    """Yields a pool of `count` threads. At the end, all calls are done. After an exception, those
    in progress are finished and waiting ones are dropped."""
    with ThreadPoolExecutor(count) as made:
        try:
            yield made
        except BaseException:
            made.shutdown(wait=False, cancel_futures=True)
            raise
