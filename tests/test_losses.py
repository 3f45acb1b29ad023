"""Losses by hand-computed values, symmetries and shape checks; equality with PyTorch is in
test_parity*.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpercept import losses
from jaxpercept.losses.motion import inside, stability_loss


def noise(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def test_feature_loss_is_the_mean_square_per_image():
    a = jnp.zeros((2, 3, 5, 7)).at[1].set(2.0)
    np.testing.assert_allclose(losses.feature_loss(a, jnp.zeros_like(a)), [0.0, 4.0])


def test_pixel_loss_counts_every_channel_and_pixel():
    a = jnp.zeros((1, 2, 2, 3)).at[0, 0, 0, 0].set(1.0)
    np.testing.assert_allclose(losses.pixel_loss(a, jnp.zeros_like(a)), [1 / 12])


def test_gram_matrix_by_hand():
    f = jnp.array([[[[1.0, 2.0], [3.0, 4.0]]]])  # (1, 1, 2, 2): two positions, two channels
    np.testing.assert_allclose(losses.gram_matrix(f)[0], np.array([[10.0, 14.0], [14.0, 20.0]]) / 4)


def test_gram_matrix_of_more_than_two_billion_products():
    features = jax.ShapeDtypeStruct((1, 6000, 8000, 64), jnp.float32)
    assert jax.eval_shape(losses.gram_matrix, features).shape == (1, 64, 64)


def test_gram_matrix_ignores_where_things_are():
    f = noise(0, 2, 6, 4, 5)
    turned = f[:, ::-1].transpose(0, 2, 1, 3)
    np.testing.assert_allclose(
        losses.gram_matrix(f), losses.gram_matrix(turned), rtol=1e-5, atol=1e-7
    )


def test_style_loss_does_not_depend_on_the_target_size():
    f = noise(1, 1, 4, 4, 3)
    tiled = jnp.tile(f, (1, 2, 3, 1))
    loss = losses.style_loss(losses.gram_matrix(f), losses.gram_matrix(tiled))
    np.testing.assert_allclose(loss, 0.0, atol=1e-12)


def test_style_conventions_differ_by_the_number_of_entries():
    g, s = noise(2, 3, 8, 8), noise(3, 1, 8, 8)
    paper, reference = (losses.style_loss(g, s, convention=c) for c in ("paper", "reference"))
    assert paper.shape == (3,)
    np.testing.assert_allclose(paper, 64 * reference, rtol=1e-6)


def test_total_variation_by_hand():
    x = jnp.array([[0.0, 1.0, 9.0], [2.0, 5.0, 9.0], [9.0, 9.0, 9.0]]).reshape(1, 3, 3, 1)
    # window of 2x2 corners: (1² + 2²) + (8² + 4²) + (3² + 7²) + (4² + 4²)
    np.testing.assert_allclose(losses.total_variation(x), [5 + 80 + 58 + 32])
    np.testing.assert_allclose(
        losses.total_variation(x, convention="reference"), [(5 + 80 + 58 + 32) / 2]
    )


def test_half_precision_inputs_are_summed_in_float32():
    a = jnp.full((1, 64, 64, 64), 0.1, jnp.bfloat16)
    assert losses.feature_loss(a, a).dtype == losses.gram_matrix(a).dtype == jnp.float32


@pytest.mark.parametrize("fn", [losses.feature_loss, losses.pixel_loss])
def test_different_shapes_are_refused_not_broadcast(fn):
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 3\) and \(1, 4, 4, 1\)"):
        fn(jnp.zeros((1, 4, 4, 3)), jnp.zeros((1, 4, 4, 1)))


def test_style_loss_refuses_another_batch_or_channel_count():
    for shape in [(2, 4, 4), (1, 5, 5), (4, 4)]:
        with pytest.raises(ValueError, match="do not match"):
            losses.style_loss(jnp.zeros((3, 4, 4)), jnp.zeros(shape))


def test_an_unknown_convention_lists_the_known():
    with pytest.raises(ValueError, match="paper or reference"):
        losses.total_variation(jnp.zeros((1, 4, 4, 3)), convention="lua")


def test_flat_counts_where_the_target_is_smooth():
    """The target has a step of 100 grey values between two even halves, and texture below."""
    target = np.full((1, 64, 64, 3), 0.3, np.float32)
    target[:, :, 32:] += 100 / 255
    target[:, 40:] += np.random.default_rng(0).normal(0, 0.1, (1, 24, 64, 1)).astype(np.float32)

    def loss(rows, columns):
        output = target.copy()
        output[:, rows, columns] += 0.01
        share = (output != target).mean()
        return float(losses.flat_loss(output, target)[0]) / (0.01 * share)

    assert loss(slice(0, 30), slice(0, 20)) == pytest.approx(1, rel=1e-3)  # an even surface
    assert loss(slice(0, 30), slice(30, 34)) < 1e-6  # beside the step
    assert loss(slice(50, 64), slice(0, 64)) < 1e-3  # texture
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[:, None, None] * np.ones((64, 3), np.float32)
    slope = float(losses.flat_loss(ramp[None] + 0.01, ramp[None])[0]) / 0.01
    assert slope > 0.9  # all of it, except the mirrored border


def test_hatch_sees_what_repeats_and_neither_texture_nor_colour():
    plain = jnp.zeros((1, 96, 96, 3))
    pattern = jnp.asarray(
        np.tile(np.random.default_rng(0).choice([-1.0, 1.0], (8, 8, 1)), (12, 12, 3))
    )[None]
    texture = jnp.asarray(np.random.default_rng(1).choice([-1.0, 1.0], (1, 96, 96, 3)))
    repeated = losses.hatch_loss(plain + pattern, plain)
    np.testing.assert_allclose(repeated, jnp.var(pattern[0, :8, :8, 0]), rtol=1e-5)  # all of it
    assert losses.hatch_loss(texture, plain) < 0.05 * repeated  # 1 / 36 of it
    np.testing.assert_allclose(losses.hatch_loss(plain + 0.5, plain), 0, atol=1e-6)
    with pytest.raises(ValueError, match="at least 8x8"):
        losses.hatch_loss(plain[:, :7], plain[:, :7])


def test_dark_counts_what_is_brighter_than_black_areas():
    """The target is black on the left and grey on the right."""
    target = np.zeros((1, 64, 64, 3), np.float32)
    target[:, :, 32:] = 0.5
    brighter = target + np.float32(0.3)
    half = 0.3**2 / 2  # of the cells
    np.testing.assert_allclose(losses.dark_loss(brighter, target), half, rtol=1e-5)
    assert losses.dark_loss(target - 0.3, target) == 0
    strokes = target.copy()
    strokes[:, ::16, :32] = 1  # a white line in each black cell: a mean of 1 / 16
    np.testing.assert_allclose(losses.dark_loss(strokes, target), (1 / 16) ** 2 / 2, rtol=1e-4)
    dim = np.maximum(target, 0.1)  # half as dark as counts
    np.testing.assert_allclose(losses.dark_loss(dim + np.float32(0.3), dim), half / 2, rtol=1e-4)
    with pytest.raises(ValueError, match="at least 16x16"):
        losses.dark_loss(target[:, :15], target[:, :15])


def test_weave_is_stripes_along_an_axis_on_a_smooth_target():
    """Stripes count in full, noise of the same deviation counts a fifth, and stripes hidden by
    texture count nothing."""
    weave_loss = jax.jit(losses.weave_loss)
    target = jnp.full((1, 96, 96, 3), 0.5)
    stripes = 0.01 * np.sin(2 * np.pi * np.arange(96) / 3)[:, None, None] * np.ones((96, 3))
    stripes = jnp.asarray(stripes, jnp.float32)[None]
    noise = np.random.default_rng(0).normal(0, 0.01 / np.sqrt(2), (1, 96, 96, 1)) * np.ones(3)
    found = weave_loss(target + stripes, target)
    np.testing.assert_allclose(found, 0.75 * jnp.abs(stripes).mean(), rtol=0.02)
    turned = weave_loss(target + stripes.swapaxes(1, 2), target)
    np.testing.assert_allclose(turned, found, rtol=1e-5)
    assert weave_loss(target + jnp.asarray(noise, jnp.float32), target) < 0.75 * found
    texture = target + 40 * jnp.asarray(noise, jnp.float32)
    assert weave_loss(texture + stripes, texture) < 1e-3 * found
    np.testing.assert_allclose(weave_loss(target + 0.1, target), 0, atol=1e-7)


FLOW = np.zeros((1, 8, 8, 2), np.float32)


@pytest.mark.parametrize(
    ("fn", "arrays", "said"),
    [
        (losses.pixel_loss, [np.zeros((1, 8, 8, 3), np.uint8)] * 2, "floats, got uint8"),
        (losses.dark_loss, [np.zeros((1, 16, 16, 3), np.uint8)] * 2, "divide uint8 images by 255"),
        (losses.feature_loss, [np.zeros((1, 8, 8, 3), np.complex64)] * 2, "floats, got complex64"),
        (losses.gram_matrix, [np.zeros((1, 8, 8, 3), np.int32)], "floats, got int32"),
        (losses.total_variation, [np.zeros((1, 8, 8, 3), np.uint8)], "floats, got uint8"),
        (losses.pixel_loss, [np.zeros((1, 0, 8, 3), np.float32)] * 2, "arrays with values"),
        (losses.flat_loss, [np.zeros((1, 8, 8, 1), np.float32)] * 2, r"\(N, H, W, 3\) of at least"),
        (losses.weave_loss, [np.zeros((1, 2, 8, 3), np.float32)] * 2, "of at least 4x4"),
        (losses.style_loss, [np.zeros((1, 3, 4), np.float32)] * 2, "do not match"),
        (losses.style_loss, [np.zeros((1, 3, 3), np.int32)] * 2, "style_loss: expected floats"),
        (losses.style_loss, [np.zeros((0, 3, 3), np.float32)] * 2, "arrays with values"),
        (losses.gram_matrix, [np.zeros((0, 8, 8, 3), np.float32)], "gram_matrix: .* with values"),
        (losses.gram_matrix, [np.zeros((1, 0, 8, 3), np.float32)], "gram_matrix: .* with values"),
        (losses.total_variation, [np.zeros((0, 8, 8, 3), np.float32)], "arrays with values"),
        (stability_loss, [np.zeros((1, 8, 8, 3), np.uint8)] * 4 + [FLOW], "floats, got uint8"),
        (stability_loss, [np.zeros((0, 8, 8, 3), np.float32)] * 4 + [FLOW[:0]], "with values"),
        (inside, [FLOW[0]], r"a flow \(N, H, W, 2\)"),
    ],
)
def test_arrays_that_would_give_a_wrong_number_are_refused(fn, arrays, said):
    with pytest.raises(ValueError, match=said):
        fn(*map(jnp.asarray, arrays))


@pytest.mark.filterwarnings("error")
def test_arrays_of_numpy_may_have_double_precision():
    image = np.random.default_rng(0).random((1, 16, 16, 3))
    for loss in (losses.pixel_loss, losses.flat_loss, losses.weave_loss, losses.dark_loss):
        assert loss(image, image).dtype == jnp.float32


def test_flicker_in_half_precision_is_summed_in_float32():
    """Sums in bfloat16 end at 256."""
    second, first = jnp.full((1, 64, 64, 3), 0.75), jnp.full((1, 64, 64, 3), 0.25)
    halves = [x.astype(jnp.bfloat16) for x in (second, first, first, first)]
    found = stability_loss(*halves, jnp.zeros((1, 64, 64, 2), jnp.bfloat16))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, 0.25, rtol=1e-6)
