"""Runs steps of one tiny training in many ways, for test_parallel.py and, in other processes, for
distributed_worker.py. The result of a run is flat: `loss` (steps,), `gradient.NAME` of the first
step, `params.NAME`.
"""

import dataclasses
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
from helpers import tiny

from jaxpercept.config import ObjectiveConfig, TrainConfig
from jaxpercept.losses import objective
from jaxpercept.nets import transform_net, vgg
from jaxpercept.training import engines
from jaxpercept.training.start import init_state
from jaxpercept.training.step import make_step

SIZE, BATCH, STEPS = 20, 4, 20
LAYERS = ("relu1_1",)


def make_config(engine="shard_map", **kwargs):
    """Returns a config with batch norm, so that statistics also have to be reduced. There is no
    bias before it: its true gradient is zero, and Adam would move it by rounding noise. Small
    kernels and shallow features compile in seconds."""
    weights = {"content": 1.0, "style": 5.0, "tv": 1e-4}
    terms = ObjectiveConfig(weights=weights, content_layers=LAYERS, style_layers=LAYERS)
    net = tiny("paper", bias=False, start_padding=0)
    return TrainConfig(
        net=net, objective=terms, batch_size=BATCH, image_size=SIZE, engine=engine, **kwargs
    )


def batches(count, part=(0, 1)):
    """Returns the same global batches everywhere, or the part `(i, n)` of each."""
    random = np.random.default_rng(0)
    rows = slice(part[0] * BATCH // part[1], (part[0] + 1) * BATCH // part[1])
    return [
        random.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)[rows] for _ in range(count)
    ]


@lru_cache
def phi(dtype):
    return {name: np.asarray(value, dtype) for name, value in vgg.load_vgg16().items()}


@lru_cache
def grams(dtype):
    style = np.random.default_rng(9).random((1, 40, 40, 3)).astype(dtype)
    made = jax.jit(lambda p, x: objective.style_targets(p, x, LAYERS))(phi(dtype), style)
    return jax.tree.map(np.asarray, made)


def first_state(config, dtype):
    state, _ = init_state(config)
    return jax.tree.map(
        lambda x: np.asarray(x, dtype if x.dtype == jnp.float32 else x.dtype), state
    )


def mapped(config, devices, steps, dtype="float64"):
    """Runs the engine. After one step, Adam's first moment is a tenth of the gradient, so this
    compares gradients, not Adam's updates."""
    engine = engines.make_engine(config.engine, BATCH, devices)
    step = engine.compile(make_step(config, objective.make_terms(config.objective)), 2)
    constants = [engine.replicate(tree) for tree in (phi(dtype), grams(dtype))]
    state, losses, out = engine.replicate(first_state(config, dtype)), [], {}
    for batch in batches(steps, (jax.process_index(), jax.process_count())):
        state, metrics = step(state, {"target": engine.shard(batch)}, *constants)
        losses.append(float(engine.unreplicate(metrics)["loss"]))
        if not out:
            first = engine.unreplicate(state).opt_state[0].mu
            out = {f"gradient.{k}": np.asarray(v) * 10 for k, v in first.items()}
    params = {f"params.{k}": np.asarray(v) for k, v in engine.unreplicate(state).params.items()}
    return {"loss": np.array(losses), **out, **params}


def plain(config, steps, dtype="float64"):
    """Runs the whole batch in one jit on one device, without a mapped axis, with the update written
    out."""
    terms, adam = objective.make_terms(config.objective), optax.adam(config.learning_rate)
    state = first_state(config, dtype)

    def loss(params, stats, target, vgg_params, style):
        output, stats = transform_net.apply(config.net, params, stats, target, train=True)
        return objective.evaluate(terms, vgg_params, style, output, target)["loss"].mean(), stats

    @jax.jit
    def step(params, stats, moments, target, *constants):
        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(
            params, stats, target, *constants
        )
        updates, moments = adam.update(grads, moments, params)
        return optax.apply_updates(params, updates), stats, moments, value, grads

    params, stats, moments, losses, out = state.params, state.stats, state.opt_state, [], {}
    for batch in batches(steps):
        target = batch.astype(dtype) / 255
        params, stats, moments, value, grads = step(
            params, stats, moments, target, phi(dtype), grams(dtype)
        )
        losses.append(float(value))
        out = out or {f"gradient.{k}": np.asarray(v) for k, v in grads.items()}
    return {
        "loss": np.array(losses),
        **out,
        **{f"params.{k}": np.asarray(v) for k, v in params.items()},
    }


def both_widths(run, *arguments):
    """Returns `run(*arguments, steps, dtype)` in float64 and in float32, by name."""
    with jax.enable_x64(True):
        wide = run(*arguments, STEPS, "float64")
    narrow = run(*arguments, STEPS, "float32")
    return {
        f"{n}.{k}": v
        for n, found in (("float64", wide), ("float32", narrow))
        for k, v in found.items()
    }


def difference(found, expected, prefix):
    """Returns the relative L2 difference over all arrays whose names begin with `prefix`."""
    names = [k for k in expected if k.startswith(prefix)]
    error = sum(float(np.square(found[k].astype("float64") - expected[k]).sum()) for k in names)
    return (
        error / sum(float(np.square(expected[k].astype("float64")).sum()) for k in names)
    ) ** 0.5


def check(found, expected):
    """Allows 1e-5 for gradients in float32. In float64, rounding hides nothing."""
    assert difference(found, expected, "float64.gradient") < 1e-12
    assert difference(found, expected, "float32.gradient") < 1e-5
    assert difference(found, expected, "float64.loss") < 1e-9
    assert difference(found, expected, "float64.params") < 1e-4
    np.testing.assert_allclose(found["float32.loss"], expected["float32.loss"], rtol=0.01)


def train_config(photos, out, **kwargs):
    """Returns the shortest whole training."""
    values = {
        "data": (str(photos),),
        "out": str(out),
        "style_image": str(photos) + "/0.png",
        "style_size": 32,
        "steps": 8,
        "checkpoint_every": 100,
        "preview_every": 100,
        "log_every": 1,
    }
    return make_config(**values | kwargs)


def pixel_config(photos, out):
    """Returns a training without the loss network and with a checkpoint every other step, so that
    most of its time goes into writing checkpoints."""
    made = train_config(photos, out, steps=300, checkpoint_every=2)
    return dataclasses.replace(
        made, style_image=None, objective=ObjectiveConfig(losses="paper", weights={"pixel": 1.0})
    )
