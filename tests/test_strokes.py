"""The size of strokes: the size that the net sees, and the result in the photo's own size."""

import numpy as np
import pytest

from jaxpercept import config, images
from jaxpercept.errors import InputError
from jaxpercept.inference import strokes
from jaxpercept.inference.flow import Task, process
from jaxpercept.inference.treatment import Treatment


class Darker:
    """A net that halves what it sees, and remembers its size."""

    name, config = "darker", config.NET_PRESETS["resize"]

    def __init__(self):
        self.seen = []

    def __call__(self, x):
        self.seen.append(x.shape[1:3])
        return x / 2


@pytest.mark.parametrize(
    ("stroke", "size", "seen"),
    [
        (None, (600, 800), (600, 800)),
        (None, (1280, 960), (1280, 960)),  # 1.6 times 800 stays as it is
        (None, (1600, 1200), (800, 600)),
        (None, (3024, 4032), (604, 806)),  # at most five times
        (None, (2000, 8000), (400, 1600)),
        (1.0, (3024, 4032), (3024, 4032)),
        (2.0, (100, 50), (50, 25)),
        (2.5, (300, 400), (120, 160)),
    ],
)
def test_what_the_net_sees(stroke, size, seen):
    assert strokes.seen_size(stroke, *size) == seen


@pytest.mark.parametrize("size", [(25, 1400), (50, 20_000), (16, 3000), (9, 3000)])
def test_a_long_photo_keeps_the_least_side_of_the_net(size):
    seen = strokes.seen_size(None, *size, 16)
    assert seen[0] == min(size[0], 16)
    assert seen[1] == pytest.approx(size[1] * seen[0] / size[0], abs=0.5)


@pytest.mark.parametrize(("text", "stroke"), [("auto", None), ("1", 1.0), ("2.5", 2.5)])
def test_what_the_option_means(text, stroke):
    assert strokes.wanted(text) == stroke


@pytest.mark.parametrize("text", ["0.5", "33", "big", "nan", ""])
def test_what_the_option_does_not_take(text):
    with pytest.raises(InputError, match=f"^stroke {text} is not allowed; give auto, or a factor"):
        strokes.wanted(text)


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.setattr(strokes, "SEEN", 32)
    x = np.linspace(0, 1, 97, dtype=np.float32)
    picture = np.broadcast_to(x[None, :, None], (61, 97, 3))
    images.save_image(tmp_path / "photo.png", picture)
    return tmp_path / "photo.png"


def paint(photo, **how):
    net, out = Darker(), photo.with_name("out.png")
    job = process([Task(photo, "photo", out)], Treatment(grain=0.0, **how), net)
    assert not job.failed
    return net.seen, images.load_image(out)


@pytest.mark.parametrize("enlarged_by", ["the shipped net", "Lanczos"])
def test_the_picture_has_the_photo_s_size(photo, monkeypatch, enlarged_by):
    if enlarged_by == "Lanczos":
        monkeypatch.setattr(strokes, "enlarger", lambda: None)
    seen, picture = paint(photo, stroke=None)
    assert seen == [(20, 32)]
    expected = images.load_image(photo) / 2
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).mean() < 0.01


def test_factor_1_and_small_photos_are_left_alone(photo, monkeypatch):
    seen, whole = paint(photo, stroke=1.0)
    assert seen == [(61, 97)]
    monkeypatch.setattr(strokes, "SEEN", 61)
    seen, small = paint(photo, stroke=None)
    assert seen == [(61, 97)]
    np.testing.assert_array_equal(small, whole)


def test_strength_mixes_with_the_whole_photo(photo):
    _, picture = paint(photo, stroke=3.0, strength=0.0)
    np.testing.assert_allclose(picture, images.load_image(photo), atol=1 / 254)


def test_too_few_pixels_for_a_stroke(photo):
    job = process([Task(photo, "photo", photo.with_name("o.png"))], Treatment(stroke=8.0), Darker())
    assert "12x8 is too small" in job.failed[0]
    assert "a smaller --stroke" in job.failed[0]


def test_the_limit_of_pixels_counts_what_is_made_on_the_way(photo):
    """97x61 is seen as 48x30, and enlarged to 192x120."""
    at_most = {"stroke": 2.0, "max_pixels": 192 * 120}
    assert paint(photo, **at_most)[0] == [(30, 48)]
    fails = Treatment(stroke=2.0, max_pixels=192 * 120 - 1)
    job = process([Task(photo, "photo", photo.with_name("o.png"))], fails, Darker())
    assert "photo: 97x61 would become 192x120 before it is reduced, 23,040" in job.failed[0]
    assert "shrink it, give another --stroke or raise --max-pixels" in job.failed[0]
