"""One step, many ways to run it: the same gradients and losses as the plain single-device program."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from jaxpercept import objective, parallel, training, vgg
from jaxpercept.config import NET_PRESETS, ObjectiveConfig, TrainConfig
from jaxpercept.errors import InputError

SIZE, BATCH = 32, 4


def make_config(net="paper", **kwargs):
    weights = {"content": 1.0, "style": 5.0, "tv": 1e-4}
    objective_config = ObjectiveConfig(weights=weights, style_layers=("relu1_2", "relu2_2"))
    net = dataclasses.replace(NET_PRESETS[net].scaled(0.125), blocks=1, start_padding=8)
    return TrainConfig(net=net, objective=objective_config, batch_size=BATCH, image_size=SIZE, **kwargs)


@pytest.fixture(scope="module")
def wide():
    """Everything here in float64: float32 gradients of a batch-norm net differ by 1e-5 from rounding alone."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def phi(wide):
    return {name: value.astype(jnp.float64) for name, value in vgg.load_vgg16().items()}


@pytest.fixture(scope="module")
def grams(phi):
    style = jax.random.uniform(jax.random.key(9), (1, 40, 40, 3))
    return objective.style_targets(phi, style, ("relu1_2", "relu2_2"))


def batches(count):
    random = np.random.default_rng(0)
    return [{"target": random.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)} for _ in range(count)]


def wide_state(config):
    state, _ = training.init_state(config)
    return jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, state)


def run(config, phi, grams, devices, steps):
    """The metrics of `steps` steps and the final state. With sgd-like visibility: the first moment of Adam after one
    step is a tenth of the gradient, so that gradients are compared and not what Adam makes of them."""
    engine = parallel.make_engine(config.engine, BATCH, jax.devices()[:devices])
    step = engine.compile(training.make_step(config, objective.make_terms(config.objective)), 2)
    state = wide_state(config)
    constants = [engine.replicate(tree) for tree in (phi, grams)]
    state, seen = engine.replicate(state), []
    for batch in batches(steps):
        state, metrics = step(state, jax.tree.map(engine.shard, batch), *constants)
        seen.append({k: float(v) for k, v in engine.unreplicate(metrics).items()})
    return seen, jax.tree.map(np.asarray, engine.unreplicate(state))


def gradients(state):
    return {k: np.asarray(v) * 10 for k, v in state.opt_state[0].mu.items()}


def relative(a, b):
    error = sum(float(np.square(a[k] - b[k]).sum()) for k in b)
    return (error / sum(float(np.square(b[k]).sum()) for k in b)) ** 0.5


def plain_gradients(config, phi, grams):
    """Without any mapped axis: the whole batch in one jit."""
    terms = objective.make_terms(config.objective)
    state = wide_state(config)
    target = jnp.asarray(batches(1)[0]["target"]) / 255.0

    def loss(params):
        output, _ = training.transform_net.apply(config.net, params, state.stats, target, train=True)
        return objective.evaluate(terms, phi, grams, output, target)["loss"].mean()

    return jax.tree.map(np.asarray, jax.jit(jax.grad(loss))(state.params))


@pytest.mark.parametrize("engine", ["shard_map", "pmap"])
@pytest.mark.parametrize("devices", [1, 2, 4])
def test_gradients_equal_the_single_device_jit(phi, grams, engine, devices):
    """Batch norm's statistics, the loss and the gradient are those of the whole batch, however it is split."""
    config = make_config(engine=engine)
    metrics, state = run(config, phi, grams, devices, 1)
    assert relative(gradients(state), plain_gradients(config, phi, grams)) < 1e-12
    assert set(metrics[0]) == {"loss", "content", "style", "tv"}


def test_a_sum_in_place_of_the_mean_would_be_seen(phi, grams, monkeypatch):
    config = make_config()
    monkeypatch.setattr(lax, "pmean", lax.psum)
    _, state = run(config, phi, grams, 2, 1)
    assert relative(gradients(state), plain_gradients(config, phi, grams)) > 0.1


def test_the_batch_must_divide():
    with pytest.raises(InputError, match=r"--batch-size 6 does not divide among 4 devices; 4 or 8 would"):
        parallel.make_engine("shard_map", 6, jax.devices()[:4])
    with pytest.raises(InputError, match="2 would"):
        parallel.make_engine("pmap", 1, jax.devices()[:2])


@pytest.mark.parametrize("engine", ["shard_map", "pmap"])
def test_the_step_lowers_for_gpus_and_tpus(phi, grams, engine):
    """No such device here, but neither engine may rot unseen."""
    config = make_config(engine=engine)
    made = parallel.make_engine(engine, BATCH, jax.devices()[:1])
    step = made.compile(training.make_step(config, objective.make_terms(config.objective)), 2)
    state = wide_state(config)
    arguments = [made.replicate(state), jax.tree.map(made.shard, batches(1)[0]), *map(made.replicate, (phi, grams))]
    lowered = export.export(jax.jit(step), platforms=["tpu", "cuda"])(*arguments)
    assert lowered.platforms == ("tpu", "cuda")
