"""Sample photographs and the drawn style, without a download."""

import urllib.request

import numpy as np

from jaxpercept.images.samples import drawn_style, sample_photos


def test_the_photos_are_installed_files(monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", None)
    shapes = {name: x.shape for name, x in sample_photos().items()}
    assert shapes == {
        "chelsea": (300, 451, 3),
        "coffee": (400, 600, 3),
        "rocket": (427, 640, 3),
        "astronaut": (512, 512, 3),
    }
    assert all(
        x.dtype == np.float32 and 0 <= x.min() < x.max() <= 1 for x in sample_photos().values()
    )


def test_the_style_is_the_same_every_time_and_at_every_size():
    x = drawn_style(size=128)
    assert (x.shape, x.dtype) == ((128, 128, 3), np.float32)
    np.testing.assert_array_equal(x, drawn_style(size=128))
    assert np.abs(x - drawn_style(seed=1, size=128)).mean() > 0.05
    half = drawn_style(size=256).reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(x - half).mean() < 0.04


def test_the_style_has_dark_lead_a_warm_sky_and_a_blue_sea():
    x = drawn_style(size=192)
    assert 0.1 < (x.max(-1) < 0.25).mean() < 0.45
    sky, sea = x[:96].mean((0, 1)), x[144:].mean((0, 1))
    assert sky[0] > 1.5 * sky[2]
    assert sea[2] > 1.3 * sea[0]
