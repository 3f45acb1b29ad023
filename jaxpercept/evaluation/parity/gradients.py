"""Compares the gradient of the whole objective, loss(φ(f_W(x)), …), with respect to the image and
to f_W's parameters.

The reference is PyTorch's float64 gradient. If an activation lies within rounding of a ReLU's kink
or of another activation in its pooling window, a float32 gradient may take the other branch and
jump by up to 1e-2. That happens in PyTorch as often as here, so a comparison takes the median over
a few images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxpercept.config import (
    DEFAULT_WEIGHTS,
    NET_PRESETS,
    STYLE_LAYERS,
    SUPERRES_LOSSES,
    ObjectiveConfig,
    TransformNetConfig,
    superres_net,
)
from jaxpercept.evaluation.parity.inputs import Arrays, part, picture, variables, vgg_inputs
from jaxpercept.losses import objective
from jaxpercept.nets import transform_net

WIDTH = 0.25


@dataclass(frozen=True)
class Problem:
    """A net and an objective on images of one size."""

    name: str
    net: TransformNetConfig
    objective: ObjectiveConfig
    size: tuple[int, int]

    def inputs(self, draw: int = 0) -> Arrays:
        """Returns float64 "x" (2, H, W, 3), "style" (1, 32, 36, 3), "params.…", "stats.…",
        "vgg.…"."""
        x = picture(self.size, key=f"image {draw}")
        if draw and self.size[0] % 2:
            x = np.clip(np.roll(x, draw, axis=3) * (1 - 0.05 * draw) + 0.02 * draw, 0, 1)
        return {"x": x, "style": picture((32, 36), 1, "style")} | variables(self.net) | vgg_inputs()

    def ours(self, d: dict[str, Array], dtype: Any = None) -> Array:
        """Returns our loss. It takes "grams.…" in place of "style"."""
        params, stats, phi = part(d, "params"), part(d, "stats"), part(d, "vgg")
        output, _ = transform_net.apply(self.net, params, stats, d["x"], train=True, dtype=dtype)
        target = jax.lax.stop_gradient(d["x"])
        target = target.repeat(self.net.scale, 1).repeat(self.net.scale, 2)
        values = objective.evaluate(
            objective.make_terms(self.objective),
            phi,
            part(d, "grams"),
            output,
            target,
            convention=self.objective.losses,
            dtype=dtype,
        )
        return values["loss"].mean()

    def twin(self, d: dict[str, Any]) -> Any:
        """Returns PyTorch's loss."""
        from jaxpercept.evaluation import torch_twin

        output, _ = torch_twin.nets.transform(
            self.net, part(d, "params"), part(d, "stats"), d["x"], train=True
        )
        scale, target = self.net.scale, d["x"].detach()
        target = target.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        return torch_twin.objective.objective(
            self.objective, part(d, "vgg"), d["style"], output, target
        )


def problems() -> Iterator[Problem]:
    """Yields the presets, each with its own losses, on random images of even size and photographs
    of odd size. The target of a super-resolution net is the enlarged input."""
    weights = {kind: dict(values) for kind, values in DEFAULT_WEIGHTS.items()}
    for preset, kind, layers, size in (
        ("resize", "reference", ("relu2_2",), (24, 32)),
        ("paper", "paper", ("relu2_2",), (24, 28)),
        ("reference", "reference", ("relu3_3",), (21, 27)),
    ):
        config = ObjectiveConfig(losses=kind, weights=weights[kind], content_layers=layers)
        yield Problem(
            f"{preset} net, {kind} losses", NET_PRESETS[preset].scaled(WIDTH), config, size
        )
    gated = dataclasses.replace(superres_net(2, "gated"), stem=12, blocks=3)
    config = ObjectiveConfig(losses="paper", weights=SUPERRES_LOSSES["gated"]["feature"])
    yield Problem("super-resolution gated net, its feature losses", gated, config, (13, 18))


def learnable(d: Arrays) -> list[str]:
    """Returns the names of the inputs that the gradient is taken with respect to."""
    return [k for k in d if k == "x" or k.startswith("params.")]


@jax.jit
def _style_targets(phi: dict[str, Array], style: Array) -> objective.Grams:
    return objective.style_targets(phi, style, STYLE_LAYERS)


def function(
    problem: Problem, dtype: Any = None, options: dict[str, Any] | None = None
) -> Callable[..., Any]:
    """Returns the compiled function from (learnable inputs, the others) to the loss and its
    gradient. `options` are XLA's."""

    def loss(some: dict[str, Array], rest: dict[str, Array]) -> Array:
        return problem.ours({**some, **rest}, dtype)

    return jax.jit(jax.value_and_grad(loss), compiler_options=options)


def ours(fn: Callable[..., Any], d: Arrays, wide: Any = np.float32) -> tuple[float, Arrays]:
    """Returns the loss and gradient of `function`, at inputs of type `wide`."""
    names = learnable(d)
    arrays = {k: jnp.asarray(v.astype(wide)) for k, v in d.items()}
    grams = _style_targets(part(arrays, "vgg"), arrays.pop("style"))
    arrays |= {f"grams.{k}": v for k, v in grams.items()}
    value, grads = fn({k: arrays.pop(k) for k in names}, arrays)
    return float(value), {k: np.asarray(v, np.float64) for k, v in grads.items()}


def twin(problem: Problem, d: Arrays, wide: Any = np.float64) -> tuple[float, Arrays]:
    """Returns PyTorch's loss and gradient."""
    from jaxpercept.evaluation import torch_twin

    value, grads = torch_twin.gradient(
        problem.twin, {k: v.astype(wide) for k, v in d.items()}, learnable(d)
    )
    return float(value), {k: v.astype(np.float64) for k, v in grads.items()}


def tree_norm(grads: Arrays) -> float:
    """Returns ‖·‖₂ of all leaves together."""
    return float(np.sqrt(sum(np.square(v).sum() for v in grads.values())))


def tree_error(a: Arrays, b: Arrays) -> float:
    """Returns ‖a - b‖₂ / ‖b‖₂ of all leaves together, so that rounding noise in leaves with a true
    gradient of zero is measured against the other leaves."""
    return tree_norm({k: a[k] - v for k, v in b.items()}) / tree_norm(b)


def compare(
    problem: Problem, precision: str, context: Callable[[], Any], draws: int = 5
) -> tuple[float, float]:
    """Returns the distances of our gradient and of PyTorch's float32 gradient from PyTorch's
    float64 gradient, as medians over `draws` batches. Of the image's and the parameters' gradients,
    it returns the one where ours is worse relative to PyTorch's."""
    fn = function(problem, jnp.dtype(precision))
    errors = []
    for draw in range(draws):
        d = problem.inputs(draw)
        true, rough = twin(problem, d)[1], twin(problem, d, np.float32)[1]
        with context():
            mine = ours(fn, d)[1]
        parts = {"x": true["x"]}, {k: v for k, v in true.items() if k != "x"}
        errors.append([(tree_error(mine, part), tree_error(rough, part)) for part in parts])
    of_x, of_params = np.median(errors, axis=0)
    worse = max(of_x, of_params, key=lambda pair: pair[0] / pair[1])
    return float(worse[0]), float(worse[1])
