"""Our side of every row: `build` returns a call that does the row's work once and waits for the
result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import rows
from jaxpercept.inference.model import load_model
from jaxpercept.losses import objective
from jaxpercept.nets import conv, net_file, transform_net, vgg
from jaxpercept.runtime import compilation_cache
from jaxpercept.training import engines
from jaxpercept.training.start import init_state, style_targets
from jaxpercept.training.step import make_step


def build(row: rows.Row, weights: Path, precision: str = "float32") -> Callable[[], Any]:
    """Returns a function whose result `worker` compares: the output, or a scalar loss. The first
    call compiles. Each call of a training row makes another step."""
    compilation_cache.enable()
    if row.kind in ("style", "superres"):
        model = load_model(weights, precision=precision)
        x = jax.device_put(_pictures(row)["x"])
        return lambda: jax.block_until_ready(model(x))
    program, arguments = _program(row, weights, precision)
    if not row.training:
        key = "relu4_3" if row.kind == "vgg" else 0
        return lambda: jax.block_until_ready(program(*arguments))[key]
    held, *rest = arguments
    states = [held]

    def once() -> Any:
        states[0], metrics = program(states[0], *rest)
        return jax.tree.map(lambda x: x.addressable_data(0), jax.block_until_ready(metrics))["loss"]

    return once


def arithmetic(row: rows.Row, weights: Path, precision: str = "float32") -> float:
    """The row's operations with plain convolutions, by XLA's count."""
    with conv.forced(False):
        program, arguments = _program(row, weights, precision)
        counted: Any = program.lower(*arguments).cost_analysis()
    return float(counted["flops"])


def _pictures(row: rows.Row) -> dict[str, Any]:
    return {name: value.astype("float32") / 255 for name, value in rows.inputs(row).items()}


def _program(row: rows.Row, weights: Path, precision: str) -> tuple[Any, tuple[Any, ...]]:
    """The row's work as a jitted function, not traced yet, and what to call it with."""
    dtype = jnp.dtype(jnp.bfloat16) if precision == "bfloat16" else None
    if row.training:
        return training_step(row, weights, precision)
    given = _pictures(row)
    x = jax.device_put(given["x"])
    if row.kind in ("style", "superres"):
        net, state, stats, _ = net_file.load(weights)
        return jax.jit(lambda p, s, x: transform_net.apply(net, p, s, x, dtype=dtype)[0]), (
            state,
            stats,
            x,
        )
    made, params = rows.train_config(row), vgg.load_vgg16()
    layers = made.objective.style_layers
    params = vgg.prepared(params, layers)
    if row.kind == "vgg":
        features = jax.jit(
            lambda p, x: vgg.vgg_features(p, x if dtype is None else x.astype(dtype), layers)
        )
        return features, (params, x)
    terms = objective.make_terms(made.objective)
    grams = objective.style_targets(params, given["style"], layers)
    content = objective.content_targets(terms, params, x)

    @jax.jit
    def value_and_grad(params: Any, grams: Any, content: Any, x: Any, image: Any) -> Any:
        def loss(image: Any) -> Any:
            return objective.evaluate(
                terms,
                params,
                grams,
                image,
                x,
                convention="reference",
                dtype=dtype,
                target_features=content,
            )["loss"].mean()

        return jax.value_and_grad(loss)(image)

    return value_and_grad, (params, grams, content, x, 1 - x)


def training_step(
    row: rows.Row, weights: Path, precision: str = "float32"
) -> tuple[Any, tuple[Any, ...]]:
    """A step as training makes it, not traced yet, and its arguments. The state is donated."""
    made = replace(rows.train_config(row, precision), init=str(weights))
    terms, engine, phi = (
        objective.make_terms(made.objective),
        engines.make_engine(made.engine, row.batch),
        {},
    )
    grams: objective.Grams = {}
    given = rows.inputs(row)
    if row.kind == "train-style":
        phi = vgg.load_vgg16()
        grams = style_targets(
            phi, given["style"].astype("float32") / 255, made.objective.style_layers
        )
        phi = objective.prepared(terms, phi)
    state, _ = init_state(made)
    host = {"target": given["x"]} | ({"input": given["small"]} if row.upscales else {})
    batch = {name: engine.shard(value) for name, value in host.items()}
    constants = [engine.replicate(tree) for tree in (phi, grams)]
    return engine.compile(make_step(made, terms), 2), (
        engine.replicate(state),
        batch,
        *constants,
    )
