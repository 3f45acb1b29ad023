"""The configuration of an optimisation of images, frozen and checked. Imports no jax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jaxpercept.config import VGG_LAYERS, ObjectiveConfig
from jaxpercept.config.options import option, settle
from jaxpercept.errors import InputError, Name, counted

OPTIMIZERS = ("lbfgs", "adam")
INITS = ("content", "noise", "grey")  # or the path of an image
GREY_NOISE = 0.01  # "grey" is 0.5 plus uniform noise up to this


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """One optimisation. Sizes are longer sides in pixels; `iterations` has one number, or one for
    each size."""

    objective: ObjectiveConfig
    sizes: tuple[int, ...] = option(
        (),
        "longer sides of the result, in pixels; each of several starts from the previous result "
        "(default: the size of the content, or of a texture's first style image)",
        group="data",
        metavar="PX",
        least=2,
    )
    style_size: int | None = option(
        None,
        "scale style images to this longer side, in pixels; 0 keeps their own size (default: the "
        "result's longer side)",
        group="data",
        metavar="PX",
        least=2,
        zero="the image's own",
        only=("style", "texture"),
    )
    init: str = option(
        "content",
        f"image to start from: {', '.join(INITS)} (0.5 ± {GREY_NOISE}), or an image file",
        group="data",
        metavar="X",
    )
    iterations: tuple[int, ...] = option(  # [P] section 4.1
        (500,), "one number, or one for each size", group="optimizer", least=1
    )
    optimizer: str = option(
        "lbfgs",
        "lbfgs is L-BFGS with a line search",
        group="optimizer",
        choices=OPTIMIZERS,
    )
    learning_rate: float = option(
        0.02,
        "Adam's step size, for values in [0, 1]",
        group="optimizer",
        above=0,
        idle_with=("optimizer", "lbfgs"),
    )
    history: int = option(
        10,
        "steps that L-BFGS remembers",
        group="optimizer",
        least=1,
        most=1000,
        idle_with=("optimizer", "adam"),
    )
    clip: bool = option(  # [P] section 4.1, "projected L-BFGS"
        False,
        "clip the image to [0, 1] after every iteration, as in the paper",
        group="optimizer",
    )
    seed: int = option(
        0, "seed of the noise; image i has noise from (seed, i)", least=0, most=2**63 - 1
    )
    # the batch size that the "reference" TV is summed over, as in training, to compare with f_W
    batch: int = option(1, least=1)
    report_every: int = option(10, "iterations between lines of progress", least=1)
    save_every: int = option(
        0,
        "also save the image every N iterations, in OUT_frames or OUT/frames; 0 saves none",
        least=0,
    )

    def __post_init__(self) -> None:
        settle(self)
        if not self.iterations:
            raise InputError(Name("iterations"), " is empty; give one number, or one for each size")
        if len(self.iterations) not in (1, max(1, len(self.sizes))):
            sizes = max(1, len(self.sizes))
            counts = f" has {len(self.iterations)} numbers for {counted(sizes, 'size')}"
            raise InputError(Name("iterations"), counts, "; give one, or one for each size")

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that terms of positive weight read."""
        weights, o = self.objective.weights, self.objective
        read = [o.content_layers] * bool(weights.get("content")) + [o.style_layers] * bool(
            weights.get("style")
        )
        return tuple(dict.fromkeys(name for names in read for name in names))

    def stage_iterations(self, stage: int) -> int:
        """Returns the number of iterations at size number `stage`."""
        return self.iterations[stage if len(self.iterations) > 1 else 0]

    def style_side(self, height: int, width: int, size: int) -> int:
        """Returns the longer side that a style image of this height and width is scaled to, where
        the result's is `size`."""
        return size if self.style_size is None else self.style_size or max(height, width)


def check_shares(name: str, shares: Sequence[float], count: int) -> None:
    """Raises InputError unless `shares`, which `name` gave, can weigh `count` style images."""
    total = sum(shares)
    if len(shares) != count or not all(0 <= x < math.inf for x in shares) or (count and not total):
        raise InputError(
            f"{name} {' '.join(map('{:g}'.format, shares))}: give one number of at least 0 for "
            f"each of the {counted(count, 'style image')}, and not 0 for all"
        )
    if total == math.inf:
        raise InputError(f"{name}: the sum of the weights is too large; give smaller weights")


def check_size(name: str, height: int, width: int, layers: tuple[str, ...]) -> None:
    """Raises InputError if an image of this size has nothing left at one of `layers`. The message
    says which layers fit."""
    fits = [layer for layer in VGG_LAYERS if min(height, width) >= 2 ** (int(layer[4]) - 1)]
    if too_deep := [layer for layer in layers if layer not in fits]:
        raise InputError(
            f"{name}: {width}x{height} is too small for {', '.join(too_deep)}; the layers that "
            f"fit: {', '.join(fits) or 'none'}; or give a larger image"
        )
