"""The training step for one replica (Johnson et al. 2016, section 4). Batches are uint8, and the
step converts them to [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jaxtyping import Float

from jaxpercept.config import TrainConfig
from jaxpercept.inference.model import Model
from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm, SecondView
from jaxpercept.nets import surgery, transform_net, vgg
from jaxpercept.training import engines, views
from jaxpercept.training.optimizers import make_optimizer

# "target" (N, S, S, 3) uint8; for super-resolution "input"; for several styles "style" (N,), the
# number of each image's style among `config.style_images`
Batch = dict[str, Array]


class TrainState(NamedTuple):
    """Everything that a step changes."""

    step: Array
    params: transform_net.Variables
    stats: transform_net.Variables
    opt_state: Any


def learned(config: TrainConfig, params: transform_net.Variables) -> transform_net.Variables:
    """Returns the parameters that training changes. Style rows without any image in the draw get no
    gradient."""
    return (
        {k: params[k] for k in surgery.style_parameters(config.net)} if config.only_new else params
    )


def _of_styles(
    config: TrainConfig, style: Array, grams: objective.Grams, dtype: Any
) -> tuple[Float[Array, "n s"], objective.Grams]:
    """Returns the net's `mix` and the Gram targets for each image."""
    row = style + config.trained_rows.start
    return jax.nn.one_hot(row, config.net.styles, dtype=dtype), {
        k: g[style] for k, g in grams.items()
    }


def _geometric(loss: Float[Array, " n"]) -> Array:
    """Returns a mean with the gradient of the mean logarithm, so that every image counts by its
    relative improvement. Otherwise styles with losses ten times as large, and busy photos, would
    dominate the weights."""
    return (loss / lax.stop_gradient(jnp.abs(loss) + jnp.finfo(loss.dtype).tiny)).mean()


def make_step(
    config: TrainConfig,
    terms: Sequence[LossTerm],
    teacher: Model | None = None,
    ranges: views.Ranges = views.USUAL,
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    """Returns `step(state, batch, vgg_params, style_grams) -> (state, metrics)` for one replica
    under `engines.AXIS`. With a teacher, its pictures of the photos are the targets. `ranges` are
    those of second views."""
    optimizer = make_optimizer(config)
    dtype = jnp.dtype(jnp.bfloat16) if config.precision == "bfloat16" else None
    several = config.task == "multistyle"
    geometric = config.average == "geometric" or (config.average is None and several)

    def step(
        state: TrainState, batch: Batch, vgg_params: vgg.Params, style_grams: objective.Grams
    ) -> tuple[TrainState, dict[str, Array]]:
        wide = jnp.result_type(*state.params.values())
        pictures = {
            name: value.astype(wide) / 255 for name, value in batch.items() if name != "style"
        }
        if teacher is not None:  # as in Hinton et al. 2015, arXiv 1503.02531
            photo = pictures["target"]
            pictures = {"input": photo, "target": lax.stop_gradient(teacher(photo).astype(wide))}
        target, mix = pictures["target"], None
        if several:
            mix, style_grams = _of_styles(config, batch["style"], style_grams, wide)

        moved = None
        if any(term.second_view and term.weight for term in terms):
            first = lax.axis_index(engines.AXIS) * len(target)
            moved = views.draw(config.seed, state.step, first, target, ranges)

        def net(params: transform_net.Variables, x: Array) -> tuple[Array, Any]:
            output, stats = transform_net.apply(
                config.net,
                params,
                state.stats,
                x,
                train=True,
                axis_name=engines.AXIS,
                dtype=dtype,
                mix=mix,
            )
            return objective.projected(output) if config.clip else output, stats

        def loss(some: transform_net.Variables) -> tuple[Array, Any]:
            params, second = {**state.params, **some}, None
            output, stats = net(params, pictures.get("input", target))
            if moved is not None:  # batch norm keeps the statistics of the photos themselves
                second = SecondView(moved[0], net(params, moved[0])[0], moved[1])
            values = objective.evaluate(
                terms,
                vgg_params,
                style_grams,
                output,
                target,
                convention=config.objective.losses,
                batch=config.batch_size,
                dtype=dtype,
                second=second,
            )
            means = {name: value.mean() for name, value in values.items()}
            return (_geometric(values["loss"]) if geometric else means["loss"]), (means, stats)

        some = learned(config, state.params)
        grads, (metrics, stats) = jax.grad(loss, has_aux=True)(some)
        grads, metrics = lax.pmean((grads, metrics), engines.AXIS)
        updates, opt_state = optimizer.update(grads, state.opt_state, some)
        params = {**state.params, **optax.apply_updates(some, updates)}
        return TrainState(state.step + 1, params, stats, opt_state), metrics

    return step
