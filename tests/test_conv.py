"""Every fast form equals the plain one, forward and gradient; the plain ones equal PyTorch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from quick import QUICK

from jaxpercept.nets import conv
from jaxpercept.nets.conv import stride1, winograd

pytestmark = pytest.mark.usefixtures("optimised")

ODD = (10, 13)
SLOW = pytest.mark.slow
CASES = {}
for k, i, o, stride, sizes in (
    (3, 5, 4, 1, ((12, 16), (9, 11), (4, 5))),
    (3, 4, 5, 1, (ODD,)),
    (3, 5, 4, 2, ((12, 16), (9, 11), (4, 5))),
    (9, 3, 4, 1, ((12, 16), ODD)),
    (9, 5, 3, 1, ((12, 16), ODD)),
    (1, 3, 4, 1, (ODD,)),
    (2, 3, 4, 1, (ODD,)),
):
    for padding in ("zero", "reflect", "valid"):
        for size in sizes:
            fn = partial(conv.conv2d, stride=stride, padding=padding)
            CASES[f"{k}x{k} {i}-{o} stride {stride} {padding} {size}"] = fn, (k, k, i, o), size
for size in ((6, 8), (5, 7)):
    for padding in ("zero", "reflect"):
        CASES[f"up {padding} {size}"] = (
            partial(conv.upsample_conv2d, padding=padding),
            (3, 3, 5, 4),
            size,
        )
    CASES[f"transposed {size}"] = conv.conv_transpose2d, (3, 3, 5, 4), size
CASES["9x9 reflected twice"] = partial(conv.conv2d, padding="reflect"), (9, 9, 3, 4), (4, 6)
CASES["pad 2"] = partial(conv.conv2d, pad=2), (3, 3, 3, 4), ODD
CASES["several blocks"] = conv.conv2d, (3, 3, 2, 3), (67, 70)


@pytest.fixture(autouse=True)
def _blocks(monkeypatch):
    """Makes small images take the blockwise weight gradient too; test_small_images tests the other
    way."""
    monkeypatch.setattr(stride1, "_SMALL", 0)


def relative(a, b):
    a, b = np.asarray(a), np.asarray(b)  # NumPy needs no compilation for each shape
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def inputs(shape, size, dtype):
    draws = np.random.default_rng(0)
    x, k, b = (draws.standard_normal(s) for s in ((2, *size, shape[2]), shape, shape[-1:]))
    return tuple(jnp.asarray(a, dtype) for a in (x, k, b))


def run(fn, arguments, fast):
    """Returns the output and the gradients of its product with a fixed cotangent. In float64 only
    the arithmetic matters, so compilation is quick."""
    options = QUICK if arguments[0].dtype == np.float64 else None
    with conv.forced(fast):

        @partial(jax.jit, compiler_options=options)
        def all_of_it(*arguments):
            y, pull = jax.vjp(fn, *arguments)
            return y, *pull((1.5 + jnp.cos(jnp.arange(y.size))).astype(y.dtype).reshape(y.shape))

        return all_of_it(*arguments)


@pytest.mark.parametrize("name", list(CASES))
def test_the_fast_form_is_the_plain_one(name):
    fn, shape, size = CASES[name]
    with jax.enable_x64(True):
        ours, plain = (run(fn, inputs(shape, size, np.float64), fast) for fast in (True, False))
        for a, b in zip(ours, plain, strict=True):
            assert (a.shape, a.dtype) == (b.shape, np.float64)
            assert relative(a, b) < 1e-12


@pytest.mark.parametrize(
    "name",
    [
        name if "reflect" in name or "several" in name else pytest.param(name, marks=SLOW)
        for name in CASES
        if str(ODD) in name or "up" in name or "several" in name
    ],
)
def test_and_in_float32(name):
    fn, shape, size = CASES[name]
    ours, plain = (run(fn, inputs(shape, size, np.float32), fast) for fast in (True, False))
    for a, b in zip(ours, plain, strict=True):
        assert a.shape == b.shape
        assert relative(a, b) < 1e-5


@pytest.mark.parametrize("channels", [(16, 32), pytest.param((48, 16), marks=SLOW)])
@pytest.mark.parametrize(
    ("size", "padding"),
    [
        ((12, 16), "zero"),
        ((9, 11), "valid"),
        ((4, 5), "zero"),
        ((10, 13), "reflect"),
        ((7, 14), "valid"),
    ],
)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(
    ("dtype", "allowed"), [(np.float64, 1e-12), pytest.param(np.float32, 5e-6, marks=SLOW)]
)
def test_winograd_s_form_is_the_plain_one(
    dtype, allowed, directions, size, padding, channels, monkeypatch
):
    """How it rounds in float32 is the next test's subject."""
    for least in ("_DEEP", "_LARGE", "_LONG"):
        monkeypatch.setattr(winograd, least, 0)
    if directions == 2:
        monkeypatch.setattr(winograd, "_DEEPEST", 0)
        monkeypatch.setattr(winograd, "_LONGEST", 0)
    with jax.enable_x64(dtype == np.float64):
        arguments = inputs((3, 3, *channels), size, dtype)
        assert winograd.suits(*arguments[:2])  # or both sides would be plain
        fn = partial(conv.conv2d, padding=padding)
        ours, plain = (run(fn, arguments, fast) for fast in (True, False))
    for a, b in zip(ours, plain, strict=True):
        assert a.shape == b.shape
        assert relative(a, b) < allowed


