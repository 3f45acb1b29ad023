"""Measures the content and style loss of stylized frames: a dull net holds still too.

One yardstick serves all nets: the default objective of training (Johnson et al. 2016, section 3),
without total variation, of the pictures as they are displayed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxpercept.config.objective import DEFAULT_OBJECTIVE
from jaxpercept.images import Float
from jaxpercept.inference.model import Model
from jaxpercept.losses import objective
from jaxpercept.nets import vgg
from jaxpercept.training.style_recipe import Recipe, style_grams

LOSSES = ("content", "style")
Judge = Callable[[Float, Float], dict[str, float]]  # maps a picture and its photo to the LOSSES


def judge(net: Model, painting: Path) -> Judge:
    """Returns a function that maps a net's picture (H, W, 3) and its photo, both in [0, 1], to the
    weighted losses. The painting is scaled as in the net's training. Raises InputError for a
    painting that cannot be read."""
    phi = _loss_network()
    grams = style_grams(Recipe.of(net.header), painting, phi)

    def judged(picture: Float, photo: Float) -> dict[str, float]:
        values = _losses(phi, grams, picture[None], photo[None])
        return {name: float(np.asarray(values[name])[0]) for name in LOSSES}

    return judged


_loss_network = lru_cache(maxsize=1)(vgg.load_vgg16)


@jax.jit
def _losses(phi: Any, grams: objective.Grams, picture: Any, photo: Any) -> Any:
    terms = [t for t in objective.make_terms(DEFAULT_OBJECTIVE) if t.name in LOSSES]
    return objective.evaluate(terms, phi, grams, picture, photo)
