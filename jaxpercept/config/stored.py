"""Configurations as JSON-able dicts, in headers, logs and checkpoints, also of earlier versions."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxpercept.config.net import check_known, net_from_dict
from jaxpercept.config.objective import ObjectiveConfig
from jaxpercept.config.training import TrainConfig
from jaxpercept.errors import InputError


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a configuration as nested dicts."""
    return dataclasses.asdict(config)


def train_config_from_dict(values: Any, where: str = "checkpoint") -> TrainConfig:
    """Returns a run's config from a checkpoint or a header of this or an earlier version. Missing
    fields get their defaults. Raises InputError, which names the file as `where`, for anything
    else."""
    try:
        return _train_config(values, where)
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise InputError(
            f"{where}: its training's settings cannot be read ({type(e).__name__}: {e}); the file "
            "is damaged"
        ) from e


def objective_from_dict(values: Any, where: str) -> ObjectiveConfig:
    """Returns an objective from a header. Raises InputError as above."""
    try:
        check_known(ObjectiveConfig, values, f"{where}: its ObjectiveConfig")
        layers = {k: tuple(values[k]) for k in ("content_layers", "style_layers") if k in values}
        return ObjectiveConfig(**values | layers)
    except (AttributeError, TypeError, ValueError) as e:
        raise InputError(f"{where}: its objective cannot be read ({e}); the file is damaged") from e


def _train_config(values: dict[str, Any], where: str) -> TrainConfig:
    values = {"cache": "host"} | dict(values)  # what versions without it did
    if image := values.pop("style_image", None):  # from versions in which it was a field
        values["style_images"] = (image,)
    check_known(TrainConfig, values, f"{where}: its TrainConfig")
    objective = objective_from_dict(values["objective"], where)
    net = net_from_dict(values["net"], where)
    return TrainConfig(**values | {"net": net, "objective": objective})
