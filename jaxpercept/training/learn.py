"""Learns a style in a minute: the row of scales and shifts of a shared net.

The kernels of a trained multi-style net stay the same (Dumoulin, Shlens, Kudlur 2017, arXiv
1610.07629), and only the 1,600 numbers move that distinguish one style from another. For a whole
net, the kernels move too. The rates fall along a cosine of the given time, not of a number of
steps, so that one compiled program serves any machine. The objective is the one that trained the
shared net.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxpercept import config as configs
from jaxpercept.errors import InputError
from jaxpercept.inference.model import TRAINED_GRAIN, Model
from jaxpercept.losses import objective
from jaxpercept.nets import learned, net_file, surgery, transform_net, vgg, weights_file
from jaxpercept.runtime import allocator
from jaxpercept.training import style_numbers
from jaxpercept.training.style_numbers import MIX
from jaxpercept.training.style_recipe import Recipe
from jaxpercept.training.targets import MOST, Targets

SIZE = 256  # better than 128² by 13 %
_LONG = 3.0  # minutes


def batch_for(minutes: float, whole: bool) -> int:
    """Returns how many images each step sees. For a row, more steps are worth more than two images
    per step within a minute; later, two images are better by 3 %."""
    return 1 if whole or minutes < _LONG else 2


def augments(minutes: float, whole: bool) -> bool:
    """Returns whether photos are turned, mirrored, zoomed and darkened at random. Kernels that move
    for long would otherwise learn a few photos by heart."""
    return whole and minutes >= _LONG


@dataclass(frozen=True)
class Progress:
    """The state of learning: steps done, the share of the time that has passed, the mean loss terms
    of the last step, and the current net."""

    step: int
    share: float
    terms: dict[str, float]
    model: Model


class Result(NamedTuple):
    """What was learned (a row, or all numbers of a whole net), the number of steps, and the last
    step's mean loss terms."""

    numbers: transform_net.Variables
    steps: int
    terms: dict[str, float]


