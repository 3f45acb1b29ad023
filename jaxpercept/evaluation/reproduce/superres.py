"""Trains the paper's super-resolution net with each of its losses, and scores both nets at ×4
(Johnson et al. 2016, sections 3.2 and 4.2).

As in the paper, training inputs are blurred. The paper does not say whether its test inputs are, so
both kinds are scored; its bicubic row agrees with plain inputs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxpercept.config import (
    DEGRADATIONS,
    SUPERRES_LOSSES,
    ObjectiveConfig,
    TrainConfig,
    superres_recipe,
)
from jaxpercept.evaluation import superres
from jaxpercept.evaluation.reproduce.lab import Lab, Unit
from jaxpercept.evaluation.reproduce.settings import SUPERRES_RATES
from jaxpercept.training import loop

SCALE = 4
LAYER = "relu2_2"  # [P] the layer of ℓ_feat
LOSSES = ("pixel", "feature")
INPUTS = tuple(d for d in DEGRADATIONS if d != "jpeg")
PAPER = {"bicubic": (28.43, 0.8114), "pixel": (28.40, 0.8205), "feature": (27.09, 0.7680)}


def scores(lab: Lab) -> Iterator[Unit]:
    """Yields one unit: the scores of both nets on plain and on blurred inputs."""
    c = lab.config
    settings = {
        "steps": c.superres_steps,
        "patch": c.superres_patch,
        "optimizer": c.superres_optimizer,
        "schedule": c.superres_schedule,
        "seed": c.seed,
        "weights": SUPERRES_LOSSES["paper"],
        "images": [Path(d).name for d in c.superres_images],
    }

    def measure() -> tuple[Unit, None]:
        nets = [_trained(lab, loss) for loss in LOSSES]
        sheet = lab.folder / "superres" / "scores.png"
        found = {
            inputs: superres.evaluate_superres(
                c.superres_images,
                SCALE,
                nets,
                degradation=inputs,
                features=(LAYER,),
                sheet=sheet if inputs == "bicubic" else None,
                progress=lab.say,
            )["models"]
            for inputs in INPUTS
        }
        return {"scores": found}, None

    yield lab.kept("superres/scores", settings, measure)


def _trained(lab: Lab, loss: str) -> Path:
    """Returns the weights file of the paper's net with this loss, after training it or resuming its
    run."""
    c = lab.config
    recipe = superres_recipe(SCALE, "paper", loss)
    made = TrainConfig(
        **recipe
        | {
            "objective": _objective(recipe["objective"], recipe["image_size"] / c.superres_patch),
            "data": c.data,
            "image_size": c.superres_patch,
            "steps": c.superres_steps,
            "optimizer": c.superres_optimizer,
            "learning_rate": SUPERRES_RATES[c.superres_optimizer],
            "schedule": c.superres_schedule,
            "seed": c.seed,
            "out": str(lab.folder / "superres" / loss),
        }
    )
    path = loop.train_whole(made)
    named = lab.folder / "superres" / f"{loss}.safetensors"  # scores bear the file's name
    return Path(shutil.copyfile(path, named))


def _objective(objective: ObjectiveConfig, zoom: float) -> ObjectiveConfig:
    """Returns the objective for patches whose side is 1/zoom of the paper's. ℓ_TV is a sum over
    pixels and the other losses are means, so that its share would fall with the patch's area."""
    weights = dict(objective.weights)
    if "tv" in weights:
        weights["tv"] *= zoom**2
    return replace(objective, weights=weights)


def section(lab: Lab, units: list[Unit]) -> str:
    """Returns the table of the report."""
    (unit,) = units
    made = unit["settings"]
    lines = [
        f"{made['steps']} steps of 4 patches of {made['patch']} pixels, {made['optimizer']}, "
        f"{made['schedule']} learning rate, blurred training inputs. PSNR / SSIM; {LAYER} is the "
        "distance to the original in VGG-16's features.\n",
        "| inputs | method | | histogram matched | " + LAYER + " | the paper, Set5 |",
        "|---|---|---|---|---|---|",
    ]
    for inputs, models in unit["scores"].items():
        for name in ("bicubic", *LOSSES):
            plain, matched = models[name], models[name + superres.MATCHED]
            paper = _pair(*PAPER[name]) if inputs == "bicubic" else ""
            cells = (*map(_scored, (plain, matched)), f"{plain[LAYER]:,.0f}", paper)
            lines.append(f"| {inputs} | {name} | {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "\nThe folder of --out has crops of all pictures: superres/scores.png.\n"]
    )


def _scored(entry: dict[str, Any]) -> str:
    return _pair(entry["psnr"], entry["ssim"])


def _pair(psnr: float, ssim: float) -> str:
    return f"{psnr:.2f} / {ssim:.4f}"
