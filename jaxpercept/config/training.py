"""The configuration of a training run: its options. `agreement` checks them against each other."""

from __future__ import annotations

import os
from dataclasses import InitVar, dataclass

from jaxpercept.config import agreement
from jaxpercept.config.net import TransformNetConfig
from jaxpercept.config.objective import DEFAULT_OBJECTIVE, ObjectiveConfig
from jaxpercept.config.options import option, settle
from jaxpercept.config.presets import NET_PRESETS
from jaxpercept.errors import InputError

DEGRADATIONS = ("blur", "bicubic", "jpeg")  # how super-resolution's inputs are made
PRECISIONS = ("float32", "bfloat16")  # the types that a net computes in
CACHES = ("auto", "host", "device")  # for photos


class _Derived(str):
    """What `style_image` reads as. If `dataclasses.replace` passes it back, it changes nothing."""


_NOT_GIVEN = _Derived()


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run of a transform net, for style transfer or super-resolution. [P] section 4.1
    unless noted. `style_image="x"` is short for `style_images=("x",)`."""

    task: str = option("style", choices=("style", "multistyle", "superres"), fixed=True)
    data: tuple[str, ...] = option(
        (),
        "photos: folders (searched with their subfolders), tfds:NAME[/CONFIG], or folders of a "
        "prepared TFDS dataset",
        group="data",
        metavar="D",
        required=True,
    )
    exclude: tuple[str, ...] = option(
        (),
        "leave out photos whose file names match one of these patterns, such as '*_mask.png'",
        group="data",
        metavar="PATTERN",
        fixed=True,
    )
    style_image: InitVar[str | os.PathLike[str] | None] = _NOT_GIVEN  # a single image
    style_images: tuple[str, ...] = ()  # one per style trained here; net.styles counts all styles
    image_size: int = option(
        256,
        "side of the square crops to train on, in pixels",
        group="data",
        least=16,
        most=16_384,
        fixed=True,
        elsewhere={
            "superres": (
                "--patch-size",
                "side of the high-resolution patches, in pixels; smaller photos are left out",
            )
        },
    )
    style_size: int = option(  # [L] style_image_size
        256,
        "scale the style image to this longer side, in pixels; 0 keeps its own size",
        group="data",
        least=16,
        most=16_384,
        zero="the image's own",
        fixed=True,
        only=("style", "multistyle"),
        idle_with=("style_images", ()),
    )
    augment: bool = option(  # [ours]
        False,
        "turn, mirror, zoom (up to 1.15) and brighten or darken photos at random; this prevents "
        "overfitting to few photos",
        group="data",
        fixed=True,
        only=("style", "multistyle"),
    )
    degradation: str = option(
        "blur",
        "how inputs are made small: bicubic; blur, which first applies a Gaussian of 1 pixel, as "
        "in the paper; or jpeg, with random blur, noise and JPEG compression, as in small pictures "
        "from the web",
        group="data",
        choices=DEGRADATIONS,
        fixed=True,
        only=("superres",),
    )
    workers: int = option(
        0,
        "processes that decode photos; 0 decodes in threads",
        group="data",
        least=0,
        idle_with=("cache", "device"),
    )
    cache_gib: float | None = option(
        None,
        "RAM for decoded images, in GiB (default: 2, but at most an eighth of RAM); cached "
        "images are decoded only once, which keeps a fast GPU busy",
        group="data",
        least=0,
        below=2**20,
        idle_with=("cache", "device"),
    )
    cache: str = option(
        "auto",
        "where decoded photos are kept. host: in RAM, up to --cache-gib. device: in the "
        "accelerator's memory, which must hold all of them, and where they are cropped and "
        "augmented too. auto: device on an accelerator if the photos fit into half of its memory "
        "and the run is long enough to see them all, otherwise host",
        group="data",
        choices=CACHES,
        fixed=True,
        only=("style", "multistyle"),
    )
    max_broken: float = option(
        0.1,
        "end the run if more than this share of the photos is broken; 10 broken photos are always "
        "allowed, unless this is 0",
        group="data",
        least=0,
        most=1,
    )
    net: TransformNetConfig = option(NET_PRESETS["resize"], fixed=True)
    init: str | None = option(
        None,
        "start from this weights file, or from a shipped net by its name; the new file's header "
        "counts the steps of both",
        group="net",
        metavar="FILE",
    )
    only_new: bool = option(
        False,
        "train only the scales and shifts of these styles, which must be new to the net of --init; "
        "its other weights stay as they are",
        group="net",
        fixed=True,
        only=("multistyle",),
    )
    objective: ObjectiveConfig = option(DEFAULT_OBJECTIVE, fixed=True)
    average: str | None = option(  # "geometric": [ours]
        None,
        "how the losses of a batch are averaged: arithmetic, as in the paper; or geometric, "
        "where each image counts by its relative improvement (default: arithmetic; with several "
        "styles, geometric)",
        group="objective",
        choices=("arithmetic", "geometric"),
        fixed=True,
    )
    clip: bool = option(  # [ours]
        False,
        "compute the loss on the output clipped to [0, 1], as it is displayed; without it, a net "
        "may learn to leave the range, and the saved picture loses what is clipped",
        group="objective",
        fixed=True,
    )
    teacher: str | None = option(  # [ours]
        None,
        "a net to learn from: the target of each photo is this net's picture, not the photo "
        "itself; for small nets (a shipped name, a weights file, or a blend)",
        group="objective",
        metavar="STYLE",
        only=("style",),
    )
    vgg: str | None = option(
        None,
        "weights of the loss network (default: the shipped VGG-16, trained on ImageNet)",
        group="objective",
        metavar="FILE",
    )
    steps: int = option(40_000, "training steps", group="optimizer", least=1)
    batch_size: int = option(
        4, "images per step, over all devices", group="optimizer", least=1, most=65_536, fixed=True
    )
    optimizer: str = option(  # "muon": [ours], see training/optimizers.py
        "adam",
        "adam is the paper's optimizer; muon gets further in few steps",
        group="optimizer",
        choices=("adam", "muon"),
        fixed=True,
    )
    learning_rate: float = option(
        1e-3, "the optimizer's step size", group="optimizer", above=0, below=1, fixed=True
    )
    weight_decay: float = option(  # [ours]
        0.0,
        "shrink every kernel by this share, times the learning rate, at every step; long runs with "
        "muon need about 0.1, or the kernels grow without bound",
        group="optimizer",
        least=0,
        most=10,
        fixed=True,
    )
    schedule: str = option(  # "cosine": [ours]
        "constant",
        "learning rate over the run; cosine falls to zero at the last step",
        group="optimizer",
        choices=("constant", "cosine"),
        fixed=True,
    )
    precision: str = option(
        "float32",
        "number format of the convolutions; parameters, norms and losses stay float32",
        group="optimizer",
        choices=PRECISIONS,
        fixed=True,
    )
    out: str = option("runs/style", "directory of the run", metavar="RUN")
    seed: int = option(
        0,
        "seed of the initial weights and of the order of photos",
        least=0,
        most=2**63 - 1,
        fixed=True,
    )
    engine: str = option("shard_map", "how devices share a step", choices=("shard_map", "pmap"))
    checkpoint_every: int = option(1000, "steps between checkpoints", least=1)
    preview_every: int = option(500, "steps between preview images", least=1)
    log_every: int = option(10, "steps between logged lines", least=1)

    def __post_init__(self, style_image: str | os.PathLike[str] | None) -> None:
        if isinstance(style_image, _Derived):
            pass
        elif style_image is not None:
            if len(self.style_images) > 1:
                raise InputError("give style_image or style_images, not both")
            object.__setattr__(self, "style_images", (style_image,))
        elif self.task != "multistyle" and len(self.style_images) == 1:
            object.__setattr__(self, "style_images", ())
        settle(self)
        agreement.check(self)

    @property
    def trained_rows(self) -> range:
        """The rows of the net that `style_images` train, which are its last rows. Empty except in
        multistyle."""
        trained = len(self.style_images) if self.task == "multistyle" else 0
        return range(self.net.styles - trained, self.net.styles)


def _style_image(config: TrainConfig) -> _Derived | None:
    return _Derived(config.style_images[0]) if len(config.style_images) == 1 else None


# Inside the class, it would be the default of the argument with this name.
TrainConfig.style_image = property(_style_image)  # type: ignore[attr-defined]
