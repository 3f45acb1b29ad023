"""Named recipes: fields of a TrainConfig chosen by a published style, the paper or this project."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxpercept.config.objective import DEFAULT_WEIGHTS, ObjectiveConfig
from jaxpercept.config.presets import NET_PRESETS, superres_net
from jaxpercept.errors import Name, choose


def _reference(
    content: float = 1.0,
    style: float = 5.0,
    tv: float = 1e-6,
    size: int = 256,
    steps: int = 40_000,
    batch_norm: bool = False,
) -> dict[str, Any]:
    net = NET_PRESETS["reference"]
    return {
        "net": dataclasses.replace(net, norm="batch") if batch_norm else net.scaled(0.5),
        "objective": ObjectiveConfig(
            weights={"content": content, "style": style, "tv": tv}, content_layers=("relu3_3",)
        ),
        "style_size": size,
        "steps": steps,
    }


# Recipes by name: fields of TrainConfig. The published styles' numbers come from [L], README and
# models/download_style_transfer_models.sh. The batch-norm nets (ECCV) have the full width, the
# others half.
RECIPES: dict[str, dict[str, Any]] = {
    **{name: {"net": net} for name, net in NET_PRESETS.items()},
    "paper": {
        "net": NET_PRESETS["paper"],
        "objective": ObjectiveConfig(losses="paper", weights=DEFAULT_WEIGHTS["paper"]),
    },
    "reference": {**_reference(), "net": NET_PRESETS["reference"]},
    "candy": _reference(style=10, tv=1e-4, size=384),
    "composition_vii": _reference(size=512, steps=60_000, batch_norm=True),
    "feathers": _reference(style=10, tv=1e-5, size=180, steps=60_000),
    "la_muse": _reference(content=0.5, style=10, tv=1e-4, size=512),
    "mosaic": _reference(style=10, tv=1e-5, size=512, steps=60_000),
    "starry_night": _reference(style=3, tv=1e-5, size=512, batch_norm=True),
    "the_scream": _reference(style=20, tv=1e-5, size=384, steps=60_000),
    "the_wave": _reference(tv=1e-4, size=512, batch_norm=True),
    "udnie": _reference(content=0.5, style=10),
}


SUPERRES_LOSSES: dict[str, dict[str, dict[str, float]]] = {
    # [P] section 4.2. Section 3.2 adds ℓ_TV and gives no weight for super-resolution; ours is half
    # of the largest that it gives for styles. Without ℓ_TV, ℓ_feat draws a strong cross-hatch.
    "paper": {"feature": {"content": 1.0, "tv": 5e-5}, "pixel": {"pixel": 1.0}},
    # [ours] L1 gives a higher PSNR than squares. The feature loss alone (about 4e4) brings a
    # cross-hatch pattern, however much L1 (about 8) is added.
    "best": {"feature": {"content": 1.0, "l1": 300.0, "hatch": 2000.0}, "pixel": {"l1": 1.0}},
}
SUPERRES_LOSSES["gated"] = SUPERRES_LOSSES["best"]


def superres_recipe(scale: int, preset: str = "best", loss: str = "pixel") -> dict[str, Any]:
    """Returns fields of TrainConfig for super-resolution. Raises InputError for another scale,
    preset or loss.

    "paper": 288 patches, 200k steps of batch 4, Adam 1e-3, blurred inputs. "best": [ours] small
    patches with activations that fit in a processor's cache, a cosine schedule, and plain bicubic
    inputs as in the literature's tables."""
    net = superres_net(scale, preset)
    choose(Name("loss"), loss, SUPERRES_LOSSES[preset])
    recipe: dict[str, Any] = {
        "task": "superres",
        "net": net,
        "objective": ObjectiveConfig(losses="paper", weights=SUPERRES_LOSSES[preset][loss]),
        "out": f"runs/superres-x{scale}-{loss}",
    }
    if preset == "paper":
        return recipe | {
            "steps": 200_000,
            "batch_size": 4,
            "image_size": 288,
            "degradation": "blur",
        }
    return recipe | {
        "steps": 40_000 if loss == "pixel" else 10_000,
        "batch_size": 8,
        "image_size": 24 * scale,
        "learning_rate": 1e-3
        if loss == "pixel"
        else 2e-4,  # "feature" starts from the trained "pixel" net (--init)
        "schedule": "cosine",
        "degradation": "bicubic",
    }
