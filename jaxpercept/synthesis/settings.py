"""What an optimisation of images is asked to do: a frozen configuration, checked. Imports no
jax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxpercept.config import VGG_LAYERS, ObjectiveConfig, choose
from jaxpercept.errors import InputError

OPTIMIZERS = ("lbfgs", "adam")
INITS = ("content", "noise", "grey")  # or the path of an image
GREY_NOISE = 0.01  # "grey" is 0.5 plus uniform noise of at most this


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """One optimisation. Sizes are longer sides in pixels; `iterations` has one number, or one for
    each size."""

    objective: ObjectiveConfig
    sizes: tuple[
        int, ...
    ] = ()  # coarse to fine, each starting from the last one's result; none: as the content is
    style_size: int | None = None  # of style images; None: the output's longer side, 0: as they are
    iterations: tuple[int, ...] = (500,)  # [P] section 4.1
    optimizer: str = "lbfgs"
    learning_rate: float = 0.02  # Adam's, for values in [0, 1]
    history: int = 10  # pairs that L-BFGS keeps
    clip: bool = False  # to [0, 1] after every iteration: [P] section 4.1, "projected L-BFGS"
    init: str = "content"
    seed: int = 0  # image i of the job has noise from (seed, i)
    batch: int = 1  # images in the batch that the "reference" TV is summed over; training's batch to compare with f_W
    report_every: int = 10
    save_every: int = 0  # iterations between saved images; 0: none

    def __post_init__(self) -> None:
        choose("optimizer", self.optimizer, OPTIMIZERS)
        for name, least in (
            ("history", 1),
            ("batch", 1),
            ("report_every", 1),
            ("save_every", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(
                    f"--{name.replace('_', '-')} {getattr(self, name)} is not allowed; at least "
                    f"{least}"
                )
        if not self.iterations or min(self.iterations) < 1:
            raise InputError(
                f"--iterations {' '.join(map(str, self.iterations))} is not allowed; at least 1"
            )
        if len(self.iterations) not in (1, max(1, len(self.sizes))):
            raise InputError(
                f"--iterations has {len(self.iterations)} numbers for {len(self.sizes)} sizes; "
                "give one, or one a size"
            )
        if any(size < 2 for size in self.sizes):
            raise InputError(
                f"--sizes {' '.join(map(str, self.sizes))} is not allowed; at least 2 pixels a side"
            )
        if self.style_size is not None and self.style_size != 0 and self.style_size < 2:
            raise InputError(
                f"--style-size {self.style_size} is not allowed; at least 2, or 0 for the image's "
                "own"
            )
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"--learning-rate {self.learning_rate} is not allowed; above 0")

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that terms of positive weight read."""
        weights, o = self.objective.weights, self.objective
        read = [o.content_layers] * bool(weights.get("content")) + [o.style_layers] * bool(
            weights.get("style")
        )
        return tuple(dict.fromkeys(name for names in read for name in names))

    def stage_iterations(self, stage: int) -> int:
        """How many iterations the size number `stage` gets."""
        return self.iterations[stage if len(self.iterations) > 1 else 0]


def check_size(name: str, height: int, width: int, layers: tuple[str, ...]) -> None:
    """InputError if an image of this size has nothing left at one of `layers`; says which layers
    fit."""
    fits = [layer for layer in VGG_LAYERS if min(height, width) >= 2 ** (int(layer[4]) - 1)]
    if too_deep := [layer for layer in layers if layer not in fits]:
        raise InputError(
            f"{name}: {width}x{height} is too small for {', '.join(too_deep)}; the layers that "
            "fit: "
            f"{', '.join(fits) or 'none'}; or give a larger image"
        )
