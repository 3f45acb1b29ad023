"""One training run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from jaxpercept.config.net import (
    NET_PRESETS,
    TransformNetConfig,
    check_known,
    net_from_dict,
    tuples,
)
from jaxpercept.config.objective import DEFAULT_OBJECTIVE, ObjectiveConfig
from jaxpercept.errors import InputError, choose


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run of a transform net, style transfer or super-resolution. [P] section 4.1
    unless noted."""

    task: str = "style"  # "style", "multistyle" or "superres"
    out: str = "runs/style"
    data: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # shell patterns of file names in `data` to leave out
    style_image: str | None = None
    style_images: tuple[
        str, ...
    ] = ()  # multistyle: one a style, as many as are trained here; net.styles counts all
    only_new: bool = False  # multistyle: train only the scales and shifts of `style_images`, on top of `init`'s styles
    style_size: int = 256  # longer side of the style image, 0: as it is. [L] style_image_size
    net: TransformNetConfig = NET_PRESETS["resize"]
    objective: ObjectiveConfig = DEFAULT_OBJECTIVE
    steps: int = 40_000
    batch_size: int = 4
    image_size: int = 256
    optimizer: str = "adam"  # or "muon" [ours], see optimizers.py
    learning_rate: float = 1e-3
    schedule: str = "constant"  # "constant" ([P]) or "cosine" to zero [ours]
    average: str | None = (
        None  # over images: "arithmetic" ([P]) or "geometric" [ours]; None: the latter in multistyle
    )
    clip: bool = False  # judge the output clipped to [0, 1], as it is displayed [ours]
    augment: bool = False  # turn, mirror, zoom, brighten photos at random [ours]; super-resolution: see `data.pipeline`
    seed: int = 0
    engine: str = "shard_map"
    precision: str = "float32"
    init: str | None = None  # warm start: a weights file
    vgg: str | None = None  # loss network weights; default: the shipped ones
    checkpoint_every: int = 1000
    preview_every: int = 500
    log_every: int = 10
    workers: int = 0  # processes that decode; 0: threads
    cache_gib: float | None = (
        None  # of decoded images kept in memory; None: 2, or an eighth of the memory if less
    )
    max_broken: float = (
        0.1  # share of the images that may turn out broken (10 always may, but for 0)
    )
    degradation: str = (
        "blur"  # super-resolution: "blur" (σ = 1, then bicubic: [P] section 4.2) or "bicubic"
    )

    def __post_init__(self) -> None:
        choose("task", self.task, ("style", "multistyle", "superres"))
        choose("engine", self.engine, ("shard_map", "pmap"))
        choose("precision", self.precision, ("float32", "bfloat16"))
        choose("optimizer", self.optimizer, ("adam", "muon"))
        choose("schedule", self.schedule, ("constant", "cosine"))
        if self.average is not None:
            choose("average", self.average, ("arithmetic", "geometric"))
        choose("degradation", self.degradation, ("blur", "bicubic"))
        for name in ("steps", "batch_size", "checkpoint_every", "preview_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"--{name.replace('_', '-')} {getattr(self, name)} is not allowed; at least 1"
                )
        if (self.task == "multistyle") != bool(self.style_images) or len(
            self.style_images
        ) > self.net.styles:
            raise InputError(
                f"task {self.task!r} with {len(self.style_images)} style_images and net.styles "
                f"{self.net.styles}: "
                "'multistyle' needs at least one, and a net of as many styles; other tasks none"
            )
        if self.only_new and self.task != "multistyle":
            raise InputError(f"only_new is for task 'multistyle', got {self.task!r}")
        for name in ("seed", "workers"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name} {getattr(self, name)} is not allowed; at least 0")
        if self.cache_gib is not None and not 0 <= self.cache_gib < 2**20:
            raise InputError(
                f"--cache-gib {self.cache_gib:g} is not allowed; GiB of memory, at least 0"
            )
        if not 0 <= self.max_broken <= 1:
            raise InputError(
                f"--max-broken {self.max_broken} is not allowed; a share of the images, 0 to 1"
            )
        if self.image_size < 16:
            option, paper = (
                ("--patch-size", 288) if self.task == "superres" else ("--image-size", 256)
            )
            raise InputError(
                f"{option} {self.image_size} is not allowed; at least 16, {paper} in the paper"
            )
        if self.style_size != 0 and self.style_size < 16:
            raise InputError(
                f"--style-size {self.style_size} is not allowed; at least 16, or 0 for the "
                "image's own"
            )
        if not 0 < self.learning_rate < 1:
            raise InputError(
                f"--learning-rate {self.learning_rate} is not allowed; between 0 and 1, 0.001 in "
                "the paper"
            )


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as JSON-able nested dicts, for headers, logs and checkpoints."""
    return dataclasses.asdict(config)


def train_config_from_dict(values: dict[str, Any]) -> TrainConfig:
    """A run's config as a checkpoint of this or an earlier version has it: what it does not name
    has its default."""
    for kind, given in ((TrainConfig, values), (ObjectiveConfig, values["objective"])):
        check_known(kind, given, f"checkpoint: its {kind.__name__}")
    net, objective = (
        net_from_dict(values["net"], "checkpoint"),
        ObjectiveConfig(**tuples(values["objective"])),
    )
    return TrainConfig(**tuples(values) | {"net": net, "objective": objective})
