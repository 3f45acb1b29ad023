"""What the options of a training run, each allowed by itself, must not be together."""

from __future__ import annotations

from typing import Any

from jaxpercept.config.objective import TERMS
from jaxpercept.errors import InputError, Name


def check(config: Any) -> None:
    """Raises InputError for a settled `TrainConfig` whose options contradict each other."""
    several, count = config.task == "multistyle", len(config.style_images)
    most = {"style": 1, "multistyle": config.net.styles, "superres": 0}[config.task]
    if several != bool(config.net.styles) or not several <= count <= most:
        raise InputError(
            f"task {config.task!r} with {count} style_images and net.styles {config.net.styles}: "
            "'multistyle' needs at least one image and a net of as many styles; 'style' "
            "takes one image"
        )
    if config.image_size < (least := config.net.least_side * config.net.scale):
        raise InputError(
            Name("image_size"),
            f" {config.image_size} is too small for this net; give at least {least}",
        )
    for term in TERMS:
        if term.only and config.task not in term.only and config.objective.weights.get(term.name):
            raise InputError(
                Name(f"weights.{term.name}"), f" is not for the task {config.task!r}; set it to 0"
            )
    if config.cache == "device" and config.task == "superres":
        raise InputError("cache 'device' is for style transfer, got task 'superres'")
    if config.teacher is not None and config.task != "style":
        raise InputError(Name("teacher"), f" is for task 'style', got {config.task!r}")
    if config.teacher is not None and config.objective.weights.get("stability"):
        raise InputError(
            Name("teacher"),
            " cannot be used together with ",
            Name("weights.stability"),
            ", which compares two views of a photo; set that weight to 0",
        )
    if config.only_new and not several:
        raise InputError(f"only_new is for task 'multistyle', got {config.task!r}")
