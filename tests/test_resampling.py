"""Our resampling compared with a transcription of MATLAB's documented algorithm and with measured
baselines.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpercept import images
from jaxpercept.evaluation import metrics
from jaxpercept.images import damage, resampling, samples


def matlab_axis(column, new):
    """Computes imresize of one axis, pixel by pixel in MATLAB's 1-based terms: independent and
    slow."""

    def cubic(x):
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    n = len(column)
    scale = new / n
    width = 4 / min(scale, 1)
    mirror = list(range(1, n + 1)) + list(range(n, 0, -1))
    out = []
    for i in range(1, new + 1):
        u = i / scale + 0.5 * (1 - 1 / scale)
        left = math.floor(u - width / 2)
        total = weighted = 0.0
        for k in range(left, left + math.ceil(width) + 2):
            w = min(scale, 1) * cubic(min(scale, 1) * (u - k))
            total += w
            weighted = weighted + w * column[mirror[(k - 1) % (2 * n)] - 1]
        out.append(weighted / total)
    return np.array(out)


@pytest.mark.parametrize(
    ("size", "new"),
    [
        ((16, 24), (4, 6)),
        ((5, 7), (20, 28)),
        ((9, 12), (3, 8)),
        ((8, 8), (64, 64)),
        ((3, 2), (12, 8)),
    ],
)
def test_bicubic_is_matlabs(size, new):
    x = np.random.default_rng(0).random((*size, 3))
    expected = np.swapaxes(matlab_axis(np.swapaxes(matlab_axis(x, new[0]), 0, 1), new[1]), 0, 1)
    np.testing.assert_allclose(
        resampling.imresize(x, new), expected, atol=1e-6
    )  # weights are float32


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(3, 5), (16, 9)])
def test_the_jax_upsample_is_the_numpy_one(factor, size):
    x = np.random.default_rng(1).random((2, *size, 3)).astype(np.float32)
    y = jax.jit(lambda x: resampling.upsample(x, factor))(x)
    np.testing.assert_allclose(y, resampling.upscale(x, factor), atol=2e-6)


def test_the_jax_upsample_is_differentiable_and_keeps_its_type():
    x = jnp.ones((1, 4, 4, 3), jnp.bfloat16)
    assert resampling.upsample(x, 4).dtype == jnp.bfloat16
    gradient = jax.grad(lambda x: resampling.upsample(x, 2).sum())(jnp.ones((1, 4, 4, 3)))
    np.testing.assert_allclose(gradient, 4, rtol=1e-5)  # every pixel is shared out whole


@pytest.mark.parametrize("method", resampling.METHODS)
def test_a_constant_stays_constant(method):
    x = np.full((8, 12, 3), 0.3, np.float32)
    np.testing.assert_allclose(resampling.upscale(x, 4, method), 0.3, atol=1e-6)
    np.testing.assert_allclose(resampling.imresize(x, (2, 3), method), 0.3, atol=1e-6)


def test_nearest_repeats_pixels():
    x = np.random.default_rng(2).integers(0, 256, (3, 4, 3), np.uint8)
    np.testing.assert_array_equal(resampling.upscale(x, 4, "nearest"), x.repeat(4, 0).repeat(4, 1))


def test_the_blur_is_scipys_gaussian():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = np.random.default_rng(3).random((24, 16, 3))
    blurred = ndimage.gaussian_filter(x, (1, 1, 0), mode="reflect", radius=(4, 4, 0))
    np.testing.assert_allclose(
        resampling.degrade(x, 4, "blur"), resampling.imresize(blurred, (6, 4)), atol=1e-6
    )


def test_uint8_is_rounded_and_batches_are_images():
    x = np.random.default_rng(4).integers(0, 256, (2, 16, 24, 3), np.uint8)
    y = resampling.degrade(x, 8)
    assert y.shape == (2, 2, 3, 3)
    assert y.dtype == np.uint8
    wide = np.clip(resampling.degrade(x.astype(np.float64), 8), 0, 255)
    assert np.abs(wide - y).max() <= 0.5 + 1e-3
    np.testing.assert_array_equal(resampling.degrade(x[1], 8), y[1])


def test_jpeg_damage_is_decided_by_the_generator():
    x = images.to_uint8(samples.sample_photos()["coffee"])[:64, :96]
    first, again, other = (
        resampling.degrade(x, 4, "jpeg", np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (16, 24, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    clean = resampling.degrade(x, 4).astype(int)
    assert 1 < np.abs(first - clean).mean() < 20
    middle = resampling.degrade(np.stack([x, x]), 4, "jpeg")
    np.testing.assert_array_equal(middle[0], middle[1])
    np.testing.assert_array_equal(middle[0], resampling.degrade(x, 4, "jpeg"))


def test_jpeg_damage_spans_its_ranges(monkeypatch):
    seen = []
    save = damage.Image.Image.save
    monkeypatch.setattr(
        damage.Image.Image,
        "save",
        lambda self, *args, **how: (seen.append(how), save(self, *args, **how))[1],
    )
    grey = np.full((8, 8, 3), 128, np.uint8)
    spread = [damage.worsen(grey, np.random.default_rng(seed)).std() for seed in range(60)]
    assert {how["subsampling"] for how in seen} == {0, 2}
    assert 30 <= min(how["quality"] for how in seen) < 40
    assert 85 < max(how["quality"] for how in seen) <= 95
    assert min(spread) < 1
    assert 3 < max(spread) < 8
    sigmas = {damage.blur_sigma(np.random.default_rng(seed)) for seed in range(60)}
    assert min(sigmas) < 0.3
    assert 1.7 < max(sigmas) <= 2
    assert damage.blur_sigma(None) == 1


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="uint8 of three channels"):
        resampling.degrade(np.zeros((8, 8, 3)), 4, "jpeg")
    with pytest.raises(ValueError, match="divisible"):
        resampling.degrade(np.zeros((9, 8, 3)), 4)
    with pytest.raises(ValueError, match="bicubic"):
        resampling.degrade(np.zeros((8, 8, 3)), 4, "no-such")
    with pytest.raises(ValueError, match="lanczos"):
        resampling.imresize(np.zeros((8, 8, 3)), (4, 4), "no-such")
    assert resampling.modcrop(np.zeros((9, 14, 3)), 4).shape == (8, 12, 3)


# PSNR of bicubic upscaling on luma: the literature's numbers (×4: 28.42 and 26.00) and those of the
# data's manifest.
@pytest.mark.parametrize(
    ("folder", "scale", "degradation", "expected"),
    [
        ("Set5", 4, "bicubic", 28.43),
        ("Set14", 4, "bicubic", 26.00),
        ("Set5", 8, "bicubic", 24.40),
        ("Set14", 8, "bicubic", 23.09),
        ("Set5", 4, "blur", 27.91),
        ("Set14", 4, "blur", 25.65),
    ],
)
def test_the_literatures_baselines(real_data, folder, scale, degradation, expected):
    found = []
    for path in images.list_images(real_data / "sr" / folder):
        target = resampling.modcrop(images.load_uint8(path), scale)
        output = resampling.upscale(resampling.degrade(target, scale, degradation), scale)
        luma = (lambda x: x.mean(-1)) if images.is_grey(path) else (lambda x: metrics.luma(x / 255))
        pair = [metrics.crop_border(luma(x), scale) for x in (output, target)]
        found.append(metrics.psnr(*pair, data_range=255))
    assert np.mean(found) == pytest.approx(expected, abs=0.02)
