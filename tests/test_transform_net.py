"""Layer tables, sizes, ranges and initial behaviour of f_W. test_parity*.py tests equality with
PyTorch.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpercept.config import NET_PRESETS, RECIPES, TransformNetConfig
from jaxpercept.config.presets import SUPERRES_PRESETS, superres_net
from jaxpercept.errors import InputError
from jaxpercept.nets import layers, module, net_file, transform_net, weights_file

TINY = {name: net.scaled(0.125) for name, net in NET_PRESETS.items()}


@pytest.fixture
def spied(monkeypatch):
    """Returns a list that receives the height after every convolution."""
    seen = []

    def spy(original):
        def call(self, x):
            y = original(self, x)
            seen.append(y.shape[1])
            return y

        return call

    for kind in (layers.Conv, layers.UpConv):
        monkeypatch.setattr(kind, "__call__", spy(kind.__call__))
    return seen


def output_of(config, x, **kwargs):
    params, stats = transform_net.init(config)
    return transform_net.apply(config, params, stats, x, **kwargs)[0]


@pytest.mark.parametrize("name", ["paper", "reference"])
def test_the_papers_table_of_activation_sizes(spied, name):
    """Supplementary material, table 1: after padding 336; 336, 168, 84, blocks to 80 … 64, 128,
    256, 256."""
    jax.eval_shape(lambda x: output_of(TINY[name], x), jnp.zeros((1, 256, 256, 3)))
    assert spied == [336, 168, 84, 82, 80, 78, 76, 74, 72, 70, 68, 66, 64, 128, 256, 256]


def test_the_resize_nets_sizes(spied):
    jax.eval_shape(lambda x: output_of(TINY["resize"], x), jnp.zeros((1, 256, 256, 3)))
    assert spied == [256, 128, 64] + [64] * 10 + [128, 256, 256]


def count(config):
    return sum(int(np.prod(s)) for s in transform_net.shapes(config)[0].values())


def test_parameter_counts():
    """Counts by hand: kernels, biases if there are any, and a scale and shift per normed
    channel."""
    kernels = (
        81 * 3 * 32 + 9 * (32 * 64 + 64 * 128 + 10 * 128 * 128 + 128 * 64 + 64 * 32) + 81 * 32 * 3
    )
    normed = 32 + 64 + 128 + 10 * 128 + 64 + 32
    assert count(NET_PRESETS["resize"]) == kernels + 2 * normed + 3
    assert (
        count(NET_PRESETS["paper"])
        == count(NET_PRESETS["reference"])
        == kernels + 3 * normed + 3
        == 1_679_235
    )


@pytest.mark.parametrize("name", list(TINY))
@pytest.mark.parametrize("size", [(16, 16), (17, 30), (61, 44)])
def test_any_size_comes_back_exactly(name, size):
    params, stats = transform_net.init(TINY[name])
    x = jax.random.uniform(jax.random.key(0), (2, *size, 3))
    y = jax.jit(lambda p, x: transform_net.apply(TINY[name], p, stats, x)[0])(params, x)
    assert y.shape == x.shape
    assert bool(jnp.isfinite(y).all())


@pytest.mark.parametrize("name", list(TINY))
def test_a_fresh_net_is_not_saturated_and_every_parameter_learns(name):
    """A scaled tanh that starts in its flat part never leaves it, which shows as lasting black
    blobs."""
    config = NET_PRESETS[name].scaled(0.25)
    params, stats = transform_net.init(config)
    x = jax.random.uniform(jax.random.key(1), (2, 32, 32, 3))

    def loss(p):
        y = transform_net.apply(config, p, stats, x, train=True)[0]
        return jnp.square(y - x).mean(), y

    grads, y = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert 0.02 < float(y.std()) < 0.4
    assert float(jnp.mean((y > 0.02) & (y < 0.98))) > 0.9
    dead = [k for k, g in grads.items() if k.endswith("kernel") and float(jnp.abs(g).max()) < 1e-8]
    assert not dead


def test_a_linear_output_cannot_saturate():
    """Pushed far out of range, the default net's gradient is as large as in range. A tanh's would
    be zero."""
    config = TINY["resize"]
    params, stats = transform_net.init(config)
    x = jax.random.uniform(jax.random.key(1), (1, 16, 16, 3))

    gradient = jax.jit(jax.grad(lambda p: transform_net.apply(config, p, stats, x)[0].sum()))

    def slope(bias):
        return gradient(params | {"head.bias": params["head.bias"] + bias})["head.kernel"]

    np.testing.assert_allclose(slope(100.0), slope(0.0), rtol=1e-4, atol=1e-4)
    assert TINY["reference"].output == "vgg_tanh"


def test_batch_norm_trains_on_the_batch_and_infers_on_running_statistics():
    config = TINY["paper"]
    params, stats = transform_net.init(config)
    x = jax.random.uniform(jax.random.key(2), (2, 32, 32, 3))
    apply = jax.jit(functools.partial(transform_net.apply, config), static_argnames="train")
    _, new = apply(params, stats, x, train=True)
    assert set(new) == set(stats)
    assert all(float(jnp.abs(new[k] - stats[k]).max()) > 0 for k in stats)
    both, same = apply(params, new, x)
    assert all(bool((same[k] == new[k]).all()) for k in new)
    alone = apply(params, new, x[:1])[0]
    np.testing.assert_allclose(alone[0], both[0], atol=1e-5)


@pytest.mark.parametrize(
    "net",
    [
        *NET_PRESETS.values(),
        *(superres_net(4, preset) for preset in SUPERRES_PRESETS),
        dataclasses.replace(NET_PRESETS["resize"], styles=3, blocks=11, upsample="subpixel"),
        dataclasses.replace(NET_PRESETS["paper"], norm="none", head_norm=True),
        dataclasses.replace(NET_PRESETS["resize"], head_norm=True),
    ],
)
def test_the_shapes_are_those_of_the_module(net):
    """Their order counts as well: the parity cases draw arrays in it."""
    _, params, stats = module._structure(net)
    for state, found in zip((params, stats), transform_net.shapes(net), strict=True):
        wanted = {name: value.shape for name, value in module._flat(state).items()}
        assert list(found.items()) == list(wanted.items())


def test_our_own_preset_has_no_bias_before_a_norm():
    named = transform_net.shapes(NET_PRESETS["resize"])[0]
    assert [k for k in named if k.endswith("bias") and "norm" not in k] == ["head.bias"]


def test_the_vgg_space_is_bgr_less_the_mean():
    config = NET_PRESETS["reference"]
    x = jnp.asarray([[[[1.0, 0.5, 0.0]]]])
    np.testing.assert_allclose(
        transform_net.encode(config, x)[0, 0, 0],
        [-103.939, 127.5 - 116.779, 255 - 123.68],
        rtol=1e-5,
    )
    back = transform_net.decode(config, jnp.arctanh(transform_net.encode(config, x) / 150))
    np.testing.assert_allclose(back, x, atol=1e-5)


def test_bfloat16_compute_keeps_float32_outside():
    config = TINY["resize"]
    x = jax.random.uniform(jax.random.key(3), (1, 32, 32, 3))
    params, stats = transform_net.init(config)
    apply = jax.jit(functools.partial(transform_net.apply, config), static_argnames="dtype")
    exact, rough = apply(params, stats, x)[0], apply(params, stats, x, dtype=jnp.bfloat16)[0]
    assert rough.dtype == jnp.float32
    assert 0 < float(jnp.abs(exact - rough).max()) < 0.1


def test_a_seed_gives_the_numbers_it_always_gave():
    """They are those of a draw of a kernel's own shape, its key folded with the number of earlier
    draws."""
    kernel = np.asarray(transform_net.init(TINY["resize"], seed=3)[0]["stem.kernel"])
    key, bound = jax.random.fold_in(jax.random.key(3), 0), (9 * 9 * 3) ** -0.5
    plain = jax.random.uniform(key, kernel.shape, minval=-bound, maxval=bound)
    np.testing.assert_allclose(kernel, plain, atol=1e-7)  # exactly equal if compiled alike


def test_save_and_load_round_trip(tmp_path):
    config = TINY["paper"]
    params, stats = transform_net.init(config, seed=3)
    path = tmp_path / "net.safetensors"
    net_file.save(path, config, params, stats, {"task": "style"})
    read, params2, stats2, header = net_file.load(path)
    assert (read, header["task"]) == (config, "style")
    for k in params:
        np.testing.assert_allclose(params2[k], params[k], rtol=1e-3, atol=1e-6)
    assert all((stats2[k] == stats[k]).all() for k in stats)


def test_a_file_that_does_not_fit_its_config_names_every_key(tmp_path):
    config = TINY["resize"]
    params, stats = transform_net.init(config)
    params.pop("stem_norm.scale")
    params["extra"] = jnp.zeros(3)
    params["head.bias"] = jnp.zeros(4)
    net_file.save(tmp_path / "x.safetensors", config, params, stats, {})
    told = r"missing params\.stem_norm\.scale; misshapen params\.head\.bias; extra params\.extra;"
    with pytest.raises(InputError, match=told):
        net_file.load(tmp_path / "x.safetensors")


def test_values_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path):
    config, path = TINY["resize"], tmp_path / "x.safetensors"
    params, stats = transform_net.init(config)
    broken = params | {"head.bias": params["head.bias"].at[1].set(jnp.nan)}
    with pytest.raises(InputError, match=r"not finite in float16: params\.head\.bias"):
        net_file.save(path, config, broken, stats, {})
    assert not path.exists()
    net_file.save(path, config, params, stats, {})
    arrays, header = weights_file.read_weights(path)
    arrays["params.head.bias"] = np.full(3, np.nan, np.float16)
    weights_file.write_weights(path, arrays, header)
    with pytest.raises(InputError, match=r"not finite, or above .* in params\.head\.bias"):
        net_file.load(path)


def test_loading_refuses_a_header_without_a_net(tmp_path):
    config = TINY["resize"]
    params, stats = transform_net.init(config)
    net_file.save(tmp_path / "x.safetensors", config, params, stats, {"net": None})
    with pytest.raises(InputError, match="net is None, not a dict; the file is damaged"):
        net_file.load(tmp_path / "x.safetensors")


def test_bad_inputs_and_configs():
    with pytest.raises(ValueError, match="at least 16"):
        output_of(TINY["resize"], jnp.zeros((1, 15, 40, 3)))
    with pytest.raises(ValueError, match=r"\(N, H, W, 3\)"):
        output_of(TINY["resize"], jnp.zeros((1, 40, 40, 4)))
    with pytest.raises(InputError, match="instance, batch, none"):
        TransformNetConfig(norm="layer")
    with pytest.raises(InputError, match="width"):
        NET_PRESETS["paper"].scaled(0)


@pytest.mark.parametrize(
    ("style", "content", "weight", "tv", "size", "steps", "norm"),
    [
        ("candy", 1, 10, 1e-4, 384, 40_000, "instance"),
        ("composition_vii", 1, 5, 1e-6, 512, 60_000, "batch"),
        ("feathers", 1, 10, 1e-5, 180, 60_000, "instance"),
        ("la_muse", 0.5, 10, 1e-4, 512, 40_000, "instance"),
        ("mosaic", 1, 10, 1e-5, 512, 60_000, "instance"),
        ("starry_night", 1, 3, 1e-5, 512, 40_000, "batch"),
        ("the_scream", 1, 20, 1e-5, 384, 60_000, "instance"),
        ("the_wave", 1, 5, 1e-4, 512, 40_000, "batch"),
        ("udnie", 0.5, 10, 1e-6, 256, 40_000, "instance"),
    ],
)
def test_recipes_are_the_authors(style, content, weight, tv, size, steps, norm):
    recipe, net = RECIPES[style], NET_PRESETS["reference"]
    assert recipe["objective"].weights == {"content": content, "style": weight, "tv": tv}
    assert (recipe["style_size"], recipe["steps"]) == (size, steps)
    assert recipe["net"] == (
        dataclasses.replace(net, norm="batch") if norm == "batch" else net.scaled(0.5)
    )
