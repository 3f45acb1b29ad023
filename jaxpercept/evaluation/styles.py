"""Scores a style net by the objective of its training on photos that it was not trained on: what
tells two trainings of one style apart.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxpercept import config
from jaxpercept.losses import objective
from jaxpercept.nets import transform_net, vgg
from jaxpercept.training.start import gram_targets


def held_out_objective(
    made: config.TrainConfig, weights: Path, photos: np.ndarray, mix: np.ndarray | None = None
) -> float:
    """The objective of the training `made`, of the net in the file `weights`: the weighted sum of
    the terms in float32, averaged over photos (N, S, S, 3) in [0, 1]. With `made.clip`, that of the
    output as it is displayed. `mix`, (1, styles): which style of a net of several. Photos are taken
    one at a time, so that memory stays small. InputError for a file that is no transform net."""
    net, params, stats, _ = transform_net.load(weights)
    terms, phi = objective.make_terms(made.objective), vgg.load_vgg16()
    grams = gram_targets(made, terms, phi)

    chosen = None if mix is None else jnp.asarray(mix)

    @jax.jit
    def loss(params, stats, phi, grams, x):
        output, _ = transform_net.apply(net, params, stats, x, mix=chosen)
        output = objective.projected(output) if made.clip else output
        convention, batch = made.objective.losses, made.batch_size
        return objective.evaluate(terms, phi, grams, output, x, convention=convention, batch=batch)[
            "loss"
        ][0]

    return float(np.mean([loss(params, stats, phi, grams, photo[None]) for photo in photos]))
