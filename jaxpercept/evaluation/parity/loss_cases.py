"""The cases of losses and Gram matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jax import Array

from jaxpercept import losses
from jaxpercept.evaluation.parity.case import Case, load_twin
from jaxpercept.evaluation.parity.inputs import Arrays, uniform
from jaxpercept.losses import motion


def cases(size: tuple[int, int]) -> Iterator[Case]:
    """Yields every loss, on arrays of this (height, width)."""

    def inputs() -> Arrays:
        a, b = uniform("a", (2, *size, 7), -1.0, 2.0), uniform("b", (2, *size, 7), -1.0, 2.0)
        return {
            "a": a,
            "b": b,
            "g": uniform("g", (2, 7, 7)),
            "target": uniform("target", (1, 7, 7)),
        }

    def case(name: str, ours: Any, twin: Any) -> Case:
        def run(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
            return {"y": ours({k: v.astype(dtype) if k in "ab" else v for k, v in d.items()})}

        return Case("loss", name, inputs, run, lambda d: {"y": twin(load_twin().objective, d)})

    for name, loss, twin, channels in (
        ("feature", losses.feature_loss, "feature_loss", 7),
        ("pixel", losses.pixel_loss, "feature_loss", 7),
        ("l1", losses.absolute_loss, "absolute_loss", 7),
        ("hatch", losses.hatch_loss, "hatch_loss", 7),
        ("flat", losses.flat_loss, "flat_loss", 3),  # these take RGB
        ("weave", losses.weave_loss, "weave_loss", 3),
    ):
        yield case(
            name,
            lambda d, f=loss, c=channels: f(d["a"][..., :c], d["b"][..., :c]),
            lambda t, d, n=twin, c=channels: getattr(t, n)(d["a"][..., :c], d["b"][..., :c]),
        )
    yield case(  # a photo dark enough to count
        "dark",
        lambda d: losses.dark_loss(d["a"][..., :3], d["b"][..., :3] / 5),
        lambda t, d: t.dark_loss(d["a"][..., :3], d["b"][..., :3] / 5),
    )
    yield case(
        "stability",
        lambda d: motion.stability_loss(*_views(d)),
        lambda t, d: t.stability_loss(*_views(d)),
    )
    yield case(
        "Gram matrix", lambda d: losses.gram_matrix(d["a"]), lambda t, d: t.gram_matrix(d["a"])
    )
    for kind in ("paper", "reference"):
        yield case(
            f"style, {kind}",
            lambda d, c=kind: losses.style_loss(d["g"], d["target"], convention=c),
            lambda t, d, c=kind: t.style_loss(d["g"], d["target"], c),
        )
        yield case(
            f"total variation, {kind}",
            lambda d, c=kind: losses.total_variation(d["a"], convention=c),
            lambda t, d, c=kind: t.total_variation(d["a"], c),
        )


def _views(d: Any) -> tuple[Any, ...]:
    """Returns the second and the first picture, their inputs, and a flow of up to 6 pixels."""
    a, b = d["a"], d["b"]
    return a[..., :3], b[..., :3], a[..., 3:6], b[..., 3:6], 3 * a[..., 5:7]
