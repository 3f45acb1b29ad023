"""Scores a style net by the objective of its training on photos that it was not trained on, to
compare trainings of one style.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxpercept import config
from jaxpercept.losses import objective
from jaxpercept.nets import net_file, transform_net, vgg
from jaxpercept.training.start import gram_targets


def held_out_objective(
    made: config.TrainConfig, weights: Path, photos: np.ndarray, mix: np.ndarray | None = None
) -> float:
    """Returns the objective of the training `made` for the net in the file `weights`: the weighted
    sum, in float32, of the terms that judge a picture alone, averaged over photos (N, S, S, 3) in
    [0, 1]. Content is that of the photos, also where the training had a teacher. With `made.clip`,
    the output is clipped first, as for display. `mix`, (1, styles), selects the style of a
    multi-style net. Photos are processed one at a time to bound memory. Raises InputError for a
    file that is not a transform net, or a loss network that is missing."""
    net, params, stats, _ = net_file.load(weights)
    terms = objective.of_one_view(objective.make_terms(made.objective))
    phi = vgg.load_vgg16(made.vgg)
    grams, phi = gram_targets(made, terms, phi), objective.prepared(terms, phi)

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
