"""Runs a trained net outside JAX: its exported ONNX graph, as a `Net` of `inference.model`.

The graph takes every size, batch and blend, so it is made once per net. It is kept in the user's
cache, under a name that holds a hash of the net and of the code that writes graphs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import images
from jaxpercept.config import TransformNetConfig, choose
from jaxpercept.errors import InputError
from jaxpercept.files import kept
from jaxpercept.images.samples import sample_photos
from jaxpercept.inference.model import Model
from jaxpercept.interop import export
from jaxpercept.interop.runtimes import (
    BOUND,
    ENCODED,
    PIXELS,
    Loaded,
    errors,
    onnxruntime,
    openvino,
)
from jaxpercept.runtime import compilation_cache

MOST = 64  # graphs kept, of 1 to 7 MB each
MARGIN = 0.75  # of the bound on the sample photos, since other photos may be worse
LOAD = {"openvino": openvino.load, "onnxruntime": onnxruntime.load}


@dataclass(frozen=True, eq=False)
class ExportedNet:
    """`in_jax` in another runtime. A call takes and returns what `Model` does. Images that are too
    small for the graph run in JAX, and so do a style net's tiles (see `inference.tiles`)."""

    in_jax: Model
    loaded: Loaded

    @property
    def name(self) -> str:
        """The name that outputs get."""
        return self.in_jax.name

    @property
    def config(self) -> TransformNetConfig:
        """The net's geometry and scale."""
        return self.in_jax.config

    @property
    def grain(self) -> float:
        """The net's own grain."""
        return self.in_jax.grain

    def __call__(self, x: Any) -> np.ndarray:
        """Maps (N, H, W, 3) in [0, 1] to the same size times `config.scale`, clipped to [0, 1]."""
        x = np.asarray(x, np.float32)
        if min(x.shape[1:3]) < export.smallest_side(self.config):
            return np.asarray(self.in_jax(x))
        blend = [] if self.in_jax.mix is None else [np.asarray(self.in_jax.mix, np.float32)[0]]
        return self.loaded.run(x, *blend)


def nets(models: Sequence[Model], runtime: str, precision: str = "float32") -> list[ExportedNet]:
    """Returns the nets in a runtime of `RUNTIMES` other than jax. Blends of one net share its
    graph. In bfloat16, each blend keeps as many layers in float32 as it needs.

    Raises InputError for an unknown runtime or one that is not installed, for a precision that it
    does not have, and if its results differ from the net's."""
    choose("--runtime", runtime, LOAD)
    made: dict[tuple[str, bytes], Loaded] = {}

    def loaded(model: Model) -> Loaded:
        key = _key(model)
        blend = b"" if precision == "float32" else _blend(model)
        if (key, blend) not in made:
            made[key, blend] = _loaded(model, key, runtime, precision)
        return made[key, blend]

    return [ExportedNet(model, loaded(model)) for model in models]


def _loaded(model: Model, key: str, runtime: str, precision: str) -> Loaded:
    """Loads the net's graph from the cache. If it is missing or damaged there, or if `runtime`
    cannot read it, it is made, checked in `runtime`, and kept."""
    path = _path("graphs", f"{key}.onnx")
    if path and (data := kept.read(path)) is not None:
        try:
            return _in_precision(model, key, data, runtime, precision)
        except InputError:  # the user's mistake, not the graph's fault
            raise
        except Exception:  # each runtime has its own errors
            pass
    plain = replace(model, mix=None, dtype=None)
    data = export.onnx_bytes(plain)
    export.checked(plain, LOAD[runtime](data).run, f"--runtime {runtime}: its output")
    loaded = _in_precision(model, key, data, runtime, precision)
    if path:
        kept.keep(path, data, MOST)
    return loaded


def _path(folder: str, name: str) -> Path | None:
    """Returns a place in the user's cache, if there is one."""
    cache, _ = compilation_cache.own_folder()
    return cache and cache / folder / f"{name}{kept.SUFFIX}"


def _in_precision(model: Model, key: str, data: bytes, runtime: str, precision: str) -> Loaded:
    """Loads the graph. Where bfloat16 starts in it is measured once for a blend, and kept."""
    if runtime != "openvino" or precision == "float32":
        return LOAD[runtime](data, precision)
    name = hashlib.sha256(key.encode() + _blend(model)).hexdigest()[:32]
    path = _path(precision, name)
    known = ((path and kept.read(path)) or b"").decode()
    start = known if known in (PIXELS, ENCODED) else _start(model, data, precision)
    loaded = openvino.load(data, precision, start)
    if path and start != known and precision in loaded.about:  # others show no error
        kept.keep(path, start.encode(), 16 * MOST)
    return loaded


def _start(model: Model, data: bytes, precision: str) -> str:
    """Returns PIXELS if bfloat16 then keeps MARGIN of the bound on two sample photos, and ENCODED
    otherwise."""
    side = 256 // model.config.scale
    photos = [images.square(photo, side)[None] for photo in [*sample_photos().values()][:2]]
    exact, fast = (
        [np.asarray(ExportedNet(model, loaded)(photo)) for photo in photos]
        for loaded in (openvino.load(data), openvino.load(data, precision, PIXELS))
    )
    found = errors(fast, exact)
    within = all(found[name] <= MARGIN * bound for name, bound in BOUND.items())
    return PIXELS if within else ENCODED


def _blend(model: Model) -> bytes:
    return b"" if model.mix is None else np.asarray(model.mix, np.float32).tobytes()


def _key(model: Model) -> str:
    """Returns a name for the net's graph: a hash of its config, its weights and the code of the
    graph."""
    seen = hashlib.sha256(export.graph_code())
    seen.update(repr(model.config).encode())
    for name, value in sorted({**model.params, **model.stats}.items()):
        array = np.ascontiguousarray(value)
        seen.update(f"{name} {array.dtype} {array.shape}".encode())
        seen.update(array.data)
    return seen.hexdigest()[:32]
