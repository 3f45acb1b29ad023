"""Runs graphs in OpenVINO on the CPU, in float32, or in bfloat16 if the processor supports it."""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.interop.runtimes import Loaded

_TELEMETRY = "openvino_telemetry"
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def load(data: bytes, precision: str = "float32") -> Loaded:
    """Loads the graph of an ONNX file's bytes. Raises InputError without the package openvino."""
    openvino = library()
    core = shared_core()
    compiled = core.compile_model(
        core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
    )
    used = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    names = {hint: name for name, hint in _HINTS.items()}
    request = compiled.create_infer_request()

    def run(*given: np.ndarray) -> np.ndarray:
        """Copies the output, because the request reuses its buffer for the next call."""
        found = request.infer([np.ascontiguousarray(x) for x in given], share_inputs=True)
        return np.array(found[0])

    version = openvino.__version__.partition("-")[0]
    return Loaded(run, f"OpenVINO {version}, {names.get(used, used)}")


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
