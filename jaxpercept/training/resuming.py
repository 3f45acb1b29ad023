"""Whether a run's directory may go on as this one: which of its settings and files must be as they
were.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxpercept.config import TrainConfig, to_dict, train_config_from_dict
from jaxpercept.config.options import fixed
from jaxpercept.errors import InputError
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import multistyle, vgg, weights_file


def contents(
    config: TrainConfig, terms: Sequence[LossTerm], styles: Sequence[multistyle.Style]
) -> dict[str, Any]:
    """What the config only names, as it is now: a checkpoint keeps it, to be compared on
    resuming."""
    found: dict[str, Any] = {"terms": {term.name: term.weight for term in terms}}
    if config.style_image is not None:
        found["style image"] = weights_file.sha256(config.style_image)
    if styles:
        found["styles"] = [dataclasses.asdict(style) for style in styles]
    if config.init is not None:
        file, style = multistyle.split(config.init)
        found["init"] = weights_file.sha256(file) + (f":{style}" if style else "")
    if any(term.features for term in terms):
        found["loss network"] = weights_file.sha256(vgg.source(config.vgg))
    return found


def check(
    folder: Path,
    config: TrainConfig,
    about_data: dict[str, Any],
    now: dict[str, Any],
    about: dict[str, Any],
) -> None:
    """Raises InputError naming each setting that the checkpoint, by its `about`, has otherwise and that must not
    change: also the contents, `now`, of the style image, the loss network, the start and the training images."""
    old = train_config_from_dict(about["config"])
    differing = [name for name in fixed(config) if getattr(old, name) != getattr(config, name)]
    if about["about_data"]["fingerprint"] != about_data["fingerprint"]:
        differing.append("images")
    if old.schedule == "cosine" and old.steps != config.steps:
        differing.append("steps")
    then = dict(about.get("contents", now))
    if old.init is not None and "init" not in then:  # of an earlier version, which went by its name
        then["init"] = now.get("init") if old.init == config.init else old.init
    differing += [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if differing:
        before, after = to_dict(old) | then, to_dict(config) | now
        changes = "; ".join(
            f"{n}: {_short(before.get(n))} → {_short(after.get(n))}" for n in differing
        )
        raise InputError(
            f"{folder} holds a run with other settings ({changes}); give another --out"
            + (
                ", and --init to go on from its weights: cosine ends at --steps"
                if "steps" in differing
                else ""
            )
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