@pytest.mark.parametrize(
    ("form", "channels", "size"),
    [("along_rows", (64, 128), (33, 35)), ("multiplied", (128, 256), (33, 63))],
)
def test_deep_layers_take_winograd_s_form_and_it_rounds_little(form, channels, size, monkeypatch):
    """The error against float64 is a fifth of what the parity with PyTorch allows a whole net."""
    taken = []
    plain = getattr(winograd, form)
    monkeypatch.setattr(
        winograd, form, lambda x, *others: taken.append(x.shape[-1]) or plain(x, *others)
    )
    arguments = inputs((3, 3, *channels), size, np.float32)
    ours = run(conv.conv2d, arguments, True)
    assert taken == 6 * [channels[0]] + 6 * [channels[1]]
    with jax.enable_x64(True):
        exact = run(conv.conv2d, tuple(jnp.asarray(a, np.float64) for a in arguments), False)
        assert all(
            relative(a.astype(np.float64), b) < 2e-6 for a, b in zip(ours, exact, strict=True)
        )


def test_small_images(monkeypatch):
    monkeypatch.setattr(stride1, "_SMALL", 1024)
    arguments = inputs((3, 3, 5, 4), ODD, np.float32)
    for a, b in zip(
        run(conv.conv2d, arguments, True), run(conv.conv2d, arguments, False), strict=True
    ):
        assert relative(a, b) < 1e-5


@pytest.mark.parametrize("fast", [True, False])
def test_bfloat16_stays_and_is_accumulated_wider(fast):
    arguments = inputs((3, 3, 4, 4), (40, 64), jnp.bfloat16)
    exact = run(conv.conv2d, tuple(a.astype(np.float32) for a in arguments), False)
    for a, b in zip(run(conv.conv2d, arguments, fast), exact, strict=True):
        assert a.dtype == jnp.bfloat16
        assert (
            relative(a.astype(np.float32), b) < 1e-2
        )  # bfloat16 has 8 bits, and the cotangent is rounded too
    with conv.forced(fast):
        assert conv.max_pool2x2(arguments[0]).dtype == jnp.bfloat16


