"""The objective: a weighted sum of named loss terms over the loss network's activations (Johnson et
al. 2016, section 3), as pure functions. A term of weight zero is not traced, and a layer that no
term reads is not computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxpercept import losses
from jaxpercept.config import TERMS, VGG_LAYERS, ObjectiveConfig
from jaxpercept.errors import InputError
from jaxpercept.losses import terms
from jaxpercept.losses.terms import LossInputs, LossTerm, SecondView
from jaxpercept.nets import vgg

Grams = dict[str, Float[Array, "m _cj _cj"]]


def make_terms(config: ObjectiveConfig) -> tuple[LossTerm, ...]:
    """Returns the terms of positive weight, in the table's order."""
    made = []
    for spec in TERMS:
        if weight := config.weights.get(spec.name, 0.0):
            fields = ("features", "target_features", "style_grams")
            reads = {f: getattr(config, at) for f in fields if (at := getattr(spec, f))}
            fn = getattr(terms, spec.name)
            if spec.features:
                fn = partial(fn, layers=reads["features"])
            made.append(LossTerm(spec.name, fn, weight, **reads, second_view=spec.second_view))
    return tuple(made)


def of_one_view(loss_terms: Sequence[LossTerm]) -> tuple[LossTerm, ...]:
    """Returns the terms that judge a picture alone, without a second view of its photo."""
    return tuple(term for term in loss_terms if not term.second_view)


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
    second: SecondView | None = None,
) -> dict[str, Float[Array, " n"]]:
    """Returns each weighted term by name, per image, and their sum as "loss".

    style_grams: from `style_targets`; may be empty without a style term.
    batch: the number of images in the global batch, by default N.
    dtype: the type that φ computes in.
    target_features: from `content_targets`, if one target is evaluated many times; by default they
    are computed here.
    second: the second view, for terms that compare two views.
    Raises InputError as `check_terms` does, and for a term that reads or returns what it must
    not."""
    active = check_terms(loss_terms, style_grams)
    if second is None and (lacking := [t.name for t in active if t.second_view]):
        raise InputError(
            f"the loss term {lacking[0]!r} compares two views of a photo, which only a training "
            f"has; set its weight, --weights.{lacking[0]}, to 0"
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
        second=second,
    )
    values = {t.name: t.weight * _value(t, inputs) for t in active}
    return {"loss": terms.sum_of(values.values()), **values}


def prepared(loss_terms: Sequence[LossTerm], vgg_params: vgg.Params) -> vgg.Params:
    """Returns the loss network's parameters for many evaluations of these terms, see
    `vgg.prepared`."""
    layers = _union(t.features + t.target_features for t in loss_terms if t.weight)
    return vgg.prepared(vgg_params, layers)


def chosen(config: ObjectiveConfig, own: Any) -> tuple[LossTerm, ...]:
    """Returns the terms of a config, or a user's `own` in their place unless these are None. Raises
    InputError for what is not a list of terms."""
    if own is None:
        return make_terms(config)
    if isinstance(own, LossTerm) or not isinstance(own, Iterable):
        raise InputError(f"terms: {own!r:.100} is not a list; give a list, [LossTerm(name, fn)]")
    given = tuple(own)
    for term in given:
        if not isinstance(term, LossTerm):
            raise InputError(f"terms: {term!r:.100} is not a LossTerm; give LossTerm(name, fn)")
    return given


