"""The optimizers' updates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import muon

from jaxpercept.config import TrainConfig
from jaxpercept.config.options import options
from jaxpercept.training import optimizers

random = np.random.default_rng(0)
PARAMS = {
    "kernel": jnp.asarray(random.normal(size=(3, 3, 4, 8)), jnp.float32),
    "scale": jnp.ones((4, 8)),
}
BIAS = {"bias": jnp.arange(1.0, 4.0)}
GRADS = {
    "kernel": jnp.asarray(random.normal(size=(3, 3, 4, 8)), jnp.float32),
    "scale": jnp.arange(32.0).reshape(4, 8),
}


def test_cosine_schedule_ends_at_zero(name):
    optimizer = optimizers.make_optimizer(TrainConfig(optimizer=name, schedule="cosine", steps=2))
    state, moved = optimizer.init(PARAMS), []
    for _ in range(3):
        update, state = optimizer.update(GRADS, state, PARAMS)
        moved.append(max(float(jnp.abs(u).max()) for u in update.values()))
    assert moved[0] > moved[1] > moved[2]
    assert moved[2] < 1e-9


def test_muon_makes_kernels_orthogonal_and_gives_the_rest_to_nadam():
    """Newton-Schulz leaves singular values of 0.7 to 1.2 times the target size; their signs are the
    gradient's."""
    made = TrainConfig(optimizer="muon", learning_rate=0.01)
    optimizer = optimizers.make_optimizer(made)
    update, _ = optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS)
    u, _, vt = np.linalg.svd(np.asarray(GRADS["kernel"]).reshape(36, 8), full_matrices=False)
    along = u.T @ np.asarray(update["kernel"]).reshape(36, 8) @ vt.T / (-0.01 * 0.2 * 6)
    assert 0.6 < np.diag(along).min() <= np.diag(along).max() < 1.3
    assert np.abs(along - np.diag(np.diag(along))).max() < 1e-3
    adam = optax.nadam(0.01)
    expected, _ = adam.update(GRADS, adam.init(PARAMS))
    np.testing.assert_allclose(update["scale"], expected["scale"], rtol=1e-4)
    several = dataclasses.replace(
        made,
        task="multistyle",
        style_images=("a", "b"),
        net=dataclasses.replace(made.net, styles=2),
    )
    optimizer, params, grads = optimizers.make_optimizer(several), PARAMS | BIAS, GRADS | BIAS
    faster, _ = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_allclose(faster["scale"], 20 * expected["scale"], rtol=1e-4)
    np.testing.assert_array_equal(faster["kernel"], update["kernel"])
    expected, _ = adam.update(BIAS, adam.init(BIAS))
    np.testing.assert_allclose(faster["bias"], expected["bias"], rtol=1e-4)


def test_kernels_of_equal_shape_are_updated_together_as_one_by_one():
    """Updates are within 1e-5 of Optax's, and the state is Optax's, so that old checkpoints go
    on."""
    draw = np.random.default_rng(1)
    sizes = {"a": (3, 3, 4, 8), "b": (3, 3, 4, 8), "c": (3, 3, 8, 4), "d": (3, 3, 4, 8), "e": (8,)}

    def drawn():
        return {k: jnp.asarray(draw.normal(size=s), jnp.float32) for k, s in sizes.items()}

    made = TrainConfig(optimizer="muon", learning_rate=0.01)
    params, ours = drawn(), optimizers.make_optimizer(made)
    theirs = muon(
        0.01,
        adam_learning_rate=0.01,
        consistent_rms=0.2,
        muon_weight_dimension_numbers=optimizers._matrices,
    )
    mine, expected = ours.init(params), theirs.init(params)
    for _ in range(3):
        grads = drawn()
        update, mine = ours.update(grads, mine, params)
        wanted, expected = theirs.update(grads, expected, params)
        assert jax.tree.structure(mine) == jax.tree.structure(expected)
        pairs = zip(*map(jax.tree.leaves, ((update, mine), (wanted, expected))), strict=True)
        for found, right in pairs:
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-5 * np.abs(right).max())


def test_weight_decay_shrinks_kernels_alone(name):
    """By the learning rate times the decay per step, beside the optimizer's own update."""
    plain = TrainConfig(optimizer=name, learning_rate=0.01)
    decayed = dataclasses.replace(plain, weight_decay=0.5)
    moved = []
    for config in (plain, decayed):
        optimizer = optimizers.make_optimizer(config)
        moved.append(optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS)[0])
    shrunk = moved[1]["kernel"] - moved[0]["kernel"]
    np.testing.assert_allclose(shrunk, -0.005 * PARAMS["kernel"], atol=1e-6)
    np.testing.assert_array_equal(moved[1]["scale"], moved[0]["scale"])


def test_weight_decay_bounds_the_kernels_of_a_long_muon_run():
    """Without it, random gradients at a constant rate make the kernels grow with every step."""
    largest = []
    for decay in (0.0, 1.0):
        config = TrainConfig(optimizer="muon", learning_rate=0.1, weight_decay=decay)
        optimizer = optimizers.make_optimizer(config)
        params = {"kernel": PARAMS["kernel"]}
        state, draw = optimizer.init(params), np.random.default_rng(3)
        step = jax.jit(optimizer.update)
        for _ in range(100):
            grads = {"kernel": jnp.asarray(draw.normal(size=(3, 3, 4, 8)), jnp.float32)}
            update, state = step(grads, state, params)
            params = optax.apply_updates(params, update)
        largest.append(float(jnp.square(params["kernel"]).mean()))
    assert largest[1] < 0.2 * largest[0]


@pytest.fixture(params=options(TrainConfig)["optimizer"].choices)
def name(request):
    return request.param


def test_every_choice_has_its_optimizer():
    assert set(optimizers.MAKERS) == set(options(TrainConfig)["optimizer"].choices)
