"""Runs graphs in ONNX Runtime on the CPU, in float32."""

from __future__ import annotations

from jaxpercept.errors import InputError
from jaxpercept.interop.runtimes import Loaded


def load(data: bytes, precision: str = "float32") -> Loaded:
    """Loads the graph of an ONNX file's bytes. Raises InputError for a precision other than
    float32, which ONNX Runtime has no kernels for, or without the package onnxruntime."""
    if precision != "float32":
        raise InputError(
            f"--precision {precision}: ONNX Runtime computes these nets only in float32; leave it "
            "out, or give --runtime openvino"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "ONNX Runtime is not installed; pip install 'jaxpercept[export]'"
        ) from error
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    return Loaded(
        lambda *given: session.run(["output"], dict(zip(names, given, strict=True)))[0],
        f"ONNX Runtime {onnxruntime.__version__}, float32",
    )
