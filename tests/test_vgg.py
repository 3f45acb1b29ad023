"""The loss network with the shipped weights. test_parity*.py tests equality with PyTorch."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpercept.config import VGG_LAYERS
from jaxpercept.errors import InputError
from jaxpercept.images.samples import sample_photos
from jaxpercept.nets import conv, vgg, weights_file
from jaxpercept.nets.conv import winograd

FEATURES = jax.jit(lambda phi, x: vgg.vgg_features(phi, x, VGG_LAYERS))


@pytest.fixture(scope="module")
def phi():
    return vgg.load_vgg16()


def test_activations_have_vgg16s_names_and_shapes(phi):
    assert len(VGG_LAYERS) == 13
    features = jax.eval_shape(
        lambda x: vgg.vgg_features(phi, x, VGG_LAYERS), jnp.zeros((2, 50, 64, 3))
    )
    assert features["relu1_2"].shape == (2, 50, 64, 64)
    assert features["relu3_3"].shape == (2, 12, 16, 256)
    assert features["relu5_3"].shape == (2, 3, 4, 512)


def test_nothing_deeper_than_asked_is_computed(phi):
    with conv.forced(False):
        text = str(
            jax.make_jaxpr(lambda x: vgg.vgg_features(phi, x, ["relu2_1"]))(
                jnp.zeros((1, 16, 16, 3))
            )
        )
    assert text.count("conv_general_dilated") == 3


def test_preprocessing_is_imagenets_in_bgr(phi):
    """Computes relu1_1 of a constant image in NumPy from the stored BGR kernel and the file's own
    numbers."""
    arrays, header = weights_file.read_weights(weights_file.resolve("vgg16-imagenet", "vgg"))
    assert header["channel_order"] == "BGR"
    np.testing.assert_allclose(header["mean"], [103.939, 116.779, 123.68])
    rgb = np.array([0.9, 0.5, 0.1])
    bgr = 255 * rgb[::-1] - header["mean"]
    kernel, bias = (arrays[f"conv1_1.{n}"].astype(np.float64) for n in ("kernel", "bias"))
    expected = np.maximum(np.einsum("hwio,i->o", kernel, bgr) + bias, 0)
    image = jnp.broadcast_to(jnp.asarray(rgb, jnp.float32), (1, 8, 8, 3))
    found = vgg.vgg_features(phi, image, ["relu1_1"])["relu1_1"][0, 4, 4]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_features_of_a_photo_are_sparse_and_alive(phi):
    cat = jnp.asarray(sample_photos()["chelsea"][:128, :128])[None]
    features = FEATURES(phi, cat)
    for name, f in features.items():
        alive = float((f > 0).mean())
        assert 0.02 < alive < 0.9, f"{name}: {alive:.0%} of the activations are positive"


def test_too_small_an_image_says_which_layers_fit(phi):
    with pytest.raises(
        InputError, match="too small for relu4_3; the layers that fit: relu1_1, relu1_2, relu2_1"
    ):
        vgg.vgg_features(phi, jnp.zeros((1, 4, 4, 3)), ["relu1_2", "relu4_3"])


def test_an_unknown_layer_lists_the_known(phi):
    with pytest.raises(InputError, match="relu1_1, relu1_2"):
        vgg.vgg_features(phi, jnp.zeros((1, 16, 16, 3)), ["conv1_1"])


def test_a_file_of_something_else_is_refused(tmp_path):
    weights_file.write_weights(
        tmp_path / "x.safetensors", {"a": np.zeros(3, np.float32)}, {"kind": "other"}
    )
    with pytest.raises(InputError, match="not a VGG-16 weights file"):
        vgg.load_vgg16(tmp_path / "x.safetensors")


def test_float16_weights_move_every_feature_by_less_than_a_thousandth(phi, root):
    """Compares with the original float32 weights, whose activations are in tests/golden."""
    spec = importlib.util.spec_from_file_location(
        "make", root / "tests" / "golden" / "make_vgg_float32.py"
    )
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    photo = jnp.asarray(sample_photos()["chelsea"][None, :96, 100:196])
    features = FEATURES(phi, photo)
    with np.load(root / "tests" / "golden" / "vgg_float32.npz") as golden:
        for name, exact in golden.items():
            error = np.linalg.norm(make.spread(features[name]) - exact) / np.linalg.norm(exact)
            assert 1e-6 < error < 1e-3, f"{name}: {error:.1e}"


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_integers_are_refused(phi, dtype):
    with pytest.raises(ValueError, match=r"floats, got u?int\d+; divide by 255"):
        vgg.vgg_features(phi, np.zeros((1, 16, 16, 3), dtype), ["relu1_1"])


def test_layers_are_any_names_or_one(phi):
    x = jnp.zeros((1, 16, 16, 3))
    assert [*vgg.vgg_features(phi, x, (name for name in ["relu1_1", "relu2_2"]))] == [
        "relu1_1",
        "relu2_2",
    ]
    assert [*vgg.vgg_features(phi, x, "relu2_2")] == ["relu2_2"]


def test_prepared_parameters_give_the_same_features_and_gradients(phi, monkeypatch):
    """Only the deep kernels are prepared, and only up to the layers asked for."""
    prepared = vgg.prepared(phi, ["relu3_2"])
    added = set(prepared) - set(phi)
    assert added == {f"conv3_{i}.tap{tap}" for i in (1, 2) for tap in range(6)}
    monkeypatch.setattr(winograd, "_LONGEST", 0)
    untouched, used = winograd._taps, []
    monkeypatch.setattr(winograd, "_taps", lambda k: used.append(k) or untouched(k))
    x = jnp.asarray(np.random.default_rng(0).random((1, 128, 128, 3), np.float32))

    def value(phi, x):
        return (vgg.vgg_features(phi, x, ["relu3_2"])["relu3_2"] ** 2).mean()

    found, gradient = jax.jit(jax.value_and_grad(value, argnums=1))(prepared, x)
    assert not used
    expected, plain = jax.jit(jax.value_and_grad(value, argnums=1))(phi, x)
    assert used
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, plain, rtol=1e-3, atol=1e-5 * float(abs(plain).max()))