class Learner:
    """Learns styles one after another on one shared net. Its program is compiled once.

    `base` is the shipped name or file of a multi-style net, by default `multi`; `batch` is the
    number of images per step. With `whole`, a net of its own is learned instead of a row. With
    `augment`, every image is another view. `style_weight` is by default the base's. Raises
    InputError for a net of one style or a missing one."""

    def __init__(
        self,
        base: str = "multi",
        batch: int = 1,
        *,
        whole: bool = False,
        augment: bool = False,
        style_weight: float | None = None,
    ):
        path = weights_file.resolve(base, "styles")
        net, params, stats, header = net_file.load(path)
        if not net.styles:
            raise InputError(
                f"--base {base} holds a single style; give a net of many, such as multi"
            )
        self.base, self.batch, self.recipe = base, batch, Recipe.of(header, style_weight)
        self.whole, self.augment = whole, augment
        self._shared = learned.base_of(base)
        self.config = dataclasses.replace(net, styles=0)
        rows = set(surgery.style_parameters(net))
        self._start = {k: v.mean(0) for k, v in params.items() if k in rows}
        self._spread = {k: params[k] - mean[None] for k, mean in self._start.items()}
        self._kernels = {k: v for k, v in params.items() if k not in rows}
        moved = self._kernels if whole else {}
        self._untrained = {**self._start, MIX: jnp.zeros(net.styles), **moved}
        self._stats = stats
        self._terms = objective.of_one_view(objective.make_terms(self.recipe.objective))
        self._optimizer = style_numbers.optimizer(self._start, moved)
        self._step = jax.jit(self._one_step)
        self._targets = Targets(self._terms, most=0 if augment else MOST)
        self.compiled: Any = None

    def model(self, name: str, numbers: transform_net.Variables) -> Model:
        """Returns the single-style net that these numbers make, as `load_model` does."""
        return Model(name, self.config, {**self._kernels, **numbers}, self._stats, {})

    def first(self, name: str) -> Model:
        """Returns the net before learning: the mean of all styles of the shared net."""
        return self.model(name, self._start)

    def _one_step(
        self,
        trained: transform_net.Variables,
        moments: Any,
        fall: Array,
        batch: Array,
        targets: tuple[vgg.Features, ...],
        spread: transform_net.Variables,
        kernels: transform_net.Variables,
        vgg_params: vgg.Params,
        grams: objective.Grams,
    ) -> tuple[transform_net.Variables, Any, dict[str, Array]]:
        target = batch.astype(jnp.float32) / 255
        features = jax.tree.map(lambda *parts: jnp.concatenate(parts), *targets)

        def loss(trained: transform_net.Variables) -> tuple[Array, dict[str, Array]]:
            output, _ = transform_net.apply(
                self.config,
                {**kernels, **style_numbers.of_net(trained, spread)},
                self._stats,
                target,
                train=True,
            )
            values = objective.evaluate(
                self._terms,
                vgg_params,
                grams,
                objective.projected(output) if self.recipe.clip else output,
                target,
                convention=self.recipe.objective.losses,
                target_features=features,
            )
            return jnp.log(values["loss"]).mean(), {k: v.mean() for k, v in values.items()}

        grads, means = jax.grad(loss, has_aux=True)(trained)
        updates, moments = self._optimizer.update(grads, moments, trained)
        return {k: v + fall * updates[k] for k, v in trained.items()}, moments, means

    def prepared(self, vgg_params: vgg.Params) -> vgg.Params:
        """Returns the loss network's parameters as `learn` takes them."""
        return objective.prepared(self._terms, vgg_params)

    def compile(self) -> None:
        """Compiles the step from shapes alone. It may run in a thread beside other preparations."""
        layers = self.recipe.objective.style_layers
        widths = {name: configs.VGG_BLOCKS[int(name[4]) - 1][0] for name in layers}
        grams = {k: jax.ShapeDtypeStruct((1, c, c), jnp.float32) for k, c in widths.items()}
        phi = {
            k: jax.ShapeDtypeStruct(v, jnp.float32)
            for k, v in (vgg.shapes() | {f"preprocess.{k}": (3,) for k in ("mean", "std")}).items()
        }
        phi = jax.eval_shape(self.prepared, phi)
        trained = self._untrained
        moments = jax.eval_shape(self._optimizer.init, trained)
        batch = jax.ShapeDtypeStruct((self.batch, SIZE, SIZE, 3), jnp.uint8)
        fall = jax.ShapeDtypeStruct((), jnp.float32)
        photo = jax.ShapeDtypeStruct((1, *batch.shape[1:]), batch.dtype)
        targets = (self._targets.compile(phi, photo),) * self.batch
        shapes = (trained, moments, fall, batch, targets, self._spread, self._kernels, phi, grams)
        self.compiled = self._step.lower(*shapes).compile()

    def learn(
        self,
        name: str,
        grams: objective.Grams,
        vgg_params: vgg.Params,
        batches: Iterator[np.ndarray],
        until: float,
        *,
        show: Callable[[Progress], None] = lambda progress: None,
        show_every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        stopped: Sequence[int] = (),
    ) -> Result:
        """Learns until `clock()` reaches `until`, for a step at least, or until `stopped` is no
        longer empty (see `runtime.stopping.requests`). `vgg_params` are of `prepared`, and
        `batches` uint8 (N, 256, 256, 3). `show` is called about every `show_every` seconds. Raises
        FloatingPointError if the loss is not finite."""
        if self.compiled is None:
            self.compile()
        trained, moments = self._untrained, self._optimizer.init(self._untrained)
        fixed = self._spread, self._kernels, vgg_params, grams
        begun = shown = clock()
        step, took, terms, trimmer = 0, 0.0, dict[str, float](), allocator.Trimmer()
        while not stopped and ((now := clock()) + took / 2 < until or not step):
            share = min(1.0, (now - begun) / max(until - begun, 1e-9))
            batch = next(batches)
            targets = self._targets.of(vgg_params, batch)
            fall = jnp.float32(0.5 * (1 + math.cos(math.pi * share)))
            trained, moments, means = self.compiled(trained, moments, fall, batch, targets, *fixed)
            step, terms = step + 1, {k: float(v) for k, v in means.items()}
            if not math.isfinite(terms["loss"]):
                raise FloatingPointError(
                    f"step {step}: the loss is not finite; is the painting a single colour?"
                )
            trimmer.step()
            took = (after := clock()) - now
            if after - shown >= show_every:
                numbers = style_numbers.of_net(trained, self._spread)
                show(Progress(step, share, terms, self.model(name, numbers)))
                shown = clock()
        return Result(style_numbers.of_net(trained, self._spread), step, terms)

    def _run(self, painting: str, steps: int) -> configs.TrainConfig:
        """Returns what was done as a training's config, for the header."""
        return configs.TrainConfig(
            style_image=painting,
            style_size=self.recipe.style_size,
            net=self.config,
            objective=self.recipe.objective,
            clip=self.recipe.clip,
            vgg=self.recipe.vgg,
            steps=max(1, steps),
            batch_size=self.batch,
            image_size=SIZE,
            learning_rate=style_numbers.RATE,
            schedule="cosine",
            average="geometric",
            augment=self.augment,
        )

    def save(
        self, path: Path, style: dict[str, str], numbers: transform_net.Variables, steps: int
    ) -> Path:
        """Writes a row, with a header that names the shared net, or a whole net. `load_model` and
        `--style` take both. `style` is `style_recipe.about` of the painting."""
        header: dict[str, Any] = {
            "task": "style",
            "grain": TRAINED_GRAIN,
            "style": style,
            "training": {
                "steps": steps,
                "images": steps * self.batch,
                "learned_on": self.base,
                "config": configs.to_dict(self._run(style["file"], steps)),
            }
            | ({"kernels": f"Muon at {style_numbers.KERNEL_RATE:g}"} if self.whole else {}),
        }
        if not self.whole:
            header[learned.BASE] = self._shared
        net_file.save(path, self.config, dict(numbers), self._stats, header)
        return path