def try_terms(
    loss_terms: Sequence[LossTerm],
    vgg_params: vgg.Params,
    style_grams: Mapping[str, Any],
    size: tuple[int, int],
    *,
    convention: str = "reference",
    two_views: bool = False,
) -> None:
    """Runs terms on images of this (height, width), on shapes alone. Of `style_grams`, only the
    shapes count. Raises InputError for what `evaluate` refuses, and for images that are too small
    for a term."""

    def image(channels: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((1, *size, channels), jnp.float32)

    def values(phi: vgg.Params, grams: Any, x: Array, y: Array, flow: Array) -> Any:
        second = SecondView(y, x, flow) if two_views else None
        return evaluate(loss_terms, phi, grams, x, y, convention=convention, second=second)

    one = {k: jax.ShapeDtypeStruct((1, *g.shape[1:]), g.dtype) for k, g in style_grams.items()}
    try:
        jax.eval_shape(values, vgg_params, one, image(3), image(3), image(2))
    except InputError:
        raise
    except ValueError as e:
        raise InputError(f"images of {size[1]}x{size[0]}: {e}") from e


def check_terms(loss_terms: Sequence[LossTerm], style_layers: Collection[str]) -> list[LossTerm]:
    """Returns the terms of positive weight. `style_layers` are the layers with style targets.
    Raises InputError if there is no term, terms share a name, or a style target is missing."""
    active = [t for t in loss_terms if t.weight]
    if not active:
        raise InputError("every loss term has the weight 0; give one of them a weight above 0")
    for i, term in enumerate(active):
        if term.name in {t.name for t in active[:i]}:
            raise InputError(
                f"two loss terms are named {term.name!r}; give them distinct names, under which "
                "they are logged"
            )
        if missing := [layer for layer in term.style_grams if layer not in style_layers]:
            raise InputError(
                f"the loss term {term.name!r} needs the style's Gram matrices at "
                f"{', '.join(missing)}, and there is no style image; give --style-image, or "
                f"set its weight, --weights.{term.name}, to 0"
            )
    return active


def _value(term: LossTerm, inputs: LossInputs) -> Float[Array, " n"]:
    """Returns the term's value for each image. Raises InputError if it is anything else. Any other
    exception of its function passes on, with the term's name in a note."""
    try:
        value = term.fn(inputs)
    except KeyError as e:
        layer = e.args[0] if e.args else None
        if layer not in VGG_LAYERS:
            e.add_note(f"in the loss term {term.name!r}")
            raise
        raise InputError(
            f"the loss term {term.name!r} reads {layer}, which it did not ask for; name the layer "
            "where it is made: LossTerm(…, features=, target_features= or style_grams=)"
        ) from e
    except AttributeError as e:
        if e.name is None or e.obj is not None or inputs.second is not None:
            e.add_note(f"in the loss term {term.name!r}")
            raise
        raise InputError(
            f"the loss term {term.name!r} reads {e.name!r} of None; if that is `second`, make the "
            "term with LossTerm(…, second_view=True)"
        ) from e
    except Exception as e:
        e.add_note(f"in the loss term {term.name!r}")
        raise
    count = inputs.output.shape[0]
    is_array = isinstance(value, Array)
    if not is_array or value.shape != (count,) or not jnp.issubdtype(value.dtype, jnp.floating):
        found = f"{value.dtype}{value.shape}" if is_array else repr(value)
        raise InputError(
            f"the loss term {term.name!r} returned {found}; it must return one number per image, "
            f"float32({count},), for instance by .mean((1, 2, 3))"
        )
    return value


@jax.custom_vjp
def projected(x: Array) -> Array:
    """Clips x to [0, 1], as it is displayed. The gradient is the projected one, zero only where
    descent would leave the range. It depends on the clipped point alone, so the values that a line
    search saw outside stay true once x is clipped."""
    return jnp.clip(x, 0, 1)


def _projected_backward(x: Array, grad: Array) -> tuple[Array]:
    leaves = ((x <= 0) & (grad > 0)) | ((x >= 1) & (grad < 0))
    return (jnp.where(leaves, jnp.zeros((), grad.dtype), grad),)


projected.defvjp(lambda x: (jnp.clip(x, 0, 1), x), _projected_backward)


def content_targets(
    loss_terms: Sequence[LossTerm], vgg_params: vgg.Params, target: Float[Array, "n h w 3"]
) -> vgg.Features:
    """Returns the target's activations that `evaluate` needs, by layer name."""
    layers = _union(t.target_features for t in loss_terms if t.weight)
    return vgg.vgg_features(vgg_params, target, layers) if layers else {}


def style_targets(
    vgg_params: vgg.Params, style: Float[Array, "m h w 3"], layers: Sequence[str]
) -> Grams:
    """Returns the Gram matrices of style images at `layers`, averaged over the images: (1, C, C) by
    name (equation 3)."""
    features = vgg.vgg_features(vgg_params, style, tuple(layers))
    return {name: losses.gram_matrix(f).mean(0, keepdims=True) for name, f in features.items()}


def _union(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
