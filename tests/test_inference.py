"""Batches by exact size, exact output sizes, partial failures."""

import functools

import jax
import numpy as np
import pytest
from helpers import noise, thin

from jaxpercept.errors import InputError
from jaxpercept.inference.batches import run_batches
from jaxpercept.inference.model import Model, load_model
from jaxpercept.nets import net_file, transform_net, weights_file


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    """Returns the file of a tiny net with random weights."""
    net = thin()
    path = tmp_path_factory.mktemp("styles") / "tiny.safetensors"
    net_file.save(path, net, *transform_net.init(net, seed=1), {"task": "style"})
    return path


@pytest.fixture(scope="module")
def model(style):
    return load_model(style)


def test_a_model_is_a_callable_clipped_to_the_range(model):
    x = np.stack([noise(0, 20, 24), noise(1, 20, 24)])
    y = model(x)
    apply = jax.jit(functools.partial(transform_net.apply, model.config))
    raw, _ = apply(model.params, model.stats, x)
    np.testing.assert_allclose(y, np.clip(raw, 0, 1), atol=1e-6)
    assert (model.name, model.header["task"]) == ("tiny", "style")
    assert len(repr(model)) < 1000  # not its weights, in a notebook or a message


def test_a_model_is_itself_alone_and_can_be_compiled(model, style):
    """It holds arrays, which have no truth value, so two models are compared by identity."""
    assert model == model
    assert model != load_model(style)
    assert len({model, model}) == 1
    x = noise(0, 20, 24)[None]
    np.testing.assert_allclose(jax.jit(model)(x), model(x), atol=1e-6)


def test_every_image_equals_its_single_run_and_sizes_compile_once(model, monkeypatch):
    sizes = [(20, 24), (24, 20), (20, 24), (20, 24), (17, 33), (20, 24), (20, 24)]
    items = [(i, noise(i, *size)) for i, size in enumerate(sizes)]
    shapes = []
    run = Model.__call__
    monkeypatch.setattr(Model, "__call__", lambda self, x: shapes.append(x.shape) or run(self, x))
    outputs = dict(run_batches(model, iter(items), 3))
    assert sorted(outputs) == list(range(7))
    assert sorted(shapes) == [
        (1, 17, 33, 3),
        (1, 24, 20, 3),
        (3, 20, 24, 3),
        (3, 20, 24, 3),
    ]  # the last has a copy
    for i, image in items:
        np.testing.assert_allclose(outputs[i], run(model, image[None])[0], atol=1 / 255 / 2)


def test_large_images_go_one_by_one(model, monkeypatch):
    monkeypatch.setattr("jaxpercept.inference.batches.BATCH_PIXELS", 20 * 24)
    counts = []
    monkeypatch.setattr(Model, "__call__", lambda self, x: counts.append(len(x)) or x)
    dict(run_batches(model, ((i, noise(i, 20, 24)) for i in range(3)), 8))
    assert counts == [1, 1, 1]


def test_what_waits_is_bounded(model, monkeypatch):
    monkeypatch.setattr("jaxpercept.inference.batches.WAITING_PIXELS", 3 * 20 * 24)
    shapes = []
    monkeypatch.setattr(Model, "__call__", lambda self, x: shapes.append(x.shape[:3]) or x)
    sizes = [(20, 24), (24, 20), (20, 24), (20, 23), *[(20, 24)] * 4]
    outputs = dict(run_batches(model, ((i, noise(i, *size)) for i, size in enumerate(sizes)), 4))
    assert sorted(outputs) == list(range(8))
    assert shapes == [
        (2, 20, 24),
        (2, 20, 24),
        (2, 20, 24),
        (1, 24, 20),
        (1, 20, 23),
    ]  # one batch length per size


def test_integers_are_refused(model):
    with pytest.raises(ValueError, match="got uint8; divide by 255"):
        model(np.zeros((1, 20, 24, 3), np.uint8))


def test_bfloat16_is_near(style, model):
    x = noise(3, 32, 32)[None]
    rough = load_model(style, precision="bfloat16")(x)
    assert rough.dtype == jax.numpy.float32
    assert 0 < float(np.abs(np.asarray(rough) - np.asarray(model(x))).mean()) < 4 / 255


def test_what_is_no_transform_net_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a transform net's weights file but 'vgg16'"):
        load_model(weights_file.resolve("vgg16-imagenet", "vgg"))
    with pytest.raises(InputError, match="neither a file nor a shipped name"):
        load_model("no-such-style")
