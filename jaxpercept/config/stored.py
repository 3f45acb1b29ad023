"""Configurations as JSON-able dicts, in headers, logs and checkpoints, also of earlier versions."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxpercept.config.net import check_known, net_from_dict
from jaxpercept.config.objective import ObjectiveConfig
from jaxpercept.config.training import TrainConfig


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a configuration as nested dicts."""
    return dataclasses.asdict(config)


def train_config_from_dict(values: dict[str, Any]) -> TrainConfig:
    """Returns a run's config from a checkpoint of this or an earlier version. Missing fields get
    their defaults."""
    values = {"cache": "host"} | dict(values)  # what versions without it did
    if image := values.pop("style_image", None):  # from versions in which it was a field
        values["style_images"] = (image,)
    for kind, given in ((TrainConfig, values), (ObjectiveConfig, values["objective"])):
        check_known(kind, given, f"checkpoint: its {kind.__name__}")
    net, objective = (
        net_from_dict(values["net"], "checkpoint"),
        ObjectiveConfig(**values["objective"]),
    )
    return TrainConfig(**values | {"net": net, "objective": objective})
