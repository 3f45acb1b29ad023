"""The objective: the loss terms, their weights and layers, and the two conventions."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpercept.config.options import option, settle
from jaxpercept.errors import InputError, Name, choose

# The channels of VGG-16's convolutions, block by block.
VGG_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
VGG_LAYERS: tuple[str, ...] = tuple(
    f"relu{b}_{i}" for b, block in enumerate(VGG_BLOCKS, 1) for i in range(1, len(block) + 1)
)
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # [P] section 4.1


@dataclass(frozen=True)
class TermSpec:
    """A loss term: its name, its help, and what it reads besides the pictures. `features`,
    `target_features` and `style_grams` name the field of `ObjectiveConfig` that holds the
    layers."""

    name: str
    help: str
    features: str = ""
    target_features: str = ""
    style_grams: str = ""
    second_view: bool = False
    flag: str = ""  # the command line's second name for --weights.NAME
    only: tuple[str, ...] = ()  # the tasks that have it; empty: all


# One line per term. The function of the same name in jaxpercept/losses/terms.py computes it.
TERMS: tuple[TermSpec, ...] = (
    TermSpec(
        "content",
        "feature reconstruction loss at the content layers",
        features="content_layers",
        target_features="content_layers",
    ),
    TermSpec(
        "style",
        "style reconstruction loss at the style layers",
        features="style_layers",
        style_grams="style_layers",
    ),
    TermSpec("tv", "total variation of the output; it smooths the output"),
    TermSpec("pixel", "mean squared difference of output and target, in 0-255 units"),
    TermSpec("l1", "mean absolute difference of output and target, in 0-255 units"),
    TermSpec("hatch", "patterns that repeat every 8 pixels; feature losses cause them"),
    TermSpec("flat", "mean absolute difference where the target is smooth, in 0-255 units"),
    TermSpec("weave", "fine stripes along the axes where the target is smooth, in 0-255 units"),
    TermSpec(
        "dark",
        "mean squared brightening of large black areas of the photo, in 0-255 units; 30 keeps them "
        "dark in a style that paints them pale",
    ),
    TermSpec(
        "stability",
        "mean squared difference, in 0-255 units, between the pictures of a photo and of a second "
        "view of it that is moved a little, noisier, and brighter or darker; 100 suits nets for "
        "films",
        second_view=True,
        flag="--stability",
        only=("style", "multistyle"),
    ),
)
TERM_NAMES = tuple(t.name for t in TERMS)
# The other entries of a logged line. No term may have one of these names.
TIMING = ("images_per_s", "ms_per_step", "input_wait", "device_mb")
RESERVED = ("step", "loss", *TIMING)


@dataclass(frozen=True)
class Convention:
    """The differences between the two loss conventions beyond `jaxpercept.losses.functions`, for
    images in [0, 1]."""

    units: float  # factor of squared pixel differences (TV, pixel), which count in 0-255
    tv_times_batch: bool  # whether TV is summed, not averaged, over the batch


CONVENTIONS: dict[str, Convention] = {
    "paper": Convention(units=255.0**2, tv_times_batch=False),  # [P] sections 3.1-3.2
    "reference": Convention(units=255.0**2, tv_times_batch=True),  # [L] TotalVariation.lua
}


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """The terms, their weights and layers, and the convention."""

    losses: str = option(
        "reference",
        "definition of the losses: the paper's, or reference, the authors' code",
        group="objective",
        choices=tuple(CONVENTIONS),
    )
    weights: dict[str, float] = option({}, least=0)
    content_layers: tuple[str, ...] = option(  # [P] section 4.1
        ("relu2_2",),
        "VGG-16 layers of the content loss",
        group="objective",
        metavar="L",
        choices=VGG_LAYERS,
    )
    style_layers: tuple[str, ...] = option(
        STYLE_LAYERS,
        "VGG-16 layers of the style loss",
        group="objective",
        metavar="L",
        choices=VGG_LAYERS,
    )

    def __post_init__(self) -> None:
        for name in self.weights or ():
            choose("loss term", name, TERM_NAMES)
        settle(self)
        for term, layers in (("content", "content_layers"), ("style", "style_layers")):
            if self.weights.get(term) and not getattr(self, layers):
                raise InputError(Name(layers), f" is empty; the {term} loss needs a layer")
        if not any(self.weights.values()):
            example = Name("weights.content")
            raise InputError("every loss weight is 0; give at least one, as in ", example, " 1")


# "reference" is [L] train.lua's defaults. "paper" is [ours], since the paper gives no weights. Its
# Gram sums are C² times the means, 65,536 at relu3_3, and its TV is twice ours at batch 1.
DEFAULT_WEIGHTS: dict[str, dict[str, float]] = {
    "reference": {"content": 1.0, "style": 5.0, "tv": 1e-6},
    "paper": {"content": 1.0, "style": 5e-5, "tv": 2e-6},
}
DEFAULT_OBJECTIVE = ObjectiveConfig(weights=DEFAULT_WEIGHTS["reference"])
