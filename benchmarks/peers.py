"""The other side of every row: PyTorch (eager or compiled, either memory format), ONNX Runtime,
OpenVINO and MNN, on the same weights, as their users would write it. They use NCHW inside and
return NHWC, as ours do. PyTorch runs on a CUDA device if there is one.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import rows
from benchmarks.torch_modules import Features, Objective, Transform
from benchmarks.worker import OPENVINO_AS_IT_COMES
from jaxpercept.config import ObjectiveConfig
from jaxpercept.interop.runtimes import openvino
from jaxpercept.nets import net_file

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def build(
    peer: str, row: rows.Row, weights: Path, precision: str = "float32", threads: int = 2
) -> Callable[[], Any]:
    """Returns a call that does the row's work once and waits for it, as `ours.build` does."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if peer.endswith("channels_last") else torch.contiguous_format
    given = {
        k: torch.tensor(v)
        .permute(0, 3, 1, 2)
        .float()
        .div(255)
        .contiguous(memory_format=layout)
        .to(DEVICE)
        for k, v in rows.inputs(row).items()
    }
    config, params, _, _ = net_file.load(weights)
    net = Transform(config, {k: torch.tensor(np.asarray(v)) for k, v in params.items()})
    net = net.to(DEVICE, memory_format=layout)
    made = rows.train_config(row).objective
    compiled = torch.compile if "compile" in peer else lambda module: module
    half = torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16")
    x = given["x"]
    if row.training:
        return _train(row, net, made, given, layout, compiled, half)
    if row.kind == "gradient":
        objective = Objective(made, given["style"]).to(DEVICE, memory_format=layout)
        features, evaluate = objective.targets(x), compiled(objective)
        image = (1 - x).requires_grad_()

        def gradient() -> Any:
            image.grad = None
            with half:
                loss = evaluate(image, x, features)
            loss.backward()
            return _result(loss)

        return gradient
    module = (
        Features(made.style_layers).to(DEVICE, memory_format=layout) if row.kind == "vgg" else net
    )
    module.eval()
    if peer == "onnxruntime":
        return _onnxruntime(module, x, threads)
    if peer.startswith("openvino"):
        return _openvino(module, x, threads, as_it_comes=peer == OPENVINO_AS_IT_COMES)
    if peer == "mnn":
        return _mnn(module, x, threads, weights.with_suffix(".mnn"))
    if "compile" in peer:
        from torch._inductor import config as inductor

        inductor.freezing = True  # packs weights for the machine, as in deployment
    run = compiled(module)

    def infer() -> Any:
        with torch.inference_mode() if "compile" not in peer else torch.no_grad(), half:
            y = run(x)
        return _result(y["relu4_3"] if isinstance(y, dict) else y)

    return infer


def _train(
    row: rows.Row,
    net: nn.Module,
    made: ObjectiveConfig,
    given: dict[str, Tensor],
    layout: Any,
    compiled: Callable[..., Any],
    half: Any,
) -> Callable[[], Any]:
    objective = Objective(made, None if row.upscales else given["style"]).to(
        DEVICE, memory_format=layout
    )
    net.train()
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    x, y = given["small"] if row.upscales else given["x"], given["x"]
    evaluate = compiled(lambda x, y: objective(net.unclamped(x), y))

    def once() -> Any:
        adam.zero_grad()
        with half:
            loss = evaluate(x, y)
        loss.backward()
        adam.step()
        return _result(loss.detach())

    return once


def _exported(module: nn.Module, x: Tensor) -> tuple[bytes, list[str]]:
    """Returns the module as ONNX for this shape, and the names of its outputs."""
    file = io.BytesIO()
    names = list(module.wanted) if isinstance(module, Features) else ["y"]
    torch.onnx.export(
        module, (x,), file, input_names=["x"], output_names=names, dynamo=False, opset_version=18
    )
    return file.getvalue(), names


def _onnxruntime(module: nn.Module, x: Tensor, threads: int) -> Callable[[], Any]:
    import onnxruntime

    data, names = _exported(module, x)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    fed = x.numpy()
    return lambda: np.moveaxis(session.run(names[-1:], {"x": fed})[0], 1, -1)


def _openvino(
    module: nn.Module, x: Tensor, threads: int, *, as_it_comes: bool
) -> Callable[[], Any]:
    """Runs in float32, or in the precision that OpenVINO chooses for the processor."""
    data, names = _exported(module, x)
    settings = {"INFERENCE_NUM_THREADS": threads}
    if not as_it_comes:
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    core = openvino.shared_core()
    compiled = core.compile_model(core.read_model(data), "CPU", settings)
    request, last, fed = compiled.create_infer_request(), compiled.output(names[-1]), x.numpy()
    return lambda: np.moveaxis(request.infer([fed], share_inputs=True)[last], 1, -1)


def _mnn(module: nn.Module, x: Tensor, threads: int, converted: Path) -> Callable[[], Any]:
    """Runs in float32. The converter is called directly: MNN's own command for it installs packages
    and reports every conversion over the network."""
    import _tools
    from MNN import expr
    from MNN import nn as runtime

    data, names = _exported(module, x)
    graph = converted.with_suffix(".onnx")
    graph.write_bytes(data)
    _tools.mnnconvert(
        ["", "-f", "ONNX", "--modelFile", str(graph), "--MNNModel", str(converted), "--bizCode", ""]
    )
    settings = {"backend": 0, "numThread": threads, "precision": "high", "power": "high"}
    manager = runtime.create_runtime_manager((settings,))
    net = runtime.load_module_from_file(
        str(converted), ["x"], names[-1:], runtime_manager=manager, shape_mutable=False
    )
    fed = x.numpy()

    def infer() -> Any:
        given = expr.placeholder(list(fed.shape), expr.NCHW)
        given.write(fed)
        made = expr.convert(net.forward(given), expr.NCHW)
        return np.moveaxis(np.array(made.read()).reshape(made.shape), 1, -1)  # MNN frees it

    return infer


def _result(y: Tensor) -> Any:
    if DEVICE == "cuda":
        torch.cuda.synchronize()
        return y.float().cpu().detach().numpy() if y.ndim == 0 else _Later(y)
    return y.detach().permute(0, 2, 3, 1) if y.ndim == 4 else y.detach()


class _Later:
    """A result that stays on the device until it is read."""

    def __init__(self, y: Tensor):
        self.y = y

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.y.detach().permute(0, 2, 3, 1).float().cpu().numpy()
