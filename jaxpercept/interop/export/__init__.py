"""Exports trained nets to other runtimes: ONNX, and StableHLO by `jax.export`. Every file is run
and compared before it is kept.

An export takes and returns images as our API does: (N, H, W, 3) float32 RGB in [0, 1]. StableHLO
has the plain form of the convolutions, lowered for CPU, CUDA and TPU. A multi-style net without a
chosen blend (`load_model(..., any_blend=True)`) takes a second input, "blend": the weights of the
styles, (styles,) float32, which it divides by their sum.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from jaxpercept import files
from jaxpercept.config import EXPORTED, MAX_PIXELS, TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.inference import tiles
from jaxpercept.inference.model import Model
from jaxpercept.interop.runtimes import onnxruntime
from jaxpercept.nets import conv, geometry, transform_net, weights_file
from jaxpercept.runtime import backend

PLATFORMS = ("cpu", "cuda", "tpu")
TOLERANCE = 1 / 255
ODD_SHAPES = ((1, 64, 48), (2, 47, 61))
Run = Callable[..., np.ndarray]  # (image) or (image, blend)


def export(
    model: Model,
    out: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    suffix: str | None = None,
) -> float:
    """Writes `model` to `out`, in the format of `suffix` (by default its own), and runs it. Returns
    the largest difference to the model at two sizes (or the one), each with three blends if the
    blend is an input. `size` is the (height, width) of a StableHLO file. Without it, the file takes
    every size that the strides divide.

    Raises InputError for another suffix, a place that cannot be written, a missing library, or a
    file that is not equal within 1/255; then nothing is left behind."""
    out = Path(out)
    suffix = out.suffix if suffix is None else suffix
    if suffix not in EXPORTED:
        raise InputError(f"{out}: its suffix names no format; use {' or '.join(EXPORTED)}")
    if size is not None and (suffix == ".onnx" or min(size) < model.config.least_side):
        raise InputError(
            f"--size {size[0]} {size[1]} is for a .stablehlo file, with at least "
            f"{model.config.least_side} pixels per side; an .onnx file takes every size"
        )
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"--size {size[0]} {size[1]} is {size[0] * size[1]:,} pixels; give at most "
            f"{MAX_PIXELS:,}"
        )
    if size is not None:
        needed = tiles.untiled_bytes(model.config, *size)
        backend.check_memory(f"--size {size[0]} {size[1]}", needed, "a smaller one, or none")
    if suffix == ".onnx":
        data = onnx_bytes(model)
        worst = checked(model, onnxruntime.load(data).run, f"{out}: not written, as it")
    else:
        data = _stablehlo(model, size)
        shapes = [(1, *size)] if size else [(1, 64, 48), (2, 80, 96)]
        worst = checked(model, _run_stablehlo(data), f"{out}: not written, as it", shapes)
    files.write(out, data)
    return worst


def checked(
    model: Model, run: Run, what: str, shapes: Sequence[tuple[int, int, int]] = ODD_SHAPES
) -> float:
    """Returns the largest difference between `run` and `model` at these (N, H, W). If it exceeds
    `TOLERANCE`, raises an InputError saying that `what` differs."""
    worst = max(_difference(model, run, *shape) for shape in shapes)
    if not worst <= TOLERANCE:
        raise InputError(f"{what} differs from {model.name} by {255 * worst:.2f}/255; report it")
    return worst


def takes_blend(model: Model) -> bool:
    """Returns whether the blend is an input of the model's export."""
    return bool(model.config.styles) and model.mix is None


def _difference(model: Model, run: Run, n: int, h: int, w: int) -> float:
    random = np.random.default_rng(0)
    x = random.random((n, h, w, 3), np.float32)
    if not takes_blend(model):
        return _largest(np.asarray(model(x)), run(x))
    styles = model.config.styles
    worst = 0.0
    for blend in (2 * np.eye(styles)[-1], np.ones(styles), random.random(styles)):
        mix = (blend / blend.sum())[None].astype(np.float32)
        expected = np.asarray(dataclasses.replace(model, mix=mix)(x))
        worst = max(worst, _largest(expected, run(x, blend.astype(np.float32))))
    return worst


def _largest(expected: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")


def smallest_side(config: TransformNetConfig) -> int:
    """Returns the smallest side of an image for an ONNX graph, whose reflection must be shorter
    than the image."""
    return max(16, config.start_padding + 1)


def graph_code() -> bytes:
    """Returns the source of the code that writes ONNX graphs. Equal source gives an equal graph of
    a net."""
    here = Path(__file__)
    return b"".join(here.with_name(f"onnx_{part}.py").read_bytes() for part in ("graph", "nodes"))


def onnx_bytes(model: Model) -> bytes:
    """Returns the net as an ONNX file. Raises InputError if the package onnx is missing."""
    try:
        from jaxpercept.interop.export import onnx_graph
    except ImportError as e:
        raise InputError(f"ONNX files need {e.name}: pip install 'jaxpercept[export]'") from e
    training = model.header.get("training", {})
    blend = {"styles": json.dumps(model.styles)} if takes_blend(model) else {}
    about = {
        "name": weights_file.unicode(model.name),
        "image": "float32 RGB in [0, 1], (N, H, W, 3), in and out",
        "smallest side": str(smallest_side(model.config)),
        "net": json.dumps(model.header.get("net", {})),
        "steps": str(training.get("steps", "unknown")),
        **blend,
    }
    params = model.params if takes_blend(model) else model.single_style()
    return onnx_graph.graph(model.config, params, model.stats, about).SerializeToString()


def _stablehlo(model: Model, size: tuple[int, int] | None) -> bytes:
    config = model.config
    multiple = geometry.multiple(config)
    if size is None:
        least = -(-max(config.least_side, config.start_padding + 1) // multiple)
        shape: Any = jax_export.symbolic_shape(
            f"n, {multiple}*h, {multiple}*w, 3",
            constraints=[f"h >= {least}", f"w >= {least}", "n >= 1"],
        )
    else:
        shape = (1, *size, 3)
    params, stats = model.params, model.stats

    def apply(x: jax.Array, *blend: jax.Array) -> jax.Array:
        mix = (blend[0] / blend[0].sum())[None] if blend else model.mix
        return jnp.clip(
            transform_net.apply(config, params, stats, x, dtype=model.dtype, mix=mix)[0], 0, 1
        )

    shapes = [shape, (config.styles,)] if takes_blend(model) else [shape]
    with conv.forced(False):
        made = jax_export.export(jax.jit(apply), platforms=PLATFORMS)(
            *(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes)
        )
    try:
        return bytes(made.serialize())
    except ImportError as e:
        raise InputError(
            "StableHLO files need flatbuffers: pip install 'jaxpercept[export]'"
        ) from e


def _run_stablehlo(data: bytes) -> Run:
    call = jax.jit(jax_export.deserialize(bytearray(data)).call)
    return lambda *given: np.asarray(call(*given))
