"""Exports give what the nets give, at any size, in the runtimes they are for."""

import dataclasses

import numpy as np
import pytest

from jaxpercept import cli, config
from jaxpercept.errors import InputError
from jaxpercept.inference.model import Model
from jaxpercept.interop import export
from jaxpercept.nets import transform_net

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
    "superres paper": dataclasses.replace(config.superres_net(2, "paper").scaled(0.125), blocks=1),
}


def model(net, **kwargs):
    params, stats = transform_net.init(net, seed=1)
    rng = np.random.default_rng(0)  # no weight at a value of its own, such as 0 or 1
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


def test_what_is_not_equal_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_run_onnx", lambda data: lambda x: x)
    with pytest.raises(InputError, match="not written, as it differs"):
        export.export(model(RESIZE), tmp_path / "net.onnx")
    monkeypatch.undo()
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        export.export(model(RESIZE), tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_a_style_of_several(tmp_path):
    net = dataclasses.replace(RESIZE, styles=2)
    mixed = model(net, mix=np.array([[0.25, 0.75]], np.float32))
    assert export.export(mixed, tmp_path / "net.onnx") < 1e-4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("net.safetensors x.pt", "kind of export '.pt' is not known"),
        ("no_such_style x.onnx", "no_such_style"),
        ("net.safetensors x.onnx --size 64 64", "takes every size"),
        ("net.safetensors x.stablehlo --size 8 64", "at least 16 a side"),
        ("net.safetensors net.safetensors/x.onnx", "cannot be written"),
    ],
)
def test_errors_are_one_line(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = model(RESIZE)
    transform_net.save(
        tmp_path / "net.safetensors", made.config, made.params, made.stats, {"task": "style"}
    )
    assert cli.main(["export", *given.split()]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert said in message
