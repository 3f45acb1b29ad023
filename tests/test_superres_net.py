"""The super-resolution nets: the paper's layer table, parameter counts, sizes, initial behaviour,
and training pairs.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers import save_noise

from jaxpercept import config, data, images
from jaxpercept.config import superres_net
from jaxpercept.errors import InputError
from jaxpercept.images import resampling
from jaxpercept.nets import layers, net_file, surgery, transform_net
from jaxpercept.training import loop
from jaxpercept.training.start import init_state


def count(net):
    return sum(int(np.prod(shape)) for shape in transform_net.shapes(net)[0].values())


def run(net, x):
    params, stats = transform_net.init(net)
    return transform_net.apply(net, params, stats, x)[0]


def test_parameter_counts_of_the_paper():
    """Counts kernels, biases of all convolutions, and batch norm's scale and shift, without its
    running statistics."""
    stem, head = 81 * 3 * 64 + 64 + 2 * 64, 81 * 64 * 3 + 3
    block = 2 * (9 * 64 * 64 + 64 + 2 * 64)
    up = 9 * 64 * 64 + 64 + 2 * 64
    assert count(superres_net(4, "paper")) == stem + 4 * block + 2 * up + head == 401_859
    assert count(superres_net(8, "paper")) - count(superres_net(4, "paper")) == up == 37_056
    assert count(superres_net(4, "paper")) - count(superres_net(2, "paper")) == up
    _, stats = transform_net.shapes(superres_net(4, "paper"))
    assert sum(int(np.prod(shape)) for shape in stats.values()) == 2 * 64 * (1 + 8 + 2)


def test_the_papers_layer_table(monkeypatch):
    """Supplementary, table 2: 72 to 288 for ×4, 36 to 288 for ×8."""
    seen = []

    def spy(original):
        def call(self, x):
            y = original(self, x)
            seen.append((y.shape[1], y.shape[3]))
            return y

        return call

    for kind in (layers.Conv, layers.UpConv):
        monkeypatch.setattr(kind, "__call__", spy(kind.__call__))
    jax.eval_shape(lambda x: run(superres_net(4, "paper"), x), jnp.zeros((1, 72, 72, 3)))
    assert seen == [(72, 64)] * 9 + [(144, 64), (288, 64), (288, 3)]
    seen.clear()
    jax.eval_shape(lambda x: run(superres_net(8, "paper"), x), jnp.zeros((1, 36, 36, 3)))
    assert seen == [(36, 64)] * 9 + [(72, 64), (144, 64), (288, 64), (288, 3)]


@pytest.mark.parametrize("scale", config.SCALES)
@pytest.mark.parametrize("preset", config.SUPERRES_PRESETS)
def test_sizes_are_exact_at_any_size(scale, preset):
    net = superres_net(scale, preset).scaled(0.125)
    assert net.scale == scale
    shape = jax.eval_shape(lambda x: run(net, x), jnp.zeros((1, 9, 11, 3))).shape
    assert shape == (1, 9 * scale, 11 * scale, 3)


def test_best_is_small():
    """It has 354,672 parameters at ×4; its head makes scale² phases."""
    assert count(superres_net(4)) == 9 * 3 * 48 + 48 + 16 * (9 * 48 * 48 + 48) + 9 * 48 * 48 + 48
    assert max(count(superres_net(scale)) for scale in config.SCALES) <= 700_000


def test_gated_is_small():
    """The ninth block has 41,568 parameters, and each gate 48."""
    assert count(superres_net(4, "gated")) == count(superres_net(4)) + 41_568 + 9 * 48 == 396_672


def perturbed(net, seed):
    random = np.random.default_rng(seed)
    return {
        name: value + 0.2 * random.standard_normal(value.shape).astype(np.float32)
        for name, value in transform_net.init(net)[0].items()
    }


def test_a_best_net_grows_into_a_gated_one_of_the_same_function():
    small, large = (superres_net(4, p).scaled(0.125) for p in ("best", "gated"))
    params = perturbed(small, 0)
    grown = surgery.grown(small, params, large)
    x = np.random.default_rng(1).random((1, 12, 10, 3)).astype(np.float32)
    before, _ = transform_net.apply(small, params, {}, x)
    after, _ = transform_net.apply(large, grown, {}, x)
    np.testing.assert_array_equal(after, before)
    other = dataclasses.replace(large, input="raw")
    assert surgery.grown(small, params, other) is None
    assert surgery.grown(large, grown, small) is None


@pytest.mark.parametrize("scale", [2, 8])
def test_a_net_grows_into_one_of_another_scale(scale):
    """Without the bicubic part, its result is the other's, enlarged or thinned out by nearest
    neighbour."""
    old, new = (superres_net(s).scaled(0.125) for s in (4, scale))
    params = perturbed(old, 0)
    x = np.random.default_rng(1).random((1, 12, 10, 3)).astype(np.float32)
    before, after = (
        np.asarray(transform_net.apply(net, p, {}, x)[0])
        - np.asarray(resampling.upsample(jnp.asarray(x), net.scale))
        for net, p in ((old, params), (new, surgery.grown(old, params, new)))
    )
    wide = resampling.imresize(before, after.shape[1:3], "nearest") if scale > 4 else None
    expected = before[:, ::2, ::2] if wide is None else wide
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_training_starts_from_a_smaller_net(tmp_path):
    recipe = config.superres_recipe(4, "gated")
    small, large = superres_net(4).scaled(0.125), recipe["net"].scaled(0.125)
    params = perturbed(small, 0)
    file = tmp_path / "small.safetensors"
    net_file.save(file, small, params, {}, {"task": "superres"}, dtype=np.float32)
    made = config.TrainConfig(**recipe | {"net": large, "data": ("x",), "init": str(file)})
    state, _ = init_state(made)
    assert {k: v.shape for k, v in state.params.items()} == transform_net.shapes(large)[0]
    np.testing.assert_array_equal(
        state.params["blocks.0.conv1.kernel"], params["blocks.0.conv1.kernel"]
    )


def test_the_gate_is_the_change_clipped():
    """Compares one block, and one channel of it with the formula by hand."""
    rngs = nnx.Rngs(0)
    convs = [layers.Conv(4, 4, 3, padding="zero", bias=True, rngs=rngs) for _ in range(2)]
    parts = convs[0], layers.Identity(), convs[1], layers.Identity()
    plain, gated = layers.ResidualBlock(*parts), layers.ResidualBlock(*parts, gate=4)
    gated.gate[...] = jnp.array([0.0, 0.5, -1.0, 2.0])
    x = 8 * jax.random.normal(jax.random.key(0), (1, 5, 5, 4))
    total = plain(x)
    change = jnp.clip(total - x, -1, 1)
    assert float(jnp.abs(total - x).max()) > 1
    expected = total * (1 + jnp.array([[[[0.0, 0.5, -1.0, 2.0]]]]) * change)
    np.testing.assert_allclose(gated(x), expected, rtol=1e-5, atol=1e-5)


def test_best_adds_to_the_bicubic_upsample():
    net = superres_net(4).scaled(0.125)
    params, stats = transform_net.init(net)
    params = params | {
        "head.kernel": 0 * params["head.kernel"],
        "head.bias": 0 * params["head.bias"],
    }
    x = np.random.default_rng(0).random((1, 12, 10, 3)).astype(np.float32)
    y, _ = jax.jit(functools.partial(transform_net.apply, net))(params, stats, x)
    np.testing.assert_allclose(y, resampling.upscale(x, 4), atol=2e-6)


def test_best_sees_no_further_than_its_receptive_field():
    """Tiles rely on this overlap: 2 pixels per block and one each for the ends."""
    net = superres_net(2).scaled(0.125)
    reach = 2 * net.blocks + 2
    x = np.random.default_rng(1).random((1, 8, 2 * reach + 9, 3)).astype(np.float32)
    other = x.copy()
    other[:, :, -1] += 1
    difference = np.abs(run(net, jnp.asarray(x)) - run(net, jnp.asarray(other))).max((0, 1, 3))
    assert (difference[: 2 * (x.shape[2] - 1 - reach)] == 0).all()
    assert difference[-1] > 0


def test_head_channels_are_phases():
    x = jnp.arange(2 * 3 * 18, dtype=jnp.float32).reshape(1, 2, 3, 18)
    y = layers.depth_to_space(x, 3)
    assert y.shape == (1, 6, 9, 2)
    np.testing.assert_array_equal(y[0, 4, 8], x[0, 1, 2, 2 * (3 * 1 + 2) :][:2])


def test_presets_that_are_not():
    with pytest.raises(InputError, match=r"scale 3.*2, 4, 8"):
        superres_net(3)
    with pytest.raises(InputError, match="preset 'huge'"):
        superres_net(4, "huge")
    with pytest.raises(InputError, match=r"loss 'gan'.*feature, pixel"):
        config.superres_recipe(4, "best", "gan")
    with pytest.raises(InputError, match="odd"):
        dataclasses.replace(superres_net(4), stem_size=4)
    with pytest.raises(InputError, match="linear"):
        dataclasses.replace(superres_net(4), output="tanh")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    save_noise(folder, [f"{i}.png" for i in range(5)], 40, 48)
    images.save_image(folder / "small.png", np.zeros((20, 48, 3), np.float32))
    return folder


@pytest.mark.parametrize("degradation", resampling.DEGRADATIONS)
@pytest.mark.parametrize("workers", [0, 1])
def test_pairs_belong_together(photos, degradation, workers):
    choices = {"scale": 4, "degradation": degradation, "image_size": 32, "batch_size": 3, "seed": 5}
    source = data.open_sources([photos])
    stream = data.make_pairs(source, **choices, workers=workers)
    batches = [next(stream) for _ in range(4)]
    assert stream.get_state()["step"] == 4
    assert {name.rsplit("/", 1)[-1] for name in stream.too_small} == {"small.png"}
    stream.close()
    for batch in batches:
        assert batch["target"].shape == (3, 32, 32, 3)
        clean = resampling.degrade(
            batch["target"], 4, "bicubic" if degradation == "jpeg" else degradation
        )
        if degradation == "jpeg":
            assert 1 < np.abs(batch["input"].astype(int) - clean).mean() < 60
        else:
            np.testing.assert_array_equal(batch["input"], clean)
    again = data.make_pairs(source, **choices)
    again.set_state({"step": 3})
    np.testing.assert_array_equal(next(again)["input"], batches[3]["input"])
    again.close()


def test_a_patch_whose_input_is_too_small_for_the_net():
    """Else the net itself raised, after the run's folder was made."""
    with pytest.raises(InputError, match=r"image_size 56 is too small .* give at least 64"):
        config.TrainConfig(task="superres", net=superres_net(8), image_size=56)
    config.TrainConfig(task="superres", net=superres_net(8), image_size=64)


