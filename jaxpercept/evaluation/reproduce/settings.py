"""What `reproduce` runs, at which sizes and lengths. Imports no jax."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpercept.config import choose
from jaxpercept.errors import InputError

# Part: what it shows. The order is that of the report.
PARTS: dict[str, str] = {
    "crossing": "objective over iterations of optimisation, and where it draws level with the net (figure 5)",
    "speed": "seconds for an image, optimised and by the net (table 1)",
    "figure3": "images from the features of each layer",
    "figure4": "images from the style at each set of layers",
    "transfer": "the net's and the optimised images at each size (figure 6)",
    "tv": "the effect of the weight of total variation",
    "style-size": "the effect of the style image's size",
}
FIGURE3 = ("relu2_2", "relu3_3", "relu4_3", "relu5_1", "relu5_3")  # [P] figure 3
FIGURE4 = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # [P] figure 4, each with those before it
TV_FACTORS = (0.0, 1.0, 10.0, 100.0)  # times the net's own λ_TV


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """One reproduction. Sizes are sides of square crops; `images` and `other_images` have a number
    for each size."""

    out: str = "outputs/reproduce"  # results of each unit, so that the same command goes on
    results: str = "docs/results"
    parts: tuple[str, ...] = tuple(PARTS)
    styles: tuple[str, ...] = ()  # shipped names, weights files, or FILE:STYLE; none: all shipped
    style_images: tuple[
        str, ...
    ] = ()  # files and folders in which the styles' own images are found by their sha256
    data: tuple[str, ...] = ()  # photos; none: the sample photos
    sizes: tuple[int, ...] = (256, 512, 1024)  # [P]
    images: tuple[int, ...] = (10, 3, 1)  # photos of the first style, at each size
    other_images: tuple[int, ...] = (4, 0, 0)  # and of each other style
    iterations: int = 200
    whole: bool = False  # go on after the crossing
    init: str = "noise"
    seed: int = 0
    figure_size: int = 256
    figure_iterations: int = 200
    style_sizes: tuple[int, ...] = (128, 256, 512)
    timed_iterations: int = 5

    def __post_init__(self) -> None:
        for part in self.parts:
            choose("part", part, PARTS)
        choose("init", self.init, ("noise", "grey"))
        for name in ("images", "other_images"):
            if len(getattr(self, name)) != len(self.sizes):
                raise InputError(
                    f"--{name.replace('_', '-')} has {len(getattr(self, name))} numbers for "
                    f"{len(self.sizes)} sizes"
                )
            if min(getattr(self, name)) < 0:
                raise InputError(
                    f"--{name.replace('_', '-')} {min(getattr(self, name))} is not allowed; at "
                    "least 0"
                )
        for name, values, least in (
            ("sizes", self.sizes, 16),
            ("figure-size", (self.figure_size,), 16),
            ("style-sizes", self.style_sizes, 16),
            ("iterations", (self.iterations,), 1),
            ("figure-iterations", (self.figure_iterations,), 1),
            ("timed-iterations", (self.timed_iterations,), 1),
            ("seed", (self.seed,), 0),
        ):
            if not values or min(values) < least:
                raise InputError(
                    f"--{name} {min(values, default='')} is not allowed; at least {least}"
                )

    @property
    def reads_styles(self) -> bool:
        """Whether any part needs the nets' style images."""
        return bool(set(self.parts) - {"figure3"})
