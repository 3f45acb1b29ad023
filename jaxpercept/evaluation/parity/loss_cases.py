"""The cases of losses and Gram matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jax import Array

from jaxpercept import losses
from jaxpercept.evaluation.parity.case import Case, load_twin
from jaxpercept.evaluation.parity.inputs import Arrays, uniform


def cases(size: tuple[int, int]) -> Iterator[Case]:
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

    yield case(
        "feature",
        lambda d: losses.feature_loss(d["a"], d["b"]),
        lambda t, d: t.feature_loss(d["a"], d["b"]),
    )
    yield case(
        "pixel",
        lambda d: losses.pixel_loss(d["a"], d["b"]),
        lambda t, d: t.feature_loss(d["a"], d["b"]),
    )
    yield case(
        "l1",
        lambda d: losses.absolute_loss(d["a"], d["b"]),
        lambda t, d: t.absolute_loss(d["a"], d["b"]),
    )
    yield case(
        "hatch",
        lambda d: losses.hatch_loss(d["a"], d["b"]),
        lambda t, d: t.hatch_loss(d["a"], d["b"]),
    )
    for name in ("flat", "weave"):  # these take RGB
        yield case(
            name,
            lambda d, n=name: getattr(losses, f"{n}_loss")(d["a"][..., :3], d["b"][..., :3]),
            lambda t, d, n=name: getattr(t, f"{n}_loss")(d["a"][..., :3], d["b"][..., :3]),
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
