"""Minimisers of images: L-BFGS (optax, zoom line search, strong Wolfe conditions) and Adam, with or
without clipping to [0, 1] at every iteration. They are pure functions. An image is (H, W, 3), and a
problem is `value(x, target) -> ()`.

Every image has its own history, line search and counts. L-BFGS takes the images of a batch one
after the other (`lax.map`) within one compiled program. Under `jax.vmap` the line search's
`lax.cond` would evaluate both branches and all images would wait for the slowest search, which
costs 2 to 3 times the evaluations. Adam is vmapped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from jaxpercept.losses.objective import projected
from jaxpercept.synthesis.settings import SynthesisConfig

Value = Callable[[Array, Any], Array]


class State(NamedTuple):
    """The state of one image. `value` and `grad` are those at `image`, so that no iteration
    evaluates them again."""

    image: Array
    value: Array
    grad: Array
    evaluations: Array  # of value and gradient, with the first and the line search's
    restarts: Array  # how often L-BFGS dropped its history
    optimizer: Any


class Trace(NamedTuple):
    """The loss and the evaluations so far, after each iteration."""

    loss: Array
    evaluations: Array


class Minimizer(NamedTuple):
    """`init(images, targets) -> state` and `run(state, targets, count, chunk) -> (state, trace)`,
    both batched over the leading axis and jitted. `run` does `count` ≤ `chunk` iterations. A trace
    is (N, chunk), zero beyond `count`."""

    init: Callable[..., State]
    run: Callable[..., tuple[State, Trace]]


def make_minimizer(config: SynthesisConfig, value: Callable[[Array, Any, Any], Array]) -> Minimizer:
    """Returns the config's optimiser on `value(image, target, shared) -> ()`, compiled once per
    shape."""
    start, step, over = _LBFGS if config.optimizer == "lbfgs" else _ADAM

    def objective_of(shared: Any) -> Value:
        if config.clip:
            return lambda x, target: value(projected(x), target, shared)
        return lambda x, target: value(x, target, shared)

    def init(images: Array, targets: Any, shared: Any) -> State:
        images = jnp.clip(images, 0, 1) if config.clip else images
        state = over(lambda each: start(config, objective_of(shared), *each), (images, targets))
        # optax starts with weak types and `run` returns strong ones, which would compile it twice.
        return jax.tree.map(lambda x: lax.convert_element_type(x, x.dtype), state)

    def run(
        state: State, targets: Any, shared: Any, count: Array, chunk: int
    ) -> tuple[State, Trace]:
        fn = objective_of(shared)

        def one(each: tuple[State, Any]) -> tuple[State, Trace]:
            def body(i: Array, carry: tuple[State, Trace]) -> tuple[State, Trace]:
                state, trace = carry
                state = step(config, fn, state, each[1])
                seen = Trace(state.value, state.evaluations)
                return state, jax.tree.map(lambda all, new: all.at[i].set(new), trace, seen)

            state = each[0]
            empty = Trace(
                jnp.zeros(chunk, state.value.dtype), jnp.zeros(chunk, state.evaluations.dtype)
            )
            return lax.fori_loop(0, count, body, (state, empty))

        return over(one, (state, targets))

    return Minimizer(jax.jit(init), jax.jit(run, static_argnames="chunk", donate_argnums=0))


def _first(solver: Any, fn: Value, image: Array, target: Any) -> State:
    value, grad = jax.value_and_grad(fn)(image, target)
    return State(image, value, grad, jnp.int32(1), jnp.int32(0), solver.init(image))


def _clipped(config: SynthesisConfig, image: Array, updates: Array) -> Array:
    image = image + updates
    return jnp.clip(image, 0, 1) if config.clip else image


def _lbfgs_start(config: SynthesisConfig, fn: Value, image: Array, target: Any) -> State:
    return _first(optax.lbfgs(memory_size=config.history), fn, image, target)


def _lbfgs_step(config: SynthesisConfig, fn: Value, state: State, target: Any) -> State:
    """Runs one iteration: a direction, and a line search along it."""
    solver = optax.lbfgs(memory_size=config.history)
    memory, *rest = state.optimizer
    # optax takes any pair into its history. The curvature can be negative along a clipped step, and
    # zero after a failed search. Either would spoil all later directions, so the history is dropped
    # (Torch skips such pairs).
    curvature = jnp.vdot(state.image - memory.params, state.grad - memory.updates)
    broken = (memory.count > 0) & ~(curvature > 1e-10)
    memory = jax.tree.map(partial(jnp.where, broken), solver.init(state.image)[0], memory)
    updates, (memory, *rest) = solver.update(
        state.grad,
        (memory, *rest),
        state.image,
        value=state.value,
        grad=state.grad,
        value_fn=lambda x: fn(x, target),
    )
    search = rest[-1]
    return State(
        _clipped(config, state.image, updates),
        search.value,
        search.grad,
        state.evaluations + search.info.num_linesearch_steps,
        state.restarts + broken,
        (memory, *rest),
    )


def _adam_start(config: SynthesisConfig, fn: Value, image: Array, target: Any) -> State:
    return _first(optax.adam(config.learning_rate), fn, image, target)


def _adam_step(config: SynthesisConfig, fn: Value, state: State, target: Any) -> State:
    updates, optimizer = optax.adam(config.learning_rate).update(state.grad, state.optimizer)
    image = _clipped(config, state.image, updates)
    value, grad = jax.value_and_grad(fn)(image, target)
    return State(image, value, grad, state.evaluations + 1, state.restarts, optimizer)


_LBFGS = (_lbfgs_start, _lbfgs_step, lax.map)
_ADAM = (_adam_start, _adam_step, lambda fn, each: jax.vmap(fn)(each))
