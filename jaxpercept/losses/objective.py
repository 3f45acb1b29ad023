"""The objective: a weighted sum of named loss terms over the loss network's activations (Johnson et
al. 2016, section 3). Pure functions; a term of weight zero is not traced, and no layer is computed
that no term reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxpercept import losses
from jaxpercept.config import TERM_NAMES, ObjectiveConfig
from jaxpercept.errors import InputError
from jaxpercept.losses import terms
from jaxpercept.losses.terms import LossInputs, LossTerm
from jaxpercept.nets import vgg

Grams = dict[str, Float[Array, "m _cj _cj"]]


def make_terms(config: ObjectiveConfig) -> tuple[LossTerm, ...]:
    """The terms of positive weight, in the table's order."""
    layers = {
        "content": {"features": config.content_layers, "target_features": config.content_layers},
        "style": {"features": config.style_layers},
    }
    made = []
    for name in TERM_NAMES:
        if weight := config.weights.get(name, 0.0):
            fn = getattr(terms, name)
            reads = layers.get(name, {})
            if reads:
                fn = partial(fn, layers=reads["features"])
            made.append(LossTerm(name, fn, weight, **reads))
    return tuple(made)


def evaluate(
    loss_terms: Sequence[LossTerm],
    vgg_params: vgg.Params,
    style_grams: Grams,
    output: Float[Array, "n h w 3"],
    target: Float[Array, "n h w 3"],
    *,
    convention: str = "reference",
    batch: int | None = None,
    dtype: jnp.dtype | None = None,
    target_features: vgg.Features | None = None,
) -> dict[str, Float[Array, " n"]]:
    """Each term times its weight, per image, by name, and their sum as "loss".

    `style_grams`: from `style_targets`; may be empty without a style term. `batch`: images in the
    global batch, default N. `dtype`: what φ computes in. `target_features`: from `content_targets`,
    where one target is evaluated many times; default: computed here. Raises InputError for terms
    that share a name or lack a style target."""
    active = [t for t in loss_terms if t.weight]
    names = [t.name for t in active]
    if not active or len(set(names)) < len(names) or "loss" in names:
        raise InputError(
            f"loss terms need distinct names other than 'loss' and a weight above 0, got {names}"
        )
    if "style" in names and not style_grams:
        raise InputError(
            "the style term needs a style image; give --style-image, or set --weights.style 0"
        )
    wanted, target_wanted = (
        _union(t.features for t in active),
        _union(t.target_features for t in active),
    )

    def phi(x: Array, layers: tuple[str, ...]) -> vgg.Features:
        return (
            vgg.vgg_features(vgg_params, x if dtype is None else x.astype(dtype), layers)
            if layers
            else {}
        )

    inputs = LossInputs(
        output=output,
        target=target,
        features=phi(output, wanted),
        target_features=jax.lax.stop_gradient(
            phi(target, target_wanted) if target_features is None else target_features
        ),
        style_grams=style_grams,
        convention=convention,
        batch=output.shape[0] if batch is None else batch,
    )
    values = {t.name: t.weight * t.fn(inputs) for t in active}
    for name, value in values.items():
        if value.shape != output.shape[:1]:
            raise ValueError(
                f"loss term {name!r} must return one number per image, ({output.shape[0]},): "
                f"{value.shape}"
            )
    return {"loss": terms.sum_of(values.values()), **values}


@jax.custom_vjp
def projected(x: Array) -> Array:
    """x clipped to [0, 1], as it is displayed. Its gradient is the projected one, a function of the clipped point
    alone: zero only where descent would leave the range. So the values that a line search saw beyond it stay true once
    x is clipped."""
    return jnp.clip(x, 0, 1)


def _projected_backward(x: Array, grad: Array) -> tuple[Array]:
    leaves = ((x <= 0) & (grad > 0)) | ((x >= 1) & (grad < 0))
    return (jnp.where(leaves, jnp.zeros((), grad.dtype), grad),)


projected.defvjp(lambda x: (jnp.clip(x, 0, 1), x), _projected_backward)


def content_targets(
    loss_terms: Sequence[LossTerm], vgg_params: vgg.Params, target: Float[Array, "n h w 3"]
) -> vgg.Features:
    """What `evaluate` needs of the target's activations, by layer name."""
    layers = _union(t.target_features for t in loss_terms if t.weight)
    return vgg.vgg_features(vgg_params, target, layers) if layers else {}


def style_targets(
    vgg_params: vgg.Params, style: Float[Array, "m h w 3"], layers: Sequence[str]
) -> Grams:
    """The Gram matrices of style images at `layers`, averaged over them: (1, C, C) by name
    (equation 3)."""
    features = vgg.vgg_features(vgg_params, style, tuple(layers))
    return {name: losses.gram_matrix(f).mean(0, keepdims=True) for name, f in features.items()}


def _union(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
