"""Runs the units of measurement, one style, size and photo at a time.

Photos are square crops in [0, 1]. Losses are those of the net's own training, by its weights file,
with its weights, convention and batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxpercept import images
from jaxpercept.config import ObjectiveConfig
from jaxpercept.evaluation.reproduce.lab import Lab, Style, Unit
from jaxpercept.evaluation.reproduce.settings import FIGURE3, FIGURE4, TV_FACTORS
from jaxpercept.files import results
from jaxpercept.images import Float
from jaxpercept.synthesis.run import Progress, score, synthesize
from jaxpercept.synthesis.settings import SynthesisConfig


def crossings(lab: Lab) -> Iterator[Unit]:
    """Yields one unit for each style, size and photo."""
    for i, style in enumerate(lab.styles):
        for size, count in zip(
            lab.config.sizes, lab.config.other_images if i else lab.config.images, strict=True
        ):
            for name, photo in lab.squares("sizes", size, count):
                yield crossing(lab, style, size, name, photo)


def crossing(lab: Lab, style: Style, size: int, name: str, photo: Float) -> Unit:
    """Optimises from noise, clipped at every iteration, until the loss equals that of the net's
    clipped output."""
    c = lab.config
    made = optimisation(style, c.iterations, init=c.init, clip=True, seed=c.seed)
    settings = {
        "style": style.name,
        "size": size,
        "image": name,
        "iterations": c.iterations,
        "whole": c.whole,
        "init": c.init,
        "seed": c.seed,
        "weights": style.objective.weights,
        "net_steps": style.model.header["training"]["steps"],
    }

    def measure() -> tuple[Unit, Float]:
        outputs = [np.asarray(style.model(photo[None]))[0], photo, images.square(style.image, size)]
        terms = score(made, outputs, [photo] * 3, [style.image], vgg_params=lab.phi(style))
        values = [{k: float(v[i]) for k, v in terms.items()} for i in range(3)]
        goal = values[0]["loss"]

        def level(p: Progress) -> bool:
            lab.say(
                f"{style.name} {size} {name}: iteration {p.iteration}, "
                f"{p.terms['loss'][0] / goal:.3f} of the net's"
            )
            return not c.whole and bool(p.terms["loss"][0] <= goal)

        result = synthesize(made, [photo], [style.image], vgg_params=lab.phi(style), progress=level)
        losses, evaluations = result.losses[0][0], result.evaluations[0][0]
        below = np.flatnonzero(losses <= goal)
        seconds, spent = result.timed
        return {
            "values": dict(zip(("net", "content", "style"), values, strict=True)),
            "losses": results.rounded(losses.tolist()),
            "evaluations": evaluations.tolist(),
            "crossing": {"iteration": int(below[0]), "evaluations": int(evaluations[below[0]])}
            if len(below)
            else None,
            "seconds_per_evaluation": seconds / spent if spent else None,
            "enlarged": lab.enlarged(name, size),
        }, result.images[0]

    return lab.kept(f"crossing/{style.name}-{size}-{name}", settings, measure)


def optimisation(style: Style, iterations: int, **options: Any) -> SynthesisConfig:
    """Returns the net's own objective as an optimisation."""
    return SynthesisConfig(
        objective=style.objective,
        batch=style.batch,
        style_size=style.style_size,
        iterations=(iterations,),
        **options,
    )


def speeds(lab: Lab) -> Iterator[Unit]:
    """Yields, for the first style at each size, the seconds of the net, of an iteration and of an
    evaluation."""
    style, c = lab.styles[0], lab.config
    for size in c.sizes:
        settings = {
            "style": style.name,
            "size": size,
            "timed_iterations": c.timed_iterations,
            "device": jax.devices()[0].device_kind,
            "cores": os.cpu_count(),
        }

        def measure(size: int = size) -> tuple[Unit, None]:
            photo = lab.squares("sizes", size, 1)[0][1]
            made = optimisation(
                style,
                2 * c.timed_iterations,
                init=c.init,
                clip=True,
                report_every=c.timed_iterations,
            )
            seen = []
            for _ in range(6):  # the first call compiles
                begun = time.perf_counter()
                jax.block_until_ready(style.model(photo[None]))
                seen.append(time.perf_counter() - begun)
            result = synthesize(made, [photo], [style.image], vgg_params=lab.phi(style))
            seconds, spent = result.timed
            return {
                "net_seconds": float(np.median(seen[1:])),
                "seconds_per_iteration": seconds / c.timed_iterations,
                "evaluations_per_iteration": spent / c.timed_iterations,
            }, None

        yield lab.kept(f"speed/{style.name}-{size}", settings, measure)


