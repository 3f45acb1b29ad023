"""Two options of `upscale`: a net between the two shipped nets of a scale, and the mean of a net's
answers to the turned and mirrored image.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxpercept.config import DEFAULT_SCALE, TransformNetConfig
from jaxpercept.errors import InputError, Name, number
from jaxpercept.inference.model import Model, Net
from jaxpercept.inference.upscaling import default_model, load_upscaler, net_scale, shipped
from jaxpercept.nets import blending


def chosen(
    name: str | None, factor: float | None, sharpness: float | None, *, precision: str = "float32"
) -> Model:
    """Returns a net that enlarges `factor` times: the net of this `name` or file; with `sharpness`,
    one between the shipped nets of the next scale that has both; with neither, the first net of the
    next scale. Raises InputError if there is no such net, or if its scale is smaller than
    `factor`."""
    if sharpness is not None:
        scale = net_scale(factor or DEFAULT_SCALE, _has_pair)
        return sharpened(scale, sharpness, precision=precision)
    model = load_upscaler(
        name or default_model(net_scale(factor or DEFAULT_SCALE)), precision=precision
    )
    if factor and factor > model.config.scale:
        raise InputError(
            f"{model.name}: a net of scale {model.config.scale} cannot enlarge {factor:.4g} "
            "times; give another --model or a smaller factor"
        )
    return model


def sharpened(scale: int, sharpness: float, *, precision: str = "float32") -> Model:
    """Returns the net between the shipped pixel net of a scale (0) and its feature net (1), by
    averaging their weights. Raises InputError for a sharpness outside [0, 1], or a scale that lacks
    either net."""
    if not 0 <= sharpness <= 1:
        raise InputError(
            Name("sharpness"),
            f" {number(sharpness)} is not allowed; give 0 (softest) to 1 (sharpest)",
        )
    names = _pair(scale)
    if not _has_pair(scale):
        raise InputError(
            f"--sharpness needs the nets {names[0]} and {names[1]}; shipped nets of scale {scale}: "
            f"{', '.join(shipped(scale)) or 'none'}"
        )
    first, second = (load_upscaler(name, scale, precision=precision) for name in names)
    if first.config != second.config:
        raise InputError(f"--sharpness: {names[0]} and {names[1]} are nets of different shapes")
    return dataclasses.replace(
        second,
        name=f"x{scale}-sharpness-{sharpness:g}",
        params=blending.mixed(dict(first.params), dict(second.params), sharpness),
    )


def _has_pair(scale: int) -> bool:
    return set(_pair(scale)) <= shipped(scale).keys()


def _pair(scale: int) -> tuple[str, str]:
    return f"x{scale}-pixel", f"x{scale}-feature"


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A `Net` that averages another net's answers to the image, its quarter turns and their mirror
    images, each turned back (Timofte et al. 2016, arXiv 1511.02228, "enhanced prediction"). It is
    eight times as slow."""

    model: Net

    @property
    def name(self) -> str:
        """The name that outputs get."""
        return f"{self.model.name}-ensemble"

    @property
    def config(self) -> TransformNetConfig:
        """The net's config."""
        return self.model.config

    def __call__(self, x: Float[Any, "n h w 3"]) -> Float[np.ndarray, "n h2 w2 3"]:
        """Returns the mean: (N, H, W, 3) in [0, 1] to the same size times the scale."""
        total = np.zeros((), np.float32)
        for turns in range(4):
            for mirrored in (False, True):
                view = np.rot90(x, turns, (1, 2))
                view = view[:, :, ::-1] if mirrored else view
                y = np.asarray(self.model(np.ascontiguousarray(view)))
                y = y[:, :, ::-1] if mirrored else y
                total = total + np.rot90(y, -turns, (1, 2))
        return total / 8
