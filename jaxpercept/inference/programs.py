"""Keeps whole compiled nets in the user's cache. A second start of the same program then neither
traces nor lowers the net, which takes longer than to load and run it.

The cache of `jax` asks for the lowered program, and so is no help there. A program kept here has a
name that is a hash of all that decides it: the caller's words, the shapes, the source of the nets,
jax's version and settings, and the processor. It is native code, as in jax's cache, and lies in the
same folder, which `runtime.compilation_cache` has found safe.
"""

from __future__ import annotations

import hashlib
import os
import platform
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jaxlib

import jaxpercept
from jaxpercept.files import kept
from jaxpercept.runtime import compilation_cache

# The rooms and modules whose source decides what a net computes.
SOURCES = (
    "config",
    "nets",
    "images/resampling.py",
    "inference/model.py",
    "inference/programs.py",
)
MOST = 512  # programs kept, of 0.1 to 0.3 MB each


class Program:
    """`function`, from arrays to one array, compiled. Its first call takes the program from the
    cache, or compiles it and keeps it. `about` describes what the function is made of. Arguments
    of other shapes than the first call's are compiled as by `jax.jit`.

    Nothing is kept unless `compilation_cache.enable` has set a folder, and on accelerators or on
    several devices."""

    def __init__(self, function: Callable[..., Any], about: object) -> None:
        self._function = jax.jit(function)
        self._about = about
        self._shapes: Any = None
        self._call: Callable[..., Any] = self._function

    def __call__(self, *arguments: Any) -> Any:
        """Returns the function's result."""
        traced = any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(arguments))
        if traced or jax.config.values["jax_disable_jit"]:
            return self._function(*arguments)  # inside jax.jit, jax.grad or jax.disable_jit
        shapes = jax.tree.map(_shape, arguments)
        if self._shapes is None:
            self._call = self._first(shapes)
            self._shapes = shapes
        return (self._call if shapes == self._shapes else self._function)(*arguments)

    def _first(self, shapes: tuple[Any, ...]) -> Callable[..., Any]:
        """Returns the program for these shapes from the cache, or puts it there."""
        folder = compilation_cache.enabled()
        if folder is None or jax.default_backend() != "cpu" or jax.device_count() > 1:
            return self._function
        from jax.experimental import serialize_executable

        path = folder / "programs" / f"{_key((self._about, shapes))}{kept.SUFFIX}"
        trees = jax.tree.structure((shapes, {})), jax.tree.structure(0)
        if data := kept.read(path):
            with suppress(Exception):  # jax cannot read it: it is made again
                return serialize_executable.deserialize_and_load(zlib.decompress(data), *trees)
        lowered = self._function.lower(*shapes)
        with compilation_cache.unused():
            compiled = lowered.compile()
        kept.keep(path, zlib.compress(serialize_executable.serialize(compiled)[0], 1), MOST)
        return compiled


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _key(about: object) -> str:
    flags = [os.environ.get(name) for name in ("XLA_FLAGS", "JAX_PLATFORMS")]
    versions = jax.__version__, jaxlib.__version__
    settings = sorted(x for x in jax.config.values.items() if x[0] != compilation_cache.SWITCH)
    decides = (about, _code(), versions, settings, flags, _processor())
    return hashlib.sha256(repr(decides).encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def _code() -> str:
    """Returns a hash of the source of `SOURCES`."""
    seen = hashlib.sha256()
    package = Path(jaxpercept.__file__).parent
    for place in (package / name for name in SOURCES):
        for path in [place] if place.suffix else sorted(place.rglob("*.py")):
            seen.update(path.name.encode() + path.read_bytes())
    return seen.hexdigest()


@lru_cache(maxsize=1)
def _processor() -> tuple[str, ...]:
    """Returns what machine code is made for: the kind of processor, its features and the number of
    cores that the process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = [platform.processor()]
    about = (line for line in lines if line.startswith(("model name", "flags", "Features")))
    affinity = getattr(os, "sched_getaffinity", None)  # XLA splits loops for the cores of `taskset`
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return platform.machine(), str(cores), *about
