"""Runs the iterations at one size, on compiled functions that all sizes share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import vgg
from jaxpercept.synthesis.minimize import State, make_minimizer
from jaxpercept.synthesis.settings import SynthesisConfig, check_size


@dataclass(frozen=True)
class Progress:
    """The position of the job: `iteration` of `iterations` at one size, and per image the
    evaluations and the weighted terms by name."""

    height: int
    width: int
    iteration: int
    iterations: int
    evaluations: np.ndarray
    terms: dict[str, np.ndarray]
    seconds: float  # at this size, with compilation
    images: np.ndarray  # (N, H, W, 3)
    save: bool  # whether it is a frame of `save_every`


class NotFinite(FloatingPointError):
    """The loss of the `images` of a batch, counted from 0, is not finite. `reason` says when, and
    what to do."""

    def __init__(self, images: Sequence[int], iteration: int) -> None:
        self.images = images
        self.reason = (
            f"is not finite at iteration {iteration}; give smaller weights or, with the optimizer "
            "adam, a smaller learning rate"
        )
        several = "s" if len(images) > 1 else ""
        numbers = ", ".join(str(i + 1) for i in images)
        super().__init__(f"the loss of image{several} {numbers} {self.reason}")


class Job:
    """The compiled functions of a config."""

    def __init__(self, config: SynthesisConfig, terms: Sequence[LossTerm], params: vgg.Params):
        self.config, self.terms = config, terms
        self.params = objective.prepared(terms, params)
        convention = config.objective.losses

        def evaluate(image: Array, target: Any, shared: Any) -> dict[str, Array]:
            params, grams = shared
            pixels, features = target
            values = objective.evaluate(
                terms,
                params,
                grams,
                image[None],
                pixels[None],
                convention=convention,
                batch=config.batch,
                target_features={name: f[None] for name, f in features.items()},
            )
            return {name: value[0] for name, value in values.items()}

        self.minimizer = make_minimizer(
            config, lambda x, target, shared: evaluate(x, target, shared)["loss"]
        )
        self.values = jax.jit(
            lambda x, targets, shared: jax.lax.map(
                lambda e: evaluate(e[0], e[1], shared), (x, targets)
            )
        )
        self.features = jax.jit(
            lambda x, params: jax.lax.map(
                lambda e: {
                    k: f[0] for k, f in objective.content_targets(terms, params, e[None]).items()
                },
                x,
            )
        )

    def stage(
        self,
        stage: int,
        pixels: np.ndarray,
        first: np.ndarray,
        grams: objective.Grams,
        progress: Callable[[Progress], Any] | None,
    ) -> tuple[State, tuple[np.ndarray, np.ndarray], tuple[float, int], bool]:
        """Runs all iterations at one size. Also returns whether `progress` stopped it."""
        config, total = self.config, self.config.stage_iterations(stage)
        height, width = pixels.shape[1:3]
        check_size("image", height, width, config.layers)
        targets, shared = (
            (jnp.asarray(pixels), self.features(pixels, self.params)),
            (self.params, grams),
        )
        begun = time.monotonic()
        state = self.minimizer.init(jnp.asarray(first, jnp.float32), targets, shared)
        self._check(state, 0)
        losses, evaluations = (
            [np.asarray(state.value)[:, None]],
            [np.asarray(state.evaluations)[:, None]],
        )
        chunk = (
            math.gcd(config.report_every, config.save_every)
            if config.save_every
            else config.report_every
        )
        done, timed, stopped = 0, (0.0, 0), False
        while done < total and not stopped:
            count, clock = min(chunk, total - done), time.monotonic()
            state, trace = self.minimizer.run(state, targets, shared, count, chunk)
            losses.append(np.asarray(trace.loss)[:, :count])
            evaluations.append(np.asarray(trace.evaluations)[:, :count])
            done += count
            self._check(state, done)
            if done > count:
                spent = int((evaluations[-1][:, -1] - evaluations[-2][:, -1]).sum())
                timed = (timed[0] + time.monotonic() - clock, timed[1] + spent)
            save = bool(config.save_every) and done % config.save_every == 0
            if progress and (save or done % config.report_every == 0 or done == total):
                terms = {
                    k: np.asarray(v) for k, v in self.values(state.image, targets, shared).items()
                }
                seen = evaluations[-1][:, -1]
                seconds, image = time.monotonic() - begun, np.asarray(state.image)
                stopped = bool(
                    progress(
                        Progress(height, width, done, total, seen, terms, seconds, image, save)
                    )
                )
        return state, (np.concatenate(losses, 1), np.concatenate(evaluations, 1)), timed, stopped

    def _check(self, state: State, iteration: int) -> None:
        if bad := np.flatnonzero(~np.isfinite(state.value)).tolist():
            raise NotFinite(bad, iteration)
