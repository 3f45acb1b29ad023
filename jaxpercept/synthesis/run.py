"""Runs a whole optimisation: targets, start, sizes from coarse to fine, progress (Johnson et al.
2016, sections 3.2, 4.1).

Images go in and out as float32 RGB (H, W, 3) in [0, 1]. The objective is training's own,
`objective.evaluate`, for each image alone. Without clipping, results may slightly leave [0, 1];
saving clips them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxpercept import images
from jaxpercept.errors import InputError, Name
from jaxpercept.images import Float
from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import vgg
from jaxpercept.runtime import backend
from jaxpercept.synthesis.minimize import State
from jaxpercept.synthesis.settings import (
    GREY_NOISE,
    INITS,
    SynthesisConfig,
    check_shares,
    check_size,
)
from jaxpercept.synthesis.stage import Job, Progress
from jaxpercept.training.start import style_targets

_BYTES = 4 * 64 * 4  # of a pixel at least: four activations of the loss network's 64 channels


@dataclass(frozen=True)
class Result:
    """Images (N, H, W, 3) at the last size. Per size: losses and evaluations (N, 1 + iterations),
    beginning with the start's, and the seconds and evaluations of iterating without the first
    chunk, which compiles."""

    images: np.ndarray
    losses: list[np.ndarray]
    evaluations: list[np.ndarray]
    restarts: np.ndarray
    timed: tuple[float, int]


def synthesize(
    config: SynthesisConfig,
    contents: Sequence[Float],
    styles: Sequence[Float] = (),
    *,
    style_weights: Sequence[float] | None = None,
    start: Sequence[Float] | None = None,
    terms: Sequence[LossTerm] | None = None,
    vgg_params: vgg.Params | None = None,
    progress: Callable[[Progress], Any] | None = None,
) -> Result:
    """Optimises one image for each of `contents`, which share a size. For a texture they only give
    the size.

    styles: images of any sizes. Their Gram matrices are averaged with `style_weights` (the minimum
    is that of the weighted sum of style losses).
    start: images to start from, instead of `config.init`.
    terms: losses of your own, instead of the config's.
    progress: a function called every `report_every` and `save_every` iterations. If it returns
    True, the images are returned as they are, at the size reached.
    Raises InputError for images that are too small for a layer, NotFinite (a FloatingPointError)
    for a loss that is not finite."""
    params = vgg.load_vgg16() if vgg_params is None else vgg_params
    loss_terms = objective.chosen(config.objective, terms)
    job = Job(config, loss_terms, params)
    begun = () if start is None else start
    for what, given in (("content", contents), ("style image", styles), ("start", begun)):
        for x in given:
            shape, kind = np.shape(x), getattr(x, "dtype", type(x))  # a list has no dtype
            if len(shape) != 3 or shape[-1] != 3 or not np.issubdtype(kind, np.floating):
                name = getattr(kind, "__name__", kind)
                raise InputError(
                    f"a {what} of {shape} and {name}: give images (H, W, 3), floats in [0, 1]"
                )
    if not len(contents):
        raise InputError("no contents; give an image for each to make; a texture takes its size")
    if len({x.shape for x in contents}) != 1:
        raise InputError(
            f"images of one size are optimised together, got {[x.shape[:2] for x in contents]}"
        )
    sizes = config.sizes or (max(contents[0].shape[:2]),)
    try_sizes(config, loss_terms, params, contents[0], styles)
    losses, evaluations, timed, image = [], [], (0.0, 0), None
    state: State | None = None
    for stage, size in enumerate(sizes):
        targets = np.stack([images.resize(x, size, "long") for x in contents])
        style_size = max(targets.shape[1:3]) if config.style_size is None else config.style_size
        grams = style_grams(
            params, styles, style_weights, config.objective.style_layers, style_size
        )
        before = start if image is None else [np.clip(x, 0, 1) for x in image]
        first = _start(config, targets) if before is None else _resized(before, targets)
        state, trace, spent, stopped = job.stage(stage, targets, first, grams, progress)
        image = np.asarray(state.image)
        losses.append(trace[0])
        evaluations.append(trace[1])
        timed = (timed[0] + spent[0], timed[1] + spent[1])
        if stopped:
            break
    assert image is not None
    assert state is not None
    return Result(image, losses, evaluations, np.asarray(state.restarts), timed)


def try_sizes(
    config: SynthesisConfig,
    loss_terms: Sequence[LossTerm],
    params: vgg.Params,
    content: Float,
    styles: Sequence[Float],
) -> None:
    """Raises InputError if at one of the sizes the image is too small for a term, so that the
    sizes before it are not computed in vain."""
    small = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    layers, grams = config.objective.style_layers, {}
    if len(styles):
        grams = jax.eval_shape(lambda phi, x: style_targets(phi, x, layers), params, small)
    height, width = content.shape[:2]
    smaller = style_smaller = "smaller ", Name("sizes")
    if config.style_size is not None:
        style_smaller = "a smaller ", Name("style_size")
    for size in config.sizes or (max(height, width),):
        fitted = images.fit(height, width, size, "long")
        if config.layers:
            check_memory(fitted, *smaller)
            for style in styles:
                tall, wide = style.shape[:2]
                scaled = images.fit(tall, wide, config.style_side(tall, wide, size), "long")
                check_memory(scaled, *style_smaller, what="a style image of ")
        objective.try_terms(loss_terms, params, grams, fitted, convention=config.objective.losses)


def check_memory(size: tuple[int, int], *fix: str, what: str = "") -> None:
    """Raises InputError if the loss network needs far more memory for `what`, an image of this
    height and width, than there is. `fix` is what to give instead."""
    height, width = size
    backend.check_memory(f"{what}{width}x{height}", _BYTES * height * width, *fix)


def score(
    config: SynthesisConfig,
    outputs: Sequence[Float],
    contents: Sequence[Float],
    styles: Sequence[Float] = (),
    *,
    vgg_params: vgg.Params | None = None,
) -> dict[str, np.ndarray]:
    """Returns the weighted terms and "loss" that the config's objective gives to `outputs` (N,),
    without optimising."""
    params = vgg.load_vgg16() if vgg_params is None else vgg_params
    job = Job(config, objective.make_terms(config.objective), params)
    pixels = jnp.asarray(np.stack(contents))
    style_size = max(pixels.shape[1:3]) if config.style_size is None else config.style_size
    grams = style_grams(params, styles, None, config.objective.style_layers, style_size)
    values = job.values(
        jnp.asarray(np.stack(outputs)),
        (pixels, job.features(pixels, job.params)),
        (job.params, grams),
    )
    return {name: np.asarray(value) for name, value in values.items()}


def style_grams(
    params: vgg.Params,
    styles: Sequence[Float],
    weights: Sequence[float] | None,
    layers: tuple[str, ...],
    size: int,
) -> objective.Grams:
    """Returns the weighted average of the styles' Gram matrices at the longer side `size` (0 keeps
    their sizes), or {} for no styles."""
    shares = [1.0] * len(styles) if weights is None else list(weights)
    check_shares("style weights", shares, len(styles))
    total: dict[str, Array] = {}
    for style, share in zip(styles, shares, strict=True):
        style = images.resize(style, size, "long") if size else style
        check_size("style image", style.shape[0], style.shape[1], layers)
        for name, gram in style_targets(params, jnp.asarray(style[None]), layers).items():
            total[name] = total.get(name, jnp.zeros_like(gram)) + share / sum(shares) * gram
    return total


def _start(config: SynthesisConfig, targets: np.ndarray) -> np.ndarray:
    """Returns (N, H, W, 3): the content, uniform noise in [0, 1], mid-grey with faint noise, or an
    image file."""
    if config.init == "content":
        return targets
    if config.init not in INITS:
        if config.init.isidentifier():
            allowed = f"choose {', '.join(INITS)}, or give an image file"
            raise InputError(Name("init"), f" {config.init!r} is no image; {allowed}")
        return _resized([images.load_image(config.init)] * len(targets), targets)
    noise = np.stack(
        [
            np.random.default_rng((config.seed, i)).random(x.shape, np.float32)
            for i, x in enumerate(targets)
        ]
    )
    return noise if config.init == "noise" else 0.5 + GREY_NOISE * (2 * noise - 1)


def _resized(pictures: Sequence[Float], targets: np.ndarray) -> np.ndarray:
    if len(pictures) != len(targets):
        raise InputError(
            f"{len(pictures)} images to start from for {len(targets)} contents; give one each"
        )
    return np.stack([images.resize(x, targets.shape[1:3]) for x in pictures])
