"""Runs graphs in OpenVINO on the CPU, in float32, or in bfloat16 if the processor supports it.

In bfloat16, a graph's first part stays in float32, since rounding the image causes most of the
error. The part ends at `PIXELS`, which the first layer then takes as two numbers of bfloat16, or at
`ENCODED`, which is more exact and slower.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.interop.runtimes import ENCODED, PIXELS, Loaded

_TELEMETRY = "openvino_telemetry"
_HINT = "INFERENCE_PRECISION_HINT"
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
FLOAT32 = {_HINT: _HINTS["float32"]}


def load(data: bytes, precision: str = "float32", start: str = ENCODED) -> Loaded:
    """Loads the graph of an ONNX file's bytes. What comes after `start` is in `precision`. Raises
    InputError without the package openvino."""
    openvino = library()
    core = shared_core()
    steps, used = [], _HINTS["float32"]
    if precision != "float32":
        first, rest = cut(data, start)
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


def cut(data: bytes, start: str) -> tuple[Any, Any]:
    """Returns the graph up to `start`, and the rest, which takes that before the graph's inputs.
    Where `start` is PIXELS, the image goes from one to the other in two parts, of which bfloat16
    holds the first exactly and the second almost."""
    openvino = library()
    ops = openvino.opset13
    models = [shared_core().read_model(data) for _ in range(2)]
    first, rest = (
        next(o for op in model.get_ops() for o in op.outputs() if start in o.get_names())
        for model in models
    )
    shape = rest.get_partial_shape()
    if start == PIXELS:
        coarse = ops.convert(ops.convert(first, "bf16"), "f32")
        first = ops.concat([coarse, ops.subtract(first, coarse)], 1).output(0)
        shape[1] = 2 * shape[1].get_length()
        stem = _stem(rest)
        kernel = stem.input_value(1).get_node().data
        stem.input(1).replace_source_output(ops.constant(np.concatenate([kernel] * 2, 1)).output(0))
    given = ops.parameter(shape, np.float32)
    for use in rest.get_target_inputs():
        use.replace_source_output(given.output(0))
    parts = (
        openvino.Model([first], models[0].get_parameters()),
        openvino.Model(models[1].get_results(), [given, *models[1].get_parameters()]),
    )
    parts[1].validate_nodes_and_infer_types()
    return parts


def _stem(x: Any) -> Any:
    """Returns the convolution that takes `x`, padded or not."""
    while True:
        nodes = [use.get_node() for use in x.get_target_inputs()]
        users = {node.get_type_name(): node for node in nodes}
        if "Convolution" in users:
            return users["Convolution"]
        x = users["Pad"].output(0)


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
