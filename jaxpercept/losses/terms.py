"""The loss terms that `--weights.NAME` weighs. Each is a function of one frozen `LossInputs` that
returns one number per image.

To add a term, write its function here and its entry in `config.TERMS`. A notebook needs neither:
give `training.train(..., terms=...)` a `LossTerm` of your own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jax import Array
from jaxtyping import Float

from jaxpercept import losses
from jaxpercept.config import CONVENTIONS, RESERVED, VGG_LAYERS, choose
from jaxpercept.errors import InputError
from jaxpercept.losses import motion


@dataclass(frozen=True)
class SecondView:
    """Another view of the target, and the net's output for it. `target` and `output` are (N, H, W,
    3) in [0, 1]. `flow`, (N, H, W, 2), says how far to the right and down, in pixels, each pixel of
    this view lies in the first. Other differences between the views, such as noise, are in
    `target`."""

    target: Float[Array, "n h w 3"]
    output: Float[Array, "n h w 3"]
    flow: Float[Array, "n h w 2"]


@dataclass(frozen=True)
class LossInputs:
    """What a term may read. Images are (N, H, W, 3) in [0, 1], activations (N, H_j, W_j, C_j) by
    layer name.

    features, target_features: the loss network's activations of the output and the target, at the
    layers that the terms asked for.
    style_grams: (1, C, C) or (N, C, C) by layer.
    batch: the number of images in the global batch.
    second: the second view, or None unless a term asked for it."""

    output: Float[Array, "n h w 3"]
    target: Float[Array, "n h w 3"]
    features: Mapping[str, Float[Array, "n _hj _wj _cj"]]
    target_features: Mapping[str, Float[Array, "n _hj _wj _cj"]]
    style_grams: Mapping[str, Float[Array, "m _cj _cj"]]
    convention: str = "reference"
    batch: int = 1
    second: SecondView | None = None


@dataclass(frozen=True)
class LossTerm:
    """A named, weighted term. `fn(inputs) -> (N,)` is differentiable and returns one number per
    image.

    features, target_features, style_grams: the VGG-16 layers that it reads from the fields of these
    names in `LossInputs`.
    second_view: whether it reads `second`, which costs another pass of the net and exists only in
    training.
    weight: a finite number of at least 0, also NumPy's or JAX's.
    Raises InputError for a name that cannot be logged, or a weight or a layer that is not
    allowed."""

    name: str
    fn: Callable[[LossInputs], Float[Array, " n"]]
    weight: float | Any = 1.0  # stored as a float
    features: tuple[str, ...] = ()
    target_features: tuple[str, ...] = ()
    style_grams: tuple[str, ...] = ()
    second_view: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isprintable() or not self.name:
            raise InputError(f"loss term {self.name!r}: its name must be a text to print")
        if self.name in RESERVED:
            raise InputError(
                f"loss term {self.name!r}: a logged line has another value of this name; give a "
                f"name other than {', '.join(RESERVED)}"
            )
        if not callable(self.fn):
            raise InputError(f"loss term {self.name!r}: fn {self.fn!r} is not a function")
        object.__setattr__(self, "weight", _weight(self.name, self.weight))
        for field in ("features", "target_features", "style_grams"):
            layers = getattr(self, field)
            if not isinstance(layers, str | Iterable):
                raise InputError(
                    f"loss term {self.name!r}: {field} {layers!r} names no layer; give names such "
                    'as ("relu2_2",)'
                )
            layers = (layers,) if isinstance(layers, str) else tuple(layers)
            for layer in layers:
                choose(f"loss term {self.name!r}: VGG-16 layer", layer, VGG_LAYERS)
            object.__setattr__(self, field, layers)


def _weight(name: str, weight: Any) -> float:
    """Returns a Python number, which a checkpoint can hold and whose weak type does not widen the
    loss."""
    try:
        number = math.nan if isinstance(weight, str) else float(weight)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise InputError(
            f"loss term {name!r}: its weight {weight!r} is not allowed; give a finite "
            "number of at least 0 (for the opposite of a term, let its function return it)"
        )
    return number


def content(inputs: LossInputs, layers: tuple[str, ...]) -> Float[Array, " n"]:
    """Returns the feature reconstruction loss, summed over `layers` (Johnson et al. 2016, equation
    2)."""
    return sum_of(
        losses.feature_loss(inputs.features[j], inputs.target_features[j]) for j in layers
    )


def style(inputs: LossInputs, layers: tuple[str, ...]) -> Float[Array, " n"]:
    """Returns the style reconstruction loss, summed over `layers` (equation 4)."""
    return sum_of(
        losses.style_loss(
            losses.gram_matrix(inputs.features[j]),
            inputs.style_grams[j],
            convention=inputs.convention,
        )
        for j in layers
    )


def tv(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns total variation in 0-255 units; "reference" multiplies it by the batch, because the
    authors' code sums it."""
    convention = CONVENTIONS[inputs.convention]
    total = losses.total_variation(inputs.output, convention=inputs.convention)
    return convention.units * total * (inputs.batch if convention.tv_times_batch else 1)


def pixel(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns the pixel loss against the target, in 0-255 units."""
    return CONVENTIONS[inputs.convention].units * losses.pixel_loss(inputs.output, inputs.target)


def l1(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns the mean absolute difference from the target, in 0-255 units. It gives a higher PSNR
    than squares (arXiv 1511.08861)."""
    return CONVENTIONS[inputs.convention].units ** 0.5 * losses.absolute_loss(
        inputs.output, inputs.target
    )


def hatch(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns what repeats every 8 pixels in the difference from the target, in 0-255 units. It
    removes the cross-hatch pattern that feature losses cause."""
    return CONVENTIONS[inputs.convention].units * losses.hatch_loss(inputs.output, inputs.target)


def flat(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns the mean absolute difference from the target where that is smooth, in 0-255 units."""
    return CONVENTIONS[inputs.convention].units ** 0.5 * losses.flat_loss(
        inputs.output, inputs.target
    )


def weave(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns the fine stripes along the axes that the output has and a smooth target lacks, in
    0-255 units."""
    return CONVENTIONS[inputs.convention].units ** 0.5 * losses.weave_loss(
        inputs.output, inputs.target
    )


def dark(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns the squared brightening of the photo's dark areas, in 0-255 units."""
    return CONVENTIONS[inputs.convention].units * losses.dark_loss(inputs.output, inputs.target)


def stability(inputs: LossInputs) -> Float[Array, " n"]:
    """Returns the flicker between the output and that of a second view of the photo, in 0-255
    units."""
    second = inputs.second
    assert second is not None
    return CONVENTIONS[inputs.convention].units * motion.stability_loss(
        second.output, inputs.output, second.target, inputs.target, second.flow
    )


def sum_of(values: Iterable[Array]) -> Array:
    """Returns the sum of at least one array, without the rank-promoting 0 of `sum`."""
    first, *rest = values
    for value in rest:
        first = first + value
    return first
