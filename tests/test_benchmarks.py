"""The other contenders of the benchmarks, on machines without a GPU."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import bfloat16, command, layers_model, rows, runtimes, style_table
from benchmarks.__main__ import OTHER_PRECISION, compare
from benchmarks.worker import OURS
from jaxpercept.errors import InputError
from jaxpercept.files import results
from jaxpercept.nets.conv import winograd
from weights import dark_photos

COMMANDS = sorted(
    path.stem
    for path in Path(command.__file__).parent.glob("*.py")
    if "\ndef main(" in path.read_text() and path.stem != "worker"  # other modules have no options
)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def peers(torch):
    from benchmarks import peers

    return peers


@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_of_the_commands_has_bounds(name, monkeypatch):
    """Otherwise negative rounds and sizes of 0 end in tracebacks."""
    if name == "lbfgs":  # it compares with PyTorch's
        pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setenv("XLA_FLAGS", "")  # which an import may set
    found = []

    def parse(parser, *_):
        found.extend(parser._actions)
        raise SystemExit

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(SystemExit):
        importlib.import_module(f"benchmarks.{name}").main()
    assert not [a.option_strings for a in found if a.type in (int, float) and not a.choices]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--rounds -1", "argument --rounds: -1 is not allowed; give at least 1"),
        ("--side 0", "argument --side: 0 is not allowed; give at least 16"),
        ("--rounds x", "argument --rounds: invalid int value: 'x'"),
        ("--share nan", "argument --share: nan is not allowed; give at least 0 and at most 1"),
    ],
)
def test_a_number_beyond_its_bounds_is_one_line(words, said, capsys):
    parser = command.parser("")
    parser.add_argument("--rounds", type=command.COUNT)
    parser.add_argument("--side", type=command.SIDE)
    parser.add_argument("--share", type=command.number(float, least=0, most=1))
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_peers_objective_is_built_where_its_style_image_is(torch):
    from benchmarks import torch_modules

    # "meta" refuses to mix with the CPU as a GPU does
    made = rows.train_config(rows.named("train-style-256-b4")).objective
    objective = torch_modules.Objective(made, torch.zeros(1, 3, 64, 64, device="meta"))
    assert {value.device.type for value in (*objective.parameters(), *objective.buffers())} == {
        "meta"
    }


def test_errors_are_counted_in_steps_of_255():
    expected = [np.zeros((1, 20, 50, 3), np.float32), np.ones((1, 8, 8, 3), np.float32)]
    found = [image.copy() for image in expected]
    found[0][0, 0, 0] = 51 / 255
    seen = runtimes.errors(found, expected)
    assert seen["largest"] == pytest.approx(51, rel=1e-5)
    assert seen["mean"] == pytest.approx(3 * 51 / (3000 + 192), rel=1e-5)
    assert seen["p999"] <= 51


@pytest.mark.parametrize("directions", [1, 2])
def test_the_trial_of_bfloat16_puts_its_products_in_place(directions, monkeypatch):
    if directions == 2:
        monkeypatch.setattr(winograd, "_DEEPEST", 0)
        monkeypatch.setattr(winograd, "_LONGEST", 0)
    found = bfloat16.compare(*bfloat16._layer(32, 32, 32), seconds=0.01)
    assert 1e-4 < found["mean_error"] < 0.01


@pytest.mark.parametrize("peer", ["openvino", "mnn"])
def test_exported_peers_give_what_torch_gives(torch, peers, tmp_path, peer):
    package = {"openvino": "openvino", "mnn": "MNN"}[peer]
    if find_spec(package) is None:  # not importorskip: imported so, OpenVINO forks to report that
        pytest.skip(f"needs {peer}: pip install {package}")
    module = torch.nn.Conv2d(3, 4, 3).eval()
    x = torch.rand(1, 3, 16, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.onnx.export without dynamo
        if peer == "mnn":
            found = peers._mnn(module, x, 1, tmp_path / "net.mnn")()
        else:
            found = peers._openvino(module, x, 1, as_it_comes=False)()
    expected = module(x).detach().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_neither_another_precision_nor_our_own_code_is_the_best_peer():
    times = {
        OURS: [2.0, 2.0],
        "torch": [4.0, 5.0],
        OTHER_PRECISION: [1.0, 1.0],
        f"{OURS}, jax 1.0, Python 3.99": [1.0, 1.0],
    }
    found = compare(times)
    assert (found["best_peer"], found["ratio"]) == ("torch", 2.25)
    assert found["ratios"] == dict(zip(list(times)[1:], (2.25, 0.5, 0.5), strict=True))


def test_a_net_is_level_with_the_first_iteration_that_is_as_good():
    losses = [9.0, 5.0, 3.0, 4.0, 2.0]
    assert [style_table.level(losses, goal) for goal in (9.0, 4.9, 3.0, 1.0)] == [0, 2, 2, np.inf]


def test_the_table_of_styles_has_medians_and_says_what_was_not_reached():
    def unit(net):
        scores = {"content": 1.0, "style": 2.0, "tv": 0.0, "lpips": 0.25}
        nets = {"wave": {"loss": net, **scores}}
        return {
            "losses": [9.0, 5.0, 3.0],
            "nets": nets,
            "optimised": {"2": {"loss": 3.0, **scores}},
        }

    photos = {"a.jpg": unit(4.0), "b.jpg": unit(6.0)}
    lines = style_table.markdown({"units": {"wave": photos}}).splitlines()[2:]
    assert lines == [
        "| wave | `wave` | 5 | 1 | 2 | 0.250 | 1.5 |",
        "| wave | L-BFGS, 2 iterations | 3 | 1 | 2 | 0.250 | 2 |",
    ]
    photos["b.jpg"] = unit(2.0)
    photos["c.jpg"] = unit(1.0)
    assert "| over 2 |" in style_table.markdown({"units": {"wave": photos}})


def test_figures_made_with_other_settings_are_not_continued(tmp_path):
    path, made, empty = str(tmp_path / "table.json"), {"settings": {"size": 64}}, {"units": {}}
    assert command.kept(path, made, empty) == command.kept(None, made, empty) == made | empty
    command.keep(path, made | {"units": {"wave": {}}})
    assert command.kept(path, made, empty)["units"] == {"wave": {}}
    with pytest.raises(InputError, match=r"other settings \(settings\)"):
        command.kept(path, {"settings": {"size": 128}}, empty)


def test_result_files_have_six_digits_and_one_line(tmp_path):
    path = tmp_path / "made" / "x.json"
    command.keep(str(path), {"a": [1 / 3, (2, 1e-7 / 3)], "b": {"psnr": math.inf}, "c": 123456789})
    told = '{"a":[0.333333,[2,3.33333e-08]],"b":{"psnr":"inf"},"c":123456789}\n'
    assert path.read_text() == told


def test_committed_results_are_what_a_rerun_writes(root):
    folder = root / "docs" / "results"
    for path in {*folder.rglob("*.json")} - {folder / "styles" / "table.json"}:  # from before
        text = path.read_text()
        assert text == results.encoded(json.loads(text)), f"{path}: write it by files.results"
    for path in folder.rglob("*.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            assert line == results.encoded(json.loads(line)), f"{path}: write it by files.results"


def test_a_net_of_no_known_style_is_named(tmp_path):
    from jaxpercept import images
    from jaxpercept.nets import shipped

    images.save_image(tmp_path / "candy.png", np.zeros((16, 16, 3), np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "singles", lambda: [])
        with pytest.raises(InputError, match=r"--net cand=x.safetensors: give STYLE=FILE.*candy"):
            style_table.nets_by_style((str(tmp_path),), ["cand=x.safetensors"])
        one = SimpleNamespace(header={"style": {"file": "a.png", "sha256": "0"}})
        patch.setattr(shipped, "singles", lambda: ["one"])
        patch.setattr(style_table, "load_model", lambda name: one)
        with pytest.raises(InputError, match=r"the style image of one .a.png, sha256 0"):
            style_table.nets_by_style((str(tmp_path),), [])


def test_a_users_mistake_ends_a_benchmark_in_one_line(root):
    for path in (root / "benchmarks").glob("*.py"):
        begun = path.read_text().partition('if __name__ == "__main__":')[2]
        assert " main()" not in begun, f"{path.name}: give main to errors.reporting"


def test_a_broken_photo_is_named_by_dark_photos(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    out = ["--out", str(tmp_path / "dark")]
    monkeypatch.setattr(sys, "argv", ["dark_photos", "--photos", str(tmp_path), *out])
    with pytest.raises(InputError, match=r"a\.jpg: not an image"):
        dark_photos.main()


def test_a_net_of_tensorflow_js_is_run_as_its_graph_says(tmp_path):
    def layer(kind, name, *sources, **config):
        nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
        return {"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes}

    conv = {"strides": [1, 1], "padding": "same", "activation": "linear"}
    layers = [
        layer("InputLayer", "x"),
        layer("Conv2D", "a", "x", **conv),
        layer("Activation", "r", "a", activation="relu"),
        layer("Concatenate", "c", "x", "r", axis=3),
        layer("Add", "s", "c", "c"),
        layer("UpSampling2D", "up", "s", size=[2, 3], interpolation="nearest"),
    ]
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 1)).astype(np.float32)
    bias = np.array([0.25], np.float32)
    (tmp_path / "a.bin").write_bytes(kernel.tobytes() + bias.tobytes())
    entries = [
        {"name": "a/kernel", "shape": [3, 3, 2, 1], "dtype": "float32"},
        {"name": "a/bias", "shape": [1], "dtype": "float32"},
    ]
    config = {"layers": layers, "output_layers": [["up", 0, 0]]}
    found = {
        "modelTopology": {"model_config": {"config": config}},
        "weightsManifest": [{"paths": ["a.bin"], "weights": entries}],
    }
    (tmp_path / "model.json").write_text(json.dumps(found))
    run, weights = layers_model.load(tmp_path / "model.json")
    assert weights == 19
    x = np.random.default_rng(1).normal(size=(1, 4, 5, 2)).astype(np.float32)
    padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    plain = [
        [(padded[i : i + 3, j : j + 3] * kernel[..., 0]).sum() for j in range(5)] for i in range(4)
    ]
    relu = np.maximum(np.array(plain) + 0.25, 0)[..., None]
    expected = 2 * np.concatenate([x[0], relu], -1).repeat(2, 0).repeat(3, 1)
    np.testing.assert_allclose(run(x)[0], expected, atol=1e-5)
    found["modelTopology"]["model_config"]["config"]["layers"][2]["config"]["activation"] = "tanh"
    (tmp_path / "model.json").write_text(json.dumps(found))
    run, _ = layers_model.load(tmp_path / "model.json")
    with pytest.raises(ValueError, match="layer r: Activation with these settings is not known"):
        run(x)
