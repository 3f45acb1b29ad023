"""Nets between the two shipped nets of a scale, and the mean of eight views."""

import dataclasses

import numpy as np
import pytest

from jaxpercept import config
from jaxpercept.errors import InputError
from jaxpercept.inference.model import Model
from jaxpercept.inference.sharpness import Ensemble, chosen, sharpened
from jaxpercept.inference.upscaling import load_upscaler
from jaxpercept.nets import net_file, transform_net

NET = config.superres_net(4).scaled(0.1)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    for seed, name in enumerate(("x4-pixel", "x4-feature")):
        file = tmp_path / "superres" / f"{name}.safetensors"
        net_file.save(file, NET, transform_net.init(NET, seed)[0], {}, {"task": "superres"})
    monkeypatch.setenv("JAXPERCEPT_WEIGHTS", str(tmp_path))
    return tmp_path


def test_sharpness_runs_from_the_pixel_net_to_the_feature_net(shelf):
    pixel, feature = (load_upscaler(n) for n in ("x4-pixel", "x4-feature"))
    for at, end in ((0, pixel), (1, feature)):
        params = sharpened(4, at).params
        assert all((params[k] == v).all() for k, v in end.params.items())
    made = sharpened(4, 0.25)
    assert made.name == "x4-sharpness-0.25"
    for name, value in made.params.items():
        expected = 0.75 * pixel.params[name] + 0.25 * feature.params[name]
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_a_scale_without_a_feature_net_takes_the_nets_of_the_next(shelf):
    net = config.superres_net(2).scaled(0.1)
    file = shelf / "superres" / "x2-pixel.safetensors"
    net_file.save(file, net, transform_net.init(net)[0], {}, {"task": "superres"})
    assert chosen(None, 2, None).name == "x2-pixel"
    assert chosen(None, 2, 0.5).name == "x4-sharpness-0.5"


def test_what_sharpness_cannot_be(shelf):
    with pytest.raises(InputError, match=r"0 \(softest\) to 1 \(sharpest\)"):
        sharpened(4, 1.5)
    with pytest.raises(InputError, match="x8-pixel and x8-feature; shipped nets of scale 8: none"):
        sharpened(8, 0.5)
    other = dataclasses.replace(NET, blocks=2)
    file = shelf / "superres" / "x4-feature.safetensors"
    net_file.save(file, other, transform_net.init(other)[0], {}, {"task": "superres"})
    with pytest.raises(InputError, match="different shapes"):
        sharpened(4, 0.5)


def test_an_ensemble_does_not_care_how_the_image_is_turned():
    """The net alone does."""
    params, stats = transform_net.init(NET)
    params = {k: 3 * v for k, v in params.items()}
    net = Model("net", NET, params, stats, {})
    x = np.random.default_rng(0).random((2, 9, 13, 3), np.float32)
    for ask, equal in ((net, False), (Ensemble(net), True)):
        y = np.asarray(ask(x))
        turned = np.rot90(np.asarray(ask(np.rot90(x, 1, (1, 2)).copy())), -1, (1, 2))
        mirrored = np.asarray(ask(x[:, :, ::-1].copy()))[:, :, ::-1]
        assert y.shape == (2, 36, 52, 3)
        for other in (turned, mirrored):
            assert (np.abs(y - other).max() < 1e-5) == equal


def test_an_ensemble_of_an_equivariant_net_is_the_net():
    """The net gives the bicubic enlargement, which no turn changes."""
    params, stats = transform_net.init(NET)
    net = Model("net", NET, {k: 0 * v for k, v in params.items()}, stats, {})
    x = np.random.default_rng(1).random((1, 8, 11, 3), np.float32)
    np.testing.assert_allclose(Ensemble(net)(x), net(x), atol=2e-6)
    assert Ensemble(net).name == "net-ensemble"
