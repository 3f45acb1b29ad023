"""Makes whole pictures of interlaced frames, by FFmpeg's filter bwdif."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jaxpercept.inference.containers import library

_FILTER = "bwdif", "mode=send_frame:parity=auto:deint=interlaced"


def deinterlaced(
    frames: Iterator[Any], time_base: Any, begun: Callable[[], object]
) -> Iterator[Any]:
    """Yields the frames; from the first that is marked as interlaced on, they pass through the
    filter, and `begun` is called. The filter looks one frame ahead, and leaves whole pictures as
    they are. An error of `frames` is raised after the frames before it."""
    graph: Any = None
    shape: Any = None
    try:
        for frame in frames:
            if graph is None and not frame.interlaced_frame:
                yield frame
                continue
            if shape != (shape := (frame.width, frame.height, frame.format.name)):
                yield from _rest(graph)
                graph = _graph(shape, frame.time_base or time_base)
                begun()
            graph.push(frame)
            yield from _ready(graph)
    except Exception:
        yield from _rest(graph)
        raise
    yield from _rest(graph)


def _graph(shape: tuple[int, int, str], time_base: Any) -> Any:
    graph = library().filter.Graph()
    width, height, pixels = shape
    source = graph.add_buffer(width=width, height=height, format=pixels, time_base=time_base)
    made, sink = graph.add(*_FILTER), graph.add("buffersink")
    source.link_to(made)
    made.link_to(sink)
    graph.configure()
    return graph


def _ready(graph: Any) -> Iterator[Any]:
    """Yields the frames that have passed the filter."""
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError):  # it waits for the next frame, or has none
            return


def _rest(graph: Any) -> Iterator[Any]:
    """Yields the frames that are still in the filter, after which it is at its end."""
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)