def test_a_patch_that_the_scale_does_not_divide(photos):
    with pytest.raises(InputError, match="image_size 30 is not a multiple of the scale 4; use 28"):
        data.make_pairs(data.open_sources([photos]), scale=4, image_size=30, batch_size=1, seed=0)


@pytest.mark.parametrize(
    "preset",
    [
        n if n == "best" else pytest.param(n, marks=pytest.mark.slow)
        for n in config.SUPERRES_PRESETS
    ],
)
def test_training_leaves_a_model_and_learns(photos, tmp_path, preset):
    recipe = config.superres_recipe(4, preset, "pixel")
    recipe |= {
        "net": recipe["net"].scaled(0.1),
        "steps": 8,
        "batch_size": 4,
        "image_size": 32,
        "log_every": 1,
    }
    run = config.TrainConfig(
        **(recipe | {"data": (str(photos),), "out": str(tmp_path / "run"), "preview_every": 8})
    )
    lines = []
    path = loop.train(run, on_log=lines.append)
    assert lines[-1]["loss"] < lines[0]["loss"]
    net, params, stats, header = net_file.load(path)
    assert net.scale == 4
    assert header["task"] == "superres"
    assert header["training"]["config"]["degradation"] == recipe["degradation"]
    assert (tmp_path / "run" / "previews" / "00000008.jpg").exists()
    apply = functools.partial(transform_net.apply, net)
    assert jax.eval_shape(apply, params, stats, jnp.zeros((1, 8, 9, 3)))[0].shape == (1, 32, 36, 3)
