"""Runs graphs in OpenVINO on the CPU, in float32, or in bfloat16 if the processor supports it.

In bfloat16, the graph's layers up to `ENCODED` stay in float32. Rounding the image and what the
first layers make of it causes most of bfloat16's error, and these layers take little of the time.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.interop.runtimes import ENCODED, Loaded

_TELEMETRY = "openvino_telemetry"
_HINT = "INFERENCE_PRECISION_HINT"
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
FLOAT32 = {_HINT: _HINTS["float32"]}


def load(data: bytes, precision: str = "float32") -> Loaded:
    """Loads the graph of an ONNX file's bytes. Raises InputError without the package openvino."""
    openvino = library()
    core = shared_core()
    steps, used = [], _HINTS["float32"]
    if precision != "float32":
        first, rest = cut(data)
        compiled = core.compile_model(rest, "CPU", {_HINT: _HINTS[precision]})
        used = compiled.get_property(_HINT).to_string()  # float32 if the processor lacks the other
        steps = [core.compile_model(first, "CPU", FLOAT32), compiled]
    if used == _HINTS["float32"]:
        steps = [core.compile_model(core.read_model(data), "CPU", FLOAT32)]
    requests = [step.create_infer_request() for step in steps]

    def run(*given: np.ndarray) -> np.ndarray:
        """Copies the output, because the request reuses its buffer for the next call."""
        inputs = [np.ascontiguousarray(x) for x in given]
        found: list[Any] = []
        for request in requests:
            found = [request.infer([*found, *inputs], share_inputs=True, share_outputs=True)[0]]
        return np.array(found[0])

    version = openvino.__version__.partition("-")[0]
    names = {hint: name for name, hint in _HINTS.items()}
    return Loaded(run, f"OpenVINO {version}, {names.get(used, used)}")


def cut(data: bytes) -> tuple[Any, Any]:
    """Returns the graph up to `ENCODED`, and the rest, which takes that before the graph's
    inputs."""
    openvino = library()
    models = [shared_core().read_model(data) for _ in range(2)]
    first, rest = (
        next(o for op in model.get_ops() for o in op.outputs() if ENCODED in o.get_names())
        for model in models
    )
    given = openvino.opset13.parameter(rest.get_partial_shape(), np.float32)
    for use in rest.get_target_inputs():
        use.replace_source_output(given.output(0))
    return (
        openvino.Model([first], models[0].get_parameters()),
        openvino.Model(models[1].get_results(), [given, *models[1].get_parameters()]),
    )


@functools.cache
def shared_core() -> Any:
    """Returns the process's only Core, which is never dropped. A Core gives the thread a stack for
    signals, and restores the earlier stack when it is dropped. If the earlier stack belonged to a
    Core that was dropped before, it is freed memory, and the next signal (Ctrl-C) kills the
    process."""
    return library().Core()


def library() -> Any:
    """Imports the package without its telemetry, which reports each import over the network. Raises
    InputError if it is not installed."""
    absent = object()
    before = sys.modules.get(_TELEMETRY, absent)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise InputError("OpenVINO is not installed; pip install 'jaxpercept[openvino]'") from error
    finally:
        if before is absent:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before  # type: ignore[assignment]
    return openvino
