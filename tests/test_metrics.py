"""PSNR and SSIM against scikit-image; luma against MATLAB's numbers."""

import numpy as np
import pytest
import skimage  # its parts on first use

from jaxpercept import images
from jaxpercept.evaluation import metrics
from jaxpercept.images import samples


def pairs():
    random = np.random.default_rng(0)
    noise = random.random((40, 33))
    yield "noise", noise, random.random((40, 33))
    yield "close", noise, np.clip(noise + 0.05 * random.standard_normal(noise.shape), 0, 1)
    photo = images.resize(next(iter(samples.sample_photos().values())), 96, "short")
    yield "photo", photo, np.clip(photo + 0.1 * random.standard_normal(photo.shape), 0, 1)
    yield "smallest", noise[:11, :11], noise[:11, 11:22]


@pytest.mark.parametrize(
    ("name", "a", "b"), list(pairs()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_they_are_scikit_images(name, a, b):
    axis = 2 if a.ndim == 3 else None
    assert metrics.psnr(a, b) == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(a, b, data_range=1)
    )
    expected = skimage.metrics.structural_similarity(
        np.asarray(a, np.float64),
        np.asarray(b, np.float64),
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=axis,
    )
    assert metrics.ssim(a, b) == pytest.approx(expected, abs=1e-10)


def test_units_do_not_matter():
    _, a, b = next(pairs())
    assert metrics.psnr(255 * a, 255 * b, data_range=255) == pytest.approx(metrics.psnr(a, b))
    assert metrics.ssim(255 * a, 255 * b, data_range=255) == pytest.approx(metrics.ssim(a, b))


def test_equal_images():
    a = np.full((12, 12), 0.5)
    assert metrics.psnr(a, a) == float("inf")
    assert metrics.ssim(a, a) == pytest.approx(1)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ValueError, match="psnr: expected images with pixels"):
        metrics.psnr(np.zeros((0, 3)), np.zeros((0, 3)))


def test_luma_is_matlabs_rgb2ycbcr():
    """Compares with rgb2ycbcr for black, white, red, green and blue in double precision, times
    255."""
    x = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(metrics.luma(x), [16, 235, 81.481, 144.553, 40.966], atol=1e-4)


def test_the_border_is_left_out():
    a = np.zeros((20, 24, 3))
    b = a.copy()
    b[:4] = b[:, -4:] = 1
    assert metrics.psnr(metrics.crop_border(a, 4), metrics.crop_border(b, 4)) == float("inf")
    assert np.isfinite(metrics.psnr(metrics.crop_border(a, 3), metrics.crop_border(b, 3)))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        metrics.psnr(np.zeros((4, 4)), np.zeros((4, 1)))
    with pytest.raises(ValueError, match="smaller than"):
        metrics.ssim(np.zeros((10, 40)), np.zeros((10, 40)))
    for metric in (metrics.psnr, metrics.ssim):
        with pytest.raises(ValueError, match="got uint8; divide both images by 255"):
            metric(np.zeros((12, 12)), np.zeros((12, 12), np.uint8))
    with pytest.raises(ValueError, match="leaves nothing"):
        metrics.crop_border(np.zeros((8, 8)), 4)
    with pytest.raises(ValueError, match="RGB"):
        metrics.luma(np.zeros((8, 8)))
