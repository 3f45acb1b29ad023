"""Exports give the nets' results at any size, in their target runtimes."""

import dataclasses
import os

import numpy as np
import pytest

from jaxpercept import cli, config
from jaxpercept.config import EXPORTED
from jaxpercept.errors import InputError
from jaxpercept.inference.model import Model
from jaxpercept.interop import export
from jaxpercept.interop.runtimes import Loaded, onnxruntime
from jaxpercept.nets import net_file, transform_net
from jaxpercept.runtime import backend

RESIZE = dataclasses.replace(config.NET_PRESETS["resize"].scaled(0.125), blocks=2)
NETS = {
    **{
        name: dataclasses.replace(net.scaled(0.125), blocks=2)
        for name, net in config.NET_PRESETS.items()
    },
    "same": dataclasses.replace(
        RESIZE,
        padding="same",
        fit="crop",
        upsample="transposed",
        head_norm=True,
        input="raw",
        output="tanh",
    ),
    "subpixel": dataclasses.replace(RESIZE, upsample="subpixel", output="raw"),
    "superres best": dataclasses.replace(config.superres_net(4), stem=12, blocks=2),
    "superres gated": dataclasses.replace(config.superres_net(4, "gated"), stem=12, blocks=2),
    "superres paper": dataclasses.replace(config.superres_net(2, "paper").scaled(0.125), blocks=1),
}


def model(net, **kwargs):
    params, stats = transform_net.init(net, seed=1)
    rng = np.random.default_rng(0)  # no weight has a special value, such as 0 or 1
    params = {
        name: value + 0.1 * rng.standard_normal(value.shape).astype(np.float32)
        for name, value in params.items()
    }
    stats = {
        name: value + 0.1 * rng.random(value.shape).astype(np.float32)
        for name, value in stats.items()
    }
    return Model("net", net, params, stats, {}, **kwargs)


@pytest.mark.parametrize("name", NETS)
def test_onnx_equals_the_net(name, tmp_path):
    assert export.export(model(NETS[name]), tmp_path / "net.onnx") < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize("name", ["resize", "paper", "superres best"])
def test_stablehlo_equals_the_net(name, tmp_path):
    assert export.export(model(NETS[name]), tmp_path / "net.stablehlo") < 1e-4


def test_stablehlo_of_one_odd_size(tmp_path):
    assert export.export(model(RESIZE), tmp_path / "net.stablehlo", size=(33, 46)) < 1e-4


def test_a_size_far_beyond_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "memory_left", lambda: 10**9)
    needed = (
        f"--size 20000 20000 needs at least {32 * RESIZE.stem * 0.4:.3g} GB of memory, and 1 GB"
    )
    with pytest.raises(InputError, match=f"{needed} are left; give a smaller one, or none"):
        export.export(model(RESIZE), tmp_path / "x.stablehlo", size=(20_000, 20_000))


def test_what_is_not_equal_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime, "load", lambda data: Loaded(lambda x: x, "the image itself"))
    with pytest.raises(InputError, match="not written, as it differs"):
        export.export(model(RESIZE), tmp_path / "net.onnx")
    monkeypatch.undo()
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        export.export(model(RESIZE), tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_stablehlo_without_flatbuffers(tmp_path, monkeypatch):
    def serialize(exported):
        raise ImportError("Please install 'flatbuffers'")

    monkeypatch.setattr("jax.export.Exported.serialize", serialize)
    with pytest.raises(InputError, match=r"need flatbuffers: pip install 'jaxpercept\[export\]'"):
        export.export(model(RESIZE), tmp_path / "x.stablehlo", size=(32, 32))
    assert not list(tmp_path.iterdir())


def test_a_style_of_several(tmp_path):
    net = dataclasses.replace(RESIZE, styles=2)
    mixed = model(net, mix=np.array([[0.25, 0.75]], np.float32))
    mixed = dataclasses.replace(mixed, name=os.fsdecode(b"n\xff"))  # a file's name, not UTF-8
    assert export.export(mixed, tmp_path / "net.onnx") < 1e-4


def test_format_names_what_a_suffix_does_not(capsys, tmp_path):
    weights = tmp_path / "net.safetensors"
    net_file.save(weights, RESIZE, *transform_net.init(RESIZE, seed=0), {})
    out = tmp_path / "net.model"
    for given in "onnx", ".ONNX":
        assert cli.main(["export", str(weights), str(out), "--format", given]) == 0
        assert onnxruntime.load(out.read_bytes()).run(np.zeros((1, 32, 32, 3), np.float32)).any()
    assert cli.main(["export", str(weights), os.devnull, "--format", "onnx"]) == 0
    assert not os.path.isfile(os.devnull)
    capsys.readouterr()
    for name, given, said in (
        ("x.onnx", "stablehlo", "names another format than --format stablehlo"),
        ("x", "tflite", "--format 'tflite' is not known; choose one of: onnx, stablehlo"),
    ):
        assert cli.main(["export", str(weights), str(tmp_path / name), "--format", given]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("suffix", EXPORTED)
def test_the_blend_is_an_input(suffix, tmp_path):
    """`export` itself compares three blends at two sizes. This tests that the input has an
    effect."""
    net = model(dataclasses.replace(RESIZE, styles=3))
    file = tmp_path / f"net{suffix}"
    assert export.export(net, file) < 1e-4
    data = file.read_bytes()
    run = onnxruntime.load(data).run if suffix == ".onnx" else export._run_stablehlo(data)
    x = np.random.default_rng(1).random((1, 32, 48, 3), np.float32)
    first, second, mixed = (
        run(x, np.array(blend, np.float32)) for blend in ([1, 0, 0], [0, 3, 0], [1, 1, 0])
    )
    assert np.abs(first - second).max() > 0.1
    fixed = np.asarray(dataclasses.replace(net, mix=np.array([[0.5, 0.5, 0]], np.float32))(x))
    np.testing.assert_allclose(mixed, fixed, atol=1e-4)


# The operators of opset 18 that onnxruntime-web's WebAssembly build, its WebGPU back end and
# OpenVINO all have.
OPERATORS = {
    "Add",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Gather",
    "InstanceNormalization",
    "MatMul",
    "Mod",
    "Mul",
    "Pad",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Slice",
    "Sub",
    "Tanh",
    "Transpose",
}


@pytest.mark.parametrize("name", [*NETS, "blend"])
def test_the_graph_is_one_that_runs_anywhere(name):
    import onnx

    net = NETS.get(name, dataclasses.replace(RESIZE, styles=2))
    graph = onnx.load_from_string(export.onnx_bytes(model(net)))
    assert [(o.domain, o.version) for o in graph.opset_import] == [("", 18)]
    assert {node.op_type for node in graph.graph.node} <= OPERATORS
    shapes = {
        given.name: [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
        for given in graph.graph.input
    }
    assert shapes == {"image": ["n", "h", "w", 3], **({"blend": [2]} if name == "blend" else {})}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("net.safetensors x.pt", "suffix of OUT '.pt' is not known"),
        ("no_such_style x.onnx", "no_such_style"),
        ("net.safetensors x.onnx --size 64 64", "takes every size"),
        ("net.safetensors x.stablehlo --size 8 64", "at least 16 pixels per side"),
        ("net.safetensors net.safetensors/x.onnx", "cannot be written"),
        ("net.safetensors net.safetensors --format onnx", "OUT net.safetensors is the input"),
    ],
)
def test_errors_are_one_line(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = model(RESIZE)
    net_file.save(
        tmp_path / "net.safetensors", made.config, made.params, made.stats, {"task": "style"}
    )
    assert cli.main(["export", *given.split()]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert said in message
