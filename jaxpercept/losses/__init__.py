"""The perceptual losses: pure functions of arrays that return one number per image, (N,).

`functions` has the paper's losses, `artefacts` ours, `terms` the table of loss terms with weights
in a training, and `objective` their weighted sum. Images are in [0, 1]; shapes are checked, never
broadcast.
"""

from jaxpercept.losses.artefacts import (
    DARK_CELL,
    DARK_LUMA,
    FLAT_DEVIATION,
    FLAT_WINDOW,
    HATCH_PERIOD,
    HATCH_WINDOW,
    dark_loss,
    flat_loss,
    hatch_loss,
    weave_loss,
)
from jaxpercept.losses.functions import (
    absolute_loss,
    feature_loss,
    gram_matrix,
    pixel_loss,
    style_loss,
    total_variation,
)

__all__ = [
    "DARK_CELL",
    "DARK_LUMA",
    "FLAT_DEVIATION",
    "FLAT_WINDOW",
    "HATCH_PERIOD",
    "HATCH_WINDOW",
    "absolute_loss",
    "dark_loss",
    "feature_loss",
    "flat_loss",
    "gram_matrix",
    "hatch_loss",
    "pixel_loss",
    "style_loss",
    "total_variation",
    "weave_loss",
]
