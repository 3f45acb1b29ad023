"""Other runtimes give the same as JAX, from one kept graph per net."""

import dataclasses
import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from film_files import pictures
from helpers import save_style
from PIL import Image
from test_export import NETS, RESIZE, model

from jaxpercept import cli, images
from jaxpercept.errors import InputError
from jaxpercept.files import kept
from jaxpercept.images import samples
from jaxpercept.inference import tiles
from jaxpercept.inference.model import Model, load_model
from jaxpercept.interop import export, exported_net
from jaxpercept.interop.runtimes import ENCODED, PIXELS, Loaded

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None,
    reason="needs OpenVINO: pip install 'jaxpercept[openvino]'",
)
RUNTIMES = ["onnxruntime", pytest.param("openvino", marks=needs_openvino)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXPERCEPT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def shipped():
    return [load_model(name) for name in ("wave", "multi:wave=0.3,starry_night=0.7", "x4-pixel")]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_shipped_nets_equal_jax(runtime, shipped):
    nets = exported_net.nets(shipped, runtime)
    for net, in_jax in zip(nets, shipped, strict=True):
        assert (net.name, net.config, net.grain) == (in_jax.name, in_jax.config, in_jax.grain)
        for shape in export.ODD_SHAPES:
            x = np.random.default_rng(1).random((*shape, 3), np.float32)
            np.testing.assert_allclose(net(x), in_jax(x), atol=1 / 255)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_graph_is_made_once_per_net_and_blend_alike(runtime, tmp_path, monkeypatch):
    net = model(RESIZE)
    (first,) = exported_net.nets([net], runtime)
    (file,) = (tmp_path / "cache" / "graphs").iterdir()
    x = np.random.default_rng(0).random((1, 32, 48, 3), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(export, "onnx_bytes", lambda model: pytest.fail("made a second time"))
        (again,) = exported_net.nets([net], runtime)
    np.testing.assert_array_equal(first(x), again(x))
    whole = file.read_bytes()
    damaged = whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:]
    kept.keep(file, b"no graph", 9)
    unreadable = file.read_bytes()
    for bad in (damaged, whole[:1000], b"", unreadable):
        file.write_bytes(bad)
        exported_net.nets([net], runtime)
        assert file.read_bytes() == whole


def test_a_kept_file_under_anothers_name_is_not_used(tmp_path):
    for name in "ab":
        kept.keep(tmp_path / f"{name}{kept.SUFFIX}", name.encode(), 9)
    assert kept.read(tmp_path / f"a{kept.SUFFIX}") == b"a"
    (tmp_path / f"a{kept.SUFFIX}").replace(tmp_path / f"b{kept.SUFFIX}")
    assert kept.read(tmp_path / f"b{kept.SUFFIX}") is None


def test_another_net_has_another_graph(tmp_path):
    net = model(RESIZE)
    other = Model("net", RESIZE, {**net.params, "head.bias": net.params["head.bias"] + 1}, {}, {})
    exported_net.nets([net, net, other], "onnxruntime")
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 2


def test_blends_share_a_graph(shipped, monkeypatch):
    made = []
    monkeypatch.setattr(export, "onnx_bytes", lambda model: made.append(model) or b"")
    monkeypatch.setattr(export, "checked", lambda *given: 0.0)
    loaded = Loaded(lambda *given: given[0], "")
    monkeypatch.setitem(exported_net.LOAD, "onnxruntime", lambda data, precision="": loaded)
    blend = shipped[1]
    exported_net.nets([blend, blend.blend("wave"), blend.blend("starry_night=1")], "onnxruntime")
    assert len(made) == 1


def test_a_graph_that_gives_something_else_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(InputError, match="--runtime onnxruntime: its output differs from net"):
        exported_net.nets([model(RESIZE)], "onnxruntime")
    assert not (tmp_path / "cache" / "graphs").exists()


def test_without_a_cache_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXPERCEPT_CACHE", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    exported_net.nets([model(RESIZE)], "onnxruntime")
    assert not list(tmp_path.iterdir())


def test_tiles_and_tiny_images_run_in_jax(shipped):
    net = model(dataclasses.replace(RESIZE, norm="batch", blocks=0))  # one pass over the tiles
    (other,) = exported_net.nets([net], "onnxruntime")
    x = images.to_uint8(np.random.default_rng(0).random((80, 64, 3), np.float32))
    said = []
    tiled = tiles.run(other, x, 64, progress=said.append)
    np.testing.assert_array_equal(tiled, tiles.run(net, x, 64))
    assert said[0] == "net: tiles run in JAX"
    (other,) = exported_net.nets(shipped[2:], "onnxruntime")
    small = np.random.default_rng(0).random((1, 8, 12, 3), np.float32)  # too small for the graph
    np.testing.assert_array_equal(other(small), shipped[2](small))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_command_lines(runtime, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    images.save_image(photo, np.random.default_rng(0).random((47, 61, 3), np.float32))
    command = ["upscale", str(photo), "--model", "x4-pixel", "--no-match-histogram"]
    for out, given in (("a.png", []), ("b.png", ["--runtime", runtime])):
        assert cli.main([*command, "-o", str(tmp_path / out), *given], prog="infer.py") == 0
    said = capsys.readouterr().err
    assert {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}[runtime] in said
    assert "float32" in said
    made = [images.load_image(tmp_path / name) for name in ("a.png", "b.png")]
    np.testing.assert_allclose(*made, atol=1.01 / 255)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_films(runtime, tmp_path, capsys):
    source, style = tmp_path / "film.apng", save_style(tmp_path / "net.safetensors")
    first, *rest = (Image.fromarray(frame) for frame in pictures(3))
    first.save(source, "PNG", save_all=True, append_images=rest, duration=40)
    command = ["video", str(source), "--style", str(style)]
    for out, given in (("a.apng", []), ("b.apng", ["--runtime", runtime])):
        assert cli.main([*command, "-o", str(tmp_path / out), *given], prog="infer.py") == 0
    assert {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}[runtime] in (
        capsys.readouterr().err
    )
    with Image.open(tmp_path / "a.apng") as a, Image.open(tmp_path / "b.apng") as b:
        assert a.n_frames == b.n_frames == 3
        for index in range(3):
            a.seek(index), b.seek(index)
            pairs = [np.asarray(frame.convert("RGB"), np.int16) for frame in (a, b)]
            np.testing.assert_allclose(*pairs, atol=1)


@needs_openvino
def test_bfloat16(tmp_path):
    net = model(RESIZE)
    (single,) = exported_net.nets([net], "openvino", "float32")
    (half,) = exported_net.nets([net], "openvino", "bfloat16")
    assert single.loaded.about.endswith(", float32")
    assert half.loaded.about.endswith((", bfloat16", ", float32"))  # depends on the processor
    x = np.random.default_rng(0).random((1, 64, 48, 3), np.float32)
    assert np.abs(half(x) - single(x)).mean() < 4 / 255


@needs_openvino
@pytest.mark.parametrize(
    ("net", "start"),
    [
        (NETS["superres gated"], ENCODED),
        (NETS["paper"], ENCODED),
        (dataclasses.replace(RESIZE, styles=2), ENCODED),
        (dataclasses.replace(RESIZE, styles=2), PIXELS),
    ],
)
def test_the_two_parts_of_a_bfloat16_graph_compute_the_whole(net, start):
    from jaxpercept.interop.runtimes import openvino

    net = model(net)
    blend = [np.array([1, 3], np.float32)] if net.config.styles else []
    core = openvino.shared_core()
    parts = openvino.cut(export.onnx_bytes(net), start)
    first, rest = (core.compile_model(part, "CPU", openvino.FLOAT32) for part in parts)
    x = np.random.default_rng(0).random((2, 45, 50, 3), np.float32)
    found = rest([first([x, *blend])[0], x, *blend])[0]
    mixed = dataclasses.replace(net, mix=blend[0][None] / 4) if blend else net
    np.testing.assert_allclose(found, mixed(x), atol=1e-4)


@pytest.mark.parametrize("supported", [True, False])
def test_where_bfloat16_starts_is_measured_once_for_a_blend(supported, monkeypatch):
    """Nothing is kept on a processor without bfloat16, where every start is exact."""
    net = model(dataclasses.replace(RESIZE, styles=2))
    a, b = (dataclasses.replace(net, mix=row[None]) for row in np.eye(2, dtype=np.float32))
    starts, real, measured = [], exported_net._start, []

    def load(data, precision="float32", start=ENCODED):
        rounded = precision == "bfloat16" and supported
        starts.append((precision, start))
        wrong = 0.05 if rounded and start == PIXELS else 0.0
        return Loaded(lambda x, blend: x + wrong * blend[1], precision if rounded else "float32")

    def measure(*given):
        measured.append(given[0].mix.tolist())
        return real(*given)

    monkeypatch.setattr(exported_net.openvino, "load", load)
    monkeypatch.setitem(exported_net.LOAD, "openvino", load)
    monkeypatch.setattr(exported_net, "_start", measure)
    monkeypatch.setattr(export, "checked", lambda *given: 0.0)
    for _ in range(2):
        exported_net.nets([a, b, a], "openvino", "bfloat16")
    assert measured == [[[1, 0]], [[0, 1]]] * (1 if supported else 2)
    assert starts.count(("bfloat16", ENCODED)) == 2 * supported


@needs_openvino
def test_bfloat16_rounds_a_shipped_style_little():
    net = load_model("starry_night")
    (half,) = exported_net.nets([net], "openvino", "bfloat16")
    x = images.square(samples.sample_photos()["coffee"], 256)[None]
    apart = 255 * np.abs(half(x) - np.asarray(net(x)))
    assert apart.mean() <= 1
    assert np.quantile(apart, 0.999) <= 4


@pytest.mark.parametrize("command", ["stylize", "upscale", "video"])
def test_an_unknown_runtime_lists_the_known(command, capsys):
    assert cli.main([command, "x.jpg", "--runtime", "openvno"], prog="infer.py") == 2
    said = capsys.readouterr().err
    assert "did you mean openvino? Choose one of: jax, openvino, onnxruntime" in said


@pytest.mark.parametrize(
    ("runtime", "extra"), [("openvino", "openvino"), ("onnxruntime", "export")]
)
def test_what_is_not_installed_is_named(runtime, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, runtime, None)
    with pytest.raises(InputError, match=rf"not installed; pip install 'jaxpercept\[{extra}\]'"):
        exported_net.LOAD[runtime](b"")


def test_onnx_runtime_has_no_bfloat16():
    with pytest.raises(InputError, match="only in float32"):
        exported_net.LOAD["onnxruntime"](b"", "bfloat16")


INTERRUPTED = """
import gc, signal, sys
from jaxpercept.interop.runtimes import openvino
from jaxpercept.runtime import stopping
nets = [openvino.load(open(sys.argv[1], "rb").read()) for _ in range(2)]
while nets:
    del nets[0]
    gc.collect()
try:
    with stopping.interrupts():
        signal.raise_signal(signal.SIGTERM)
except stopping.Interrupted:
    print("in order")
"""


@needs_openvino
def test_a_signal_after_nets_were_dropped_ends_the_command_in_order(tmp_path):
    """The second of two dropped Cores used to put the freed signal stack of the first back."""
    graph = tmp_path / "net.onnx"
    graph.write_bytes(export.onnx_bytes(model(RESIZE)))
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(graph)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "in order\n"), ran.stderr
