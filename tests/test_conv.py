"""Every fast form equals the plain one, forward and gradient; the plain ones equal PyTorch in test_parity*.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpercept import conv

CASES = {
    "3x3 zero": (lambda x, k, b: conv.conv2d(x, k, b, padding="zero"), (3, 3, 5, 4)),
    "3x3 reflect": (lambda x, k, b: conv.conv2d(x, k, b, padding="reflect"), (3, 3, 5, 4)),
    "3x3 valid": (lambda x, k, b: conv.conv2d(x, k, b, padding="valid"), (3, 3, 5, 4)),
    "3x3 stride 2 zero": (lambda x, k, b: conv.conv2d(x, k, b, stride=2, padding="zero"), (3, 3, 5, 4)),
    "3x3 stride 2 reflect": (lambda x, k, b: conv.conv2d(x, k, b, stride=2, padding="reflect"), (3, 3, 5, 4)),
    "9x9 from 3 zero": (lambda x, k, b: conv.conv2d(x, k, b, padding="zero"), (9, 9, 3, 4)),
    "9x9 from 3 reflect": (lambda x, k, b: conv.conv2d(x, k, b, padding="reflect"), (9, 9, 3, 4)),
    "9x9 to 3 zero": (lambda x, k, b: conv.conv2d(x, k, b, padding="zero"), (9, 9, 5, 3)),
    "9x9 to 3 reflect": (lambda x, k, b: conv.conv2d(x, k, b, padding="reflect"), (9, 9, 5, 3)),
    "up reflect": (lambda x, k, b: conv.upsample_conv2d(x, k, b, padding="reflect"), (3, 3, 5, 4)),
    "up zero": (lambda x, k, b: conv.upsample_conv2d(x, k, b, padding="zero"), (3, 3, 5, 4)),
    "transposed": (conv.conv_transpose2d, (3, 3, 5, 4)),
}


def relative(a, b):
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


@pytest.mark.parametrize("size", [(12, 16), (9, 11), (5, 6)])
@pytest.mark.parametrize("name", list(CASES))
def test_the_fast_form_is_the_plain_one(name, size):
    fn, shape = CASES[name]
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (2, *size, shape[2]))
    k = jax.random.normal(keys[1], shape)
    b = jax.random.normal(keys[2], shape[-1:])

    def run(fast):
        with conv.forced(fast):
            y, pull = jax.vjp(fn, x, k, b)
            return y, *pull(jax.random.normal(keys[3], y.shape))

    for ours, plain in zip(run(True), run(False), strict=True):
        assert ours.shape == plain.shape
        assert relative(ours, plain) < 1e-5


def test_upsampling_is_nearest_then_convolution():
    x = jnp.arange(6.0).reshape(1, 2, 3, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    with conv.forced(True):
        y = conv.upsample_conv2d(x, kernel)[0, :, :, 0]
    np.testing.assert_allclose(y, np.kron(np.asarray(x[0, :, :, 0]), np.ones((2, 2))))


def test_max_pool_drops_the_odd_and_passes_the_gradient_to_the_maximum():
    x = jnp.array([[1.0, 5.0, 9.0], [3.0, 2.0, 9.0], [9.0, 9.0, 9.0]]).reshape(1, 3, 3, 1)
    y, pull = jax.vjp(conv.max_pool2x2, x)
    np.testing.assert_allclose(y, [[[[5.0]]]])
    np.testing.assert_allclose(pull(jnp.ones_like(y))[0][0, :, :, 0], [[0, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="zero, reflect or valid"):
        conv.conv2d(jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1)), padding="same")
