"""What `reproduce` runs, in which sizes and lengths. Imports no jax."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpercept.config.options import option, settle
from jaxpercept.errors import InputError, Name, counted

# Each part and what it shows, in the order of the report.
PARTS: dict[str, str] = {
    "crossing": "when optimisation draws level with the net (figure 5)",
    "speed": "seconds per image, by optimisation and by the net (table 1)",
    "figure3": "images from the features of each layer",
    "figure4": "images from the style at each set of layers",
    "transfer": "the net's and the optimised images, at each size (figure 6)",
    "tv": "the effect of the weight of total variation",
    "style-size": "the effect of the style image's size",
    "superres": "super-resolution: scores of the paper's net by loss (figure 8)",
}
STYLE_PARTS = tuple(part for part in PARTS if part != "superres")
FIGURE3 = ("relu2_2", "relu3_3", "relu4_3", "relu5_1", "relu5_3")  # [P] figure 3
FIGURE4 = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # [P] figure 4, each with all before it
TV_FACTORS = (0.0, 1.0, 10.0, 100.0)  # factors of the net's own λ_TV
SUPERRES_RATES = {"adam": 1e-3, "muon": 3e-3}  # learning rates; Adam's is [P]


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """One reproduction. Sizes are the sides of square crops; `images` and `other_images` have a
    number for each size."""

    parts: tuple[str, ...] = option(
        STYLE_PARTS,
        "parts to run, see below (default: all but superres)",
        group="data",
        metavar="P",
        choices=tuple(PARTS),
    )
    styles: tuple[str, ...] = option(
        (),
        "shipped names, weights files or FILE:STYLE (default: all shipped)",
        group="data",
        metavar="M",
    )
    style_images: tuple[str, ...] = option(
        (),
        "files or folders; each net's own style image is found among them by its checksum",
        group="data",
        metavar="S",
    )
    data: tuple[str, ...] = option(
        (),
        "photos or folders of photos; a net's training photos are left out (default: the sample "
        "photos)",
        group="data",
        metavar="D",
    )
    sizes: tuple[int, ...] = option(  # [P]
        (256, 512, 1024), "sides of the square images", group="data", least=16
    )
    images: tuple[int, ...] = option(
        (10, 3, 1), "photos for the first style, one number for each size", group="data", least=0
    )
    other_images: tuple[int, ...] = option(
        (4, 0, 0), "photos for every other style, one number for each size", group="data", least=0
    )
    style_sizes: tuple[int, ...] = option(
        (128, 256, 512), "longer sides to compare in the part style-size", group="data", least=16
    )
    figure_size: int = option(256, "side of the images in the figures", group="data", least=16)
    superres_images: tuple[str, ...] = option(
        (),
        "test images of the part superres, such as the folder of Set5; it trains on --data",
        group="data",
        metavar="D",
    )
    superres_patch: int = option(
        144, "side of the patches that the part superres trains on", group="data", least=48
    )
    superres_steps: int = option(
        3000, "steps of each net of the part superres", group="optimizer", least=1
    )
    superres_optimizer: str = option(  # [P] adam; muon gets further in few steps
        "muon",
        "optimizer of the part superres",
        group="optimizer",
        choices=tuple(SUPERRES_RATES),
    )
    superres_schedule: str = option(
        "cosine",
        "learning rate of the part superres",
        group="optimizer",
        choices=("constant", "cosine"),
    )
    iterations: int = option(
        200, "iterations after which the search for a crossing ends", group="optimizer", least=1
    )
    figure_iterations: int = option(
        200, "iterations for each image in the figures", group="optimizer", least=1
    )
    timed_iterations: int = option(
        5,
        "iterations to time for the speed table, after as many untimed",
        group="optimizer",
        least=1,
    )
    whole: bool = option(
        False, "continue after optimisation has reached the net's loss", group="optimizer"
    )
    init: str = option(
        "noise", "start of the optimisation", group="optimizer", choices=("noise", "grey")
    )
    seed: int = option(0, "seed of the noise", least=0, most=2**63 - 1)
    out: str = option("outputs/reproduce", "folder that keeps every measurement", metavar="DIR")
    results: str = option("docs/results", "folder of the report", metavar="DIR")

    def __post_init__(self) -> None:
        settle(self)
        for name in ("sizes", "style_sizes"):
            if not getattr(self, name):
                raise InputError(Name(name), " is empty; give at least one number")
        for name in ("images", "other_images"):
            if len(getattr(self, name)) != len(self.sizes):
                sizes = counted(len(self.sizes), "size")
                counts = f" has {len(getattr(self, name))} numbers for {sizes}"
                raise InputError(Name(name), counts, "; give one for each size")
        for name, what in (("data", "training photos"), ("superres_images", "test images")):
            if "superres" in self.parts and not getattr(self, name):
                raise InputError(Name(name), f" is empty; the part superres needs {what}")

    @property
    def reads_styles(self) -> bool:
        """Whether any part needs the nets' style images."""
        return bool(set(self.parts) - {"figure3", "superres"})