def figure3(lab: Lab) -> Iterator[Unit]:
    """Reconstructs the first photo from its features at each layer."""
    name, photo = lab.squares("figure_size", lab.config.figure_size, 1)[0]
    for layer in FIGURE3:
        objective = ObjectiveConfig(weights={"content": 1.0}, content_layers=(layer,))
        yield _drawn(
            lab, f"figure3/{name}-{layer}", _figure(lab, objective, init="grey"), photo, None
        )


def figure4(lab: Lab) -> Iterator[Unit]:
    """Reconstructs each style from its Gram matrices at more and more layers."""
    size = lab.config.figure_size
    lab.check_size("figure_size", (size, size))
    blank = np.full((size, size, 3), 0.5, np.float32)
    for style in lab.styles:
        for i, layer in enumerate(FIGURE4):
            objective = ObjectiveConfig(weights={"style": 5.0}, style_layers=FIGURE4[: i + 1])
            yield _drawn(
                lab,
                f"figure4/{style.name}-{layer}",
                _figure(lab, objective, init="noise"),
                blank,
                style,
            )


def tv(lab: Lab) -> Iterator[Unit]:
    """Runs the first style with smaller and larger λ_TV."""
    style = lab.styles[0]
    name, photo = lab.squares("figure_size", lab.config.figure_size, 1)[0]
    for factor in TV_FACTORS:
        own = style.objective.weights.get("tv", 0) or 1e-6
        objective = replace(
            style.objective, weights={**style.objective.weights, "tv": factor * own}
        )
        made = replace(
            _figure(lab, objective, init="content"), batch=style.batch, style_size=style.style_size
        )
        yield _drawn(lab, f"tv/{style.name}-{name}-{factor:g}", made, photo, style)


def style_size(lab: Lab) -> Iterator[Unit]:
    """Runs the first style at several sizes of its image."""
    style = lab.styles[0]
    name, photo = lab.squares("figure_size", lab.config.figure_size, 1)[0]
    for size in lab.config.style_sizes:
        height, width = style.image.shape[:2]
        lab.check_size("style_sizes", images.fit(height, width, size, "long"))
        made = replace(
            _figure(lab, style.objective, init="content"), batch=style.batch, style_size=size
        )
        yield _drawn(lab, f"style-size/{style.name}-{name}-{size}", made, photo, style)


def _figure(lab: Lab, objective: ObjectiveConfig, init: str) -> SynthesisConfig:
    return SynthesisConfig(
        objective=objective,
        iterations=(lab.config.figure_iterations,),
        init=init,
        clip=True,
        seed=lab.config.seed,
    )


def _drawn(lab: Lab, name: str, made: SynthesisConfig, photo: Float, style: Style | None) -> Unit:
    settings = {
        "size": photo.shape[0],
        "iterations": made.iterations,
        "init": made.init,
        "seed": made.seed,
        "weights": made.objective.weights,
        "style_size": made.style_size,
        "layers": made.layers,
    }

    def measure() -> tuple[Unit, Float]:
        last: dict[str, float] = {}

        def note(p: Progress) -> None:
            last.update({k: float(v[0]) for k, v in p.terms.items()})

        pictures = [style.image] if style else []
        result = synthesize(made, [photo], pictures, vgg_params=lab.phi(style), progress=note)
        return {
            "name": name,
            "terms": last,
            "evaluations": int(result.evaluations[0][0, -1]),
        }, result.images[0]

    return lab.kept(name, settings, measure)
