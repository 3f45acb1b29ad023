"""The other contenders of the benchmarks, on machines without a GPU."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks import rows, runtimes


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def peers(torch):
    from benchmarks import peers

    return peers


def test_the_peers_objective_is_built_where_its_style_image_is(torch, peers):
    # "meta" refuses to mix with the CPU as a GPU does
    made = rows.train_config(rows.named("train-style-256-b4")).objective
    objective = peers.Objective(made, torch.zeros(1, 3, 64, 64, device="meta"))
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


def test_exported_peers_give_what_torch_gives(torch, peers, tmp_path):
    if find_spec("openvino") is None:  # not importorskip: imported so, it would fork to report that
        pytest.skip("needs OpenVINO: pip install 'jaxpercept[openvino]'")
    module = torch.nn.Conv2d(3, 4, 3).eval()
    x = torch.rand(1, 3, 16, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.onnx.export without dynamo
        found = peers._openvino(module, x, 1, as_it_comes=False)()
    expected = module(x).detach().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
