"""Our side of every row: `build` returns a call that does the row's work once and waits for the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import rows
from jaxpercept import compilation_cache, inference, objective, parallel, training, vgg


def build(row: rows.Row, weights: Path, precision: str = "float32") -> Callable[[], Any]:
    """A result is what `worker` compares: the output, a scalar loss. The first call compiles; every call of a training
    row is another step."""
    compilation_cache.enable()
    dtype = jnp.dtype(jnp.bfloat16) if precision == "bfloat16" else None
    given = rows.inputs(row)
    if row.training:
        return _train(row, weights, given, precision)
    x = jax.device_put(given["x"].astype("float32") / 255)
    if row.kind in ("style", "superres"):
        model = inference.load_model(weights, precision=precision)
        return lambda: jax.block_until_ready(model(x))
    made, params = rows.train_config(row), vgg.load_vgg16()
    layers = made.objective.style_layers
    if row.kind == "vgg":
        features = jax.jit(lambda p, x: vgg.vgg_features(p, x if dtype is None else x.astype(dtype), layers))
        return lambda: jax.block_until_ready(features(params, x))["relu4_3"]
    terms = objective.make_terms(made.objective)
    grams = objective.style_targets(params, given["style"].astype("float32") / 255, layers)
    content = objective.content_targets(terms, params, x)

    @jax.jit
    def value_and_grad(params: Any, grams: Any, content: Any, image: Any) -> Any:
        def loss(image: Any) -> Any:
            return objective.evaluate(terms, params, grams, image, x, convention="reference", dtype=dtype,
                                      target_features=content)["loss"].mean()  # fmt: skip

        return jax.value_and_grad(loss)(image)

    return lambda: jax.block_until_ready(value_and_grad(params, grams, content, 1 - x))[0]


def _train(row: rows.Row, weights: Path, given: dict[str, Any], precision: str) -> Callable[[], Any]:
    made = replace(rows.train_config(row, precision), init=str(weights))
    terms, engine, phi = objective.make_terms(made.objective), parallel.make_engine(made.engine, row.batch), {}
    grams: objective.Grams = {}
    if row.kind == "train-style":
        phi = vgg.load_vgg16()
        grams = objective.style_targets(phi, given["style"].astype("float32") / 255, made.objective.style_layers)
    state, _ = training.init_state(made)
    constants = [engine.replicate(tree) for tree in (phi, grams)]
    step, held = engine.compile(training.make_step(made, terms), 2), [engine.replicate(state)]
    host = {"target": given["x"]} | ({"input": given["small"]} if row.upscales else {})
    batch = {name: engine.shard(value) for name, value in host.items()}

    def once() -> Any:
        held[0], metrics = step(held[0], batch, *constants)
        return jax.block_until_ready(engine.unreplicate(metrics))["loss"]

    return once