@pytest.mark.parametrize("fast", [pytest.param(True, marks=SLOW), False])
def test_torch(fast):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    f = torch.nn.functional

    def reflected(x, k, b):
        return f.conv2d(f.pad(x, (k.shape[-1] // 2,) * 4, mode="reflect"), k, b)

    def enlarged(x, k, b):
        return reflected(f.interpolate(x, scale_factor=2, mode="nearest"), k, b)

    transposed = partial(f.conv_transpose2d, stride=2, padding=1, output_padding=1)
    pairs = {
        "stride 2": (
            partial(conv.conv2d, stride=2),
            partial(f.conv2d, stride=2, padding=1),
            (3, 3, 5, 4),
        ),
        "9x9": (partial(conv.conv2d, padding="reflect"), reflected, (9, 9, 3, 4)),
        "up": (conv.upsample_conv2d, enlarged, (3, 3, 5, 4)),
        "transposed": (conv.conv_transpose2d, transposed, (3, 3, 5, 4)),
        "pool": (
            lambda x, k, b: conv.max_pool2x2(x),
            lambda x, k, b: f.max_pool2d(x, 2),
            (3, 3, 5, 4),
        ),
    }
    for name, (ours, theirs, shape) in pairs.items():
        with jax.enable_x64(True):
            arguments = inputs(shape, (7, 10), np.float64)
            y, dx, dk, db = (np.asarray(a) for a in run(ours, arguments, fast))
        axes = (2, 3, 0, 1) if name == "transposed" else (3, 2, 0, 1)
        x, k, b = (torch.tensor(np.asarray(a)) for a in arguments)
        x, k, b = x.permute(0, 3, 1, 2), k.permute(*axes), b
        for tensor in (x, k, b):
            tensor.requires_grad_()
        out = theirs(x, k, b)
        cotangent = 1.5 + np.cos(np.arange(y.size)).reshape(y.shape)
        out.backward(torch.tensor(cotangent).permute(0, 3, 1, 2))
        true = {"y": (y, out.detach().permute(0, 2, 3, 1)), "dx": (dx, x.grad.permute(0, 2, 3, 1))}
        if name != "pool":
            true |= {"dk": (dk.transpose(axes), k.grad), "db": (db, b.grad)}
        for what, (a, t) in true.items():
            np.testing.assert_allclose(
                a, t.numpy(), rtol=1e-10, atol=1e-10, err_msg=f"{name} {what}"
            )


def test_gradients_under_shard_map():
    """Uses the fast form, since the engines differentiate with check_vma=False and reduce
    explicitly."""
    x, k, _ = inputs((3, 3, 3, 4), (8, 9), np.float32)

    def gradient(x, k):
        return jax.grad(lambda k: jnp.sum(jnp.square(conv.conv2d(x, k, padding="reflect"))))(k)

    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
    split, one = PartitionSpec("data"), PartitionSpec()
    with conv.forced(True):
        mapped = jax.jit(
            jax.shard_map(
                lambda x, k: jax.lax.psum(gradient(x, k), "data"),
                mesh=mesh,
                in_specs=(split, one),
                out_specs=one,
                check_vma=False,
            )
        )
        assert relative(np.asarray(mapped(x, k)), np.asarray(gradient(x, k))) < 1e-5


def test_upsampling_is_nearest_then_convolution():
    x = jnp.arange(6.0).reshape(1, 2, 3, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    with conv.forced(True):
        y = conv.upsample_conv2d(x, kernel)[0, :, :, 0]
    np.testing.assert_allclose(y, np.kron(np.asarray(x[0, :, :, 0]), np.ones((2, 2))))


@pytest.mark.parametrize("fast", [True, False])
def test_max_pool_drops_the_odd_and_passes_the_gradient_to_the_first_maximum(fast):
    x = jnp.array([[1.0, 5.0, 9.0], [5.0, 2.0, 9.0], [9.0, 9.0, 9.0]]).reshape(1, 3, 3, 1)
    with conv.forced(fast):
        y, pull = jax.vjp(conv.max_pool2x2, x)
        np.testing.assert_allclose(y, [[[[5.0]]]])
        np.testing.assert_allclose(
            pull(jnp.ones_like(y))[0][0, :, :, 0], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
        )


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("size", [(6, 8), (7, 8), (9, 5)])
def test_same_padding_is_tensorflows(fast, size):
    """XLA's own SAME is TensorFlow's; the transposed convolution is given TensorFlow's filter, [h,
    w, out, in]."""
    random, dimensions = np.random.default_rng(0), ("NHWC", "HWIO", "NHWC")
    x, kernel = (
        jnp.asarray(random.normal(size=s), jnp.float32) for s in ((2, *size, 3), (3, 3, 3, 4))
    )
    with conv.forced(fast):
        strided = conv.conv2d(x, kernel, stride=2, padding="same")
        transposed = conv.conv_transpose2d(x, kernel, padding="same")
    expected = lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=dimensions)
    np.testing.assert_allclose(strided, expected, atol=1e-5)
    expected = lax.conv_transpose(x, kernel.swapaxes(2, 3), (2, 2), "SAME", transpose_kernel=True)
    np.testing.assert_allclose(transposed, expected, atol=1e-5)


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="zero, reflect, same or valid"):
        conv.conv2d(jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1)), padding="full")
