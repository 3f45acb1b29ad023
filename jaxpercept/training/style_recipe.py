"""The objective of a trained net by its header, and a painting as its target: what a style learned
on the net must match, and what pictures of such nets are judged by.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jaxpercept import config, images
from jaxpercept.errors import InputError
from jaxpercept.losses import objective
from jaxpercept.nets import vgg, weights_file
from jaxpercept.training.start import style_targets


@dataclass(frozen=True)
class Recipe:
    """The part of a net's training that another style must match."""

    objective: config.ObjectiveConfig
    style_size: int
    clip: bool
    vgg: str | None

    @classmethod
    def of(cls, header: dict[str, Any], style_weight: float | None = None) -> Recipe:
        """Returns the recipe in a weights file's header, or the defaults of training if it has
        none, with another weight of the style term if one is given. Raises InputError for damaged
        settings."""
        was = header.get("training", {}).get("config", {})
        default = config.TrainConfig(data=("photos",))
        where, size = "the shared net", was.get("style_size", default.style_size)
        if type(size) is not int or not 0 <= size <= 65_536:
            raise InputError(f"{where}: its style size {size!r} is no size; the file is damaged")
        loss_network = was.get("vgg", default.vgg)
        if not isinstance(loss_network, str | None):
            raise InputError(f"{where}: its vgg {loss_network!r} is no name; the file is damaged")
        given = was.get("objective")
        objective = config.objective_from_dict(given, where) if given else default.objective
        if style_weight is not None:
            weights = {**objective.weights, "style": style_weight}
            objective = dataclasses.replace(objective, weights=weights)
        return cls(objective, size, bool(was.get("clip", default.clip)), loss_network)


def about(painting: Path) -> dict[str, str]:
    """Returns what the header of a learned style says of its painting."""
    return {"file": painting.name, "sha256": weights_file.sha256(painting)}


def style_grams(recipe: Recipe, painting: Path, vgg_params: vgg.Params) -> objective.Grams:
    """Returns the painting's Gram matrices, (1, C, C) by layer. Its sides are rounded to multiples
    of 32, so that paintings share compiled programs. Raises InputError for a file that is not a
    picture, or is of a single colour."""
    image = images.load_style(painting)
    longer = recipe.style_size or max(image.shape[:2])
    h, w = images.fit(image.shape[0], image.shape[1], longer, "long")
    h, w = (max(32, round(side / 32) * 32) for side in (h, w))
    scaled = images.resize(image, (h, w))
    return style_targets(vgg_params, jnp.asarray(scaled)[None], recipe.objective.style_layers)
