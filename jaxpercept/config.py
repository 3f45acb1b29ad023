"""Frozen configurations and presets: what can be chosen, its default, and the source of every number.

Imports no jax, so that `--help` and argument errors are instant. Sources, quoted beside the numbers:
  [P]  Johnson, Alahi, Fei-Fei 2016, https://arxiv.org/abs/1603.08155 and its supplementary material (layer tables)
  [L]  the authors' Lua code, https://github.com/jcjohnson/fast-neural-style (train.lua, fast_neural_style/*.lua)
  [ours] chosen by this project, with the reason
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import Any

from jaxpercept.errors import InputError

VGG_LAYERS: tuple[str, ...] = tuple(
    f"relu{b}_{i}" for b, n in enumerate((2, 2, 3, 3, 3), start=1) for i in range(1, n + 1)
)
STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")  # [P] section 4.1


def choose(what: str, value: Any, allowed: Any) -> None:
    """Raises InputError unless `value` is one of `allowed`; the message lists them and the nearest first."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), map(str, allowed), 1)
        hint = f"did you mean {near[0]}? Choose" if near else "choose"
        raise InputError(f"{what} {value!r} is not known; {hint} one of: {', '.join(map(str, allowed))}")


@dataclass(frozen=True, kw_only=True)
class TransformNetConfig:
    """The image transform network f_W: `c9s1-stem`, a stride-2 `d` layer per `down`, `blocks` residual blocks, a ×2
    layer per `up`, `c9s1-3`. The output is head_scale * 2 ** (len(up) - len(down)) times the input's size."""

    preset: str = "resize"
    stem: int = 32
    stem_size: int = 9  # of the first and the last kernel
    head_size: int = 9
    head_scale: int = 1  # above 1: the last convolution makes head_scale² phases, which depth to space interleaves
    down: tuple[int, ...] = (64, 128)
    blocks: int = 5
    up: tuple[int, ...] = (64, 32)
    start_padding: int = 0  # reflection padding before the first layer, undone by unpadded residual blocks
    # "reflect", "zero" or "same" (zeros as TensorFlow lays them, at transposed convolutions too): at every convolution
    # but the residual ones under start_padding
    padding: str = "reflect"
    fit: str = "reflect"  # sizes that stride 2 does not divide: "reflect" them up first, or only "crop" the output
    upsample: str = "nearest"  # "nearest" (×2, then a 3×3 convolution), "transposed" or "subpixel"
    norm: str = "instance"  # "instance", "batch" or "none"
    styles: int = 0  # above 0: conditional instance norm, a scale and shift for each style (arXiv 1610.07629)
    norm_eps: float = 1e-5
    norm_momentum: float = 0.9  # share of the old running value that a step keeps; 0.1 in Torch's terms
    head_norm: bool = False  # a norm after the last convolution too, as in lengstrom/fast-style-transfer
    bias: bool = False  # biases of convolutions followed by a norm: their true gradient is zero
    input: str = "centered"  # see transform_net.encode
    output: str = "linear"  # see transform_net.decode
    output_scale: float = 1.0
    skip: str = "none"  # "none", or "bicubic": the upsampled input + output_scale times a linear output

    def __post_init__(self) -> None:
        for name, allowed in _NET_CHOICES.items():
            choose(f"transform net: {name}", getattr(self, name), allowed)
        if min(self.stem, self.blocks, *self.down, *self.up, 1) < 1 and self.blocks != 0:
            raise InputError(f"transform net: channels and blocks must be positive, got {self}")
        if not self.stem_size % 2 or not self.head_size % 2 or self.head_scale < 1:
            raise InputError(f"transform net: stem and head kernels must be odd, head_scale at least 1, got {self}")
        if self.styles < 0 or (self.styles and self.norm != "instance"):
            raise InputError(
                f"transform net: {self.styles} styles in one net need the norm 'instance', got {self.norm!r}; choose "
                "--net resize or --net reference"
            )
        if self.skip == "bicubic" and (self.output != "linear" or len(self.up) < len(self.down)):
            raise InputError(f"transform net: a bicubic skip needs a linear output and no shrinking, got {self}")

    @property
    def scale(self) -> int:
        """Output size / input size."""
        return self.head_scale * 2 ** max(0, len(self.up) - len(self.down))

    def scaled(self, width: float) -> TransformNetConfig:
        """The same net with `width` times the channels (at least 1 each)."""
        if not 0 < width <= 8:
            raise InputError(f"width {width} is not allowed; give a factor above 0 and at most 8, 1 is the paper's net")

        def n(c: int) -> int:
            return max(1, round(c * width))

        return dataclasses.replace(self, stem=n(self.stem), down=tuple(map(n, self.down)), up=tuple(map(n, self.up)))


_NET_CHOICES = {
    "padding": ("reflect", "zero", "same"),
    "fit": ("reflect", "crop"),
    "upsample": ("nearest", "transposed", "subpixel"),
    "norm": ("instance", "batch", "none"),
    "input": ("centered", "vgg", "raw"),
    "output": ("linear", "tanh", "vgg_tanh", "raw"),
    "skip": ("none", "bicubic"),
}

NET_PRESETS: dict[str, TransformNetConfig] = {
    # [P] supplementary, table 1: pad 40, 32-64-128, five blocks of unpadded 3×3, stride-1/2 convolutions, batch norm,
    # scaled tanh into [0, 255]. The eps and the bias are Torch7's defaults.
    "paper": TransformNetConfig(
        preset="paper", start_padding=40, padding="zero", upsample="transposed", norm="batch", bias=True, output="tanh"
    ),
    # [L] models.lua (reflect-start, u64,u32), InstanceNormalization.lua (eps 1e-5), train.lua (tanh_constant 150),
    # preprocess.lua (VGG space: BGR, 0-255, mean subtracted, at the input and the output)
    "reference": TransformNetConfig(
        preset="reference",
        start_padding=40,
        padding="zero",
        upsample="transposed",
        bias=True,
        input="vgg",
        output="vgg_tanh",
        output_scale=150.0,
    ),
    # [ours] no start padding (40 pixels cost 72 % more pixels at 256²), no transposed convolution (checkerboards:
    # https://distill.pub/2016/deconv-checkerboard), a linear output that cannot saturate.
    "resize": TransformNetConfig(output_scale=0.15),
}


SCALES = (2, 4, 8)
SUPERRES_PRESETS = ("paper", "best")


def superres_net(scale: int, preset: str = "best") -> TransformNetConfig:
    """The super-resolution net of a scale. InputError for another scale or preset.

    "paper": [P] supplementary, table 2: c9s1-64, four residual blocks of 64, a stride-1/2 u64 per doubling, c9s1-3,
    zero padding, batch norm, scaled tanh. "best": [ours] all work at low resolution, as EDSR and ESPCN do (arXiv
    1707.02921, 1609.05158): no norm, a sub-pixel head, the bicubic upsample as a global skip; 3×3 kernels only."""
    choose("scale", scale, SCALES)
    choose("super-resolution preset", preset, SUPERRES_PRESETS)
    if preset == "best":
        return TransformNetConfig(
            preset="best", stem=48, stem_size=3, head_size=3, head_scale=scale, down=(), blocks=8, up=(),
            padding="zero", norm="none", output_scale=0.25, skip="bicubic",
        )  # fmt: skip
    return TransformNetConfig(
        preset="paper", stem=64, down=(), blocks=4, up=(64,) * (scale.bit_length() - 1),
        padding="zero", upsample="transposed", norm="batch", bias=True, output="tanh",
    )  # fmt: skip


@dataclass(frozen=True)
class TermSpec:
    """A loss term as the command line sees it; the function of the same name is in `jaxpercept.terms`."""

    name: str
    help: str


# One line a term; the function of this name in jaxpercept/terms.py is the other half.
TERMS: tuple[TermSpec, ...] = (
    TermSpec("content", "feature reconstruction ℓ_feat at the content layers"),
    TermSpec("style", "style reconstruction ℓ_style at the style layers"),
    TermSpec("tv", "total variation of the output"),
    TermSpec("pixel", "pixel loss, output against target, in 0-255 units"),
    TermSpec("l1", "mean absolute difference, output against target, in 0-255 units"),
    TermSpec("hatch", "what repeats every 8 pixels in output minus target: against the cross-hatch of feature losses"),
)
TERM_NAMES = tuple(t.name for t in TERMS)


@dataclass(frozen=True)
class Convention:
    """Where the two loss conventions differ beyond `jaxpercept.losses`, for images in [0, 1]."""

    units: float  # on squared pixel differences (TV, pixel): both conventions count in 0-255
    tv_times_batch: bool  # TV is summed, not averaged, over the batch


CONVENTIONS: dict[str, Convention] = {
    "paper": Convention(units=255.0**2, tv_times_batch=False),  # [P] sections 3.1-3.2
    "reference": Convention(units=255.0**2, tv_times_batch=True),  # [L] TotalVariation.lua
}


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Which terms, with which weights, at which layers, in which convention."""

    losses: str = "reference"
    weights: dict[str, float] = field(default_factory=dict)
    content_layers: tuple[str, ...] = ("relu2_2",)  # [P] section 4.1
    style_layers: tuple[str, ...] = STYLE_LAYERS

    def __post_init__(self) -> None:
        choose("losses", self.losses, CONVENTIONS)
        for name, value in self.weights.items():
            choose("loss term", name, TERM_NAMES)
            if not 0 <= value < float("inf"):
                raise InputError(f"--weights.{name} {value} is not allowed; a weight is a number of at least 0")
        for layer in (*self.content_layers, *self.style_layers):
            choose("VGG-16 layer", layer, VGG_LAYERS)
        if not any(self.weights.values()):
            raise InputError("every loss weight is 0; give at least one, as in --weights.content 1")


# [L] train.lua's defaults. For the paper's losses, which the paper gives no weights for: [ours]. Its Gram sums are C²
# times the means, 65,536 at relu3_3, and its TV twice ours at batch 1.
DEFAULT_WEIGHTS: dict[str, dict[str, float]] = {
    "reference": {"content": 1.0, "style": 5.0, "tv": 1e-6},
    "paper": {"content": 1.0, "style": 5e-5, "tv": 2e-6},
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run of a transform net, style transfer or super-resolution. [P] section 4.1 unless noted."""

    task: str = "style"  # "style", "multistyle" or "superres"
    out: str = "runs/style"
    data: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # shell patterns of file names in `data` to leave out
    style_image: str | None = None
    style_images: tuple[str, ...] = ()  # multistyle: one a style, as many as are trained here; net.styles counts all
    only_new: bool = False  # multistyle: train only the scales and shifts of `style_images`, on top of `init`'s styles
    style_size: int = 256  # longer side of the style image, 0: as it is. [L] style_image_size
    net: TransformNetConfig = NET_PRESETS["resize"]
    objective: ObjectiveConfig = ObjectiveConfig(weights=DEFAULT_WEIGHTS["reference"])
    steps: int = 40_000
    batch_size: int = 4
    image_size: int = 256
    learning_rate: float = 1e-3
    schedule: str = "constant"  # "constant" ([P]) or "cosine" to zero [ours]
    seed: int = 0
    engine: str = "shard_map"
    precision: str = "float32"
    init: str | None = None  # warm start: a weights file
    vgg: str | None = None  # loss network weights; default: the shipped ones
    checkpoint_every: int = 1000
    preview_every: int = 500
    log_every: int = 10
    workers: int = 0  # processes that decode; 0: threads
    cache_gib: float | None = None  # of decoded images kept in memory; None: 2, or an eighth of the memory if less
    max_broken: float = 0.1  # share of the images that may turn out broken (10 always may, but for 0)
    degradation: str = "blur"  # super-resolution: "blur" (σ = 1, then bicubic: [P] section 4.2) or "bicubic"

    def __post_init__(self) -> None:
        choose("task", self.task, ("style", "multistyle", "superres"))
        choose("engine", self.engine, ("shard_map", "pmap"))
        choose("precision", self.precision, ("float32", "bfloat16"))
        choose("schedule", self.schedule, ("constant", "cosine"))
        choose("degradation", self.degradation, ("blur", "bicubic"))
        for name in ("steps", "batch_size", "checkpoint_every", "preview_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} {getattr(self, name)} is not allowed; at least 1")
        if (self.task == "multistyle") != bool(self.style_images) or len(self.style_images) > self.net.styles:
            raise InputError(
                f"task {self.task!r} with {len(self.style_images)} style_images and net.styles {self.net.styles}: "
                "'multistyle' needs at least one, and a net of as many styles; other tasks none"
            )
        if self.only_new and self.task != "multistyle":
            raise InputError(f"only_new is for task 'multistyle', got {self.task!r}")
        for name in ("seed", "workers"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name} {getattr(self, name)} is not allowed; at least 0")
        if self.cache_gib is not None and not 0 <= self.cache_gib < 2**20:
            raise InputError(f"--cache-gib {self.cache_gib:g} is not allowed; GiB of memory, at least 0")
        if not 0 <= self.max_broken <= 1:
            raise InputError(f"--max-broken {self.max_broken} is not allowed; a share of the images, 0 to 1")
        if self.image_size < 16:
            option, paper = ("--patch-size", 288) if self.task == "superres" else ("--image-size", 256)
            raise InputError(f"{option} {self.image_size} is not allowed; at least 16, {paper} in the paper")
        if self.style_size != 0 and self.style_size < 16:
            raise InputError(f"--style-size {self.style_size} is not allowed; at least 16, or 0 for the image's own")
        if not 0 < self.learning_rate < 1:
            raise InputError(
                f"--learning-rate {self.learning_rate} is not allowed; between 0 and 1, 0.001 in the paper"
            )


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
        "objective": ObjectiveConfig(weights={"content": content, "style": style, "tv": tv},
                                     content_layers=("relu3_3",)),
        "style_size": size,
        "steps": steps,
    }  # fmt: skip


# Recipes by name: fields of TrainConfig. The published styles' numbers are those of [L], README and
# models/download_style_transfer_models.sh; the batch-norm ones (ECCV) have the full width, the others half.
RECIPES: dict[str, dict[str, Any]] = {
    "resize": {},
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
    "paper": {"feature": {"content": 1.0}, "pixel": {"pixel": 1.0}},  # [P] section 4.2
    # [ours] L1 has the higher PSNR; the feature loss alone (about 4e4) brings a cross-hatch pattern, however much L1
    # (about 8) is added
    "best": {"feature": {"content": 1.0, "l1": 300.0, "hatch": 2000.0}, "pixel": {"l1": 1.0}},
}


def superres_recipe(scale: int, preset: str = "best", loss: str = "pixel") -> dict[str, Any]:
    """Fields of TrainConfig for super-resolution. InputError for another scale, preset or loss.

    "paper": 288 patches, 200k steps of batch 4, Adam 1e-3, blurred inputs. "best": [ours] small patches, whose
    activations stay in a processor's cache (per second of training, 24 pixels beat 32), a cosine schedule, plain
    bicubic inputs as in the literature's tables."""
    net = superres_net(scale, preset)
    choose("super-resolution loss", loss, SUPERRES_LOSSES[preset])
    recipe: dict[str, Any] = {
        "task": "superres",
        "net": net,
        "objective": ObjectiveConfig(losses="paper", weights=SUPERRES_LOSSES[preset][loss]),
        "out": f"runs/superres-x{scale}-{loss}",
    }
    if preset == "paper":
        return recipe | {"steps": 200_000, "batch_size": 4, "image_size": 288, "degradation": "blur"}
    return recipe | {
        "steps": 40_000 if loss == "pixel" else 10_000,
        "batch_size": 8,
        "image_size": 24 * scale,
        "learning_rate": 1e-3 if loss == "pixel" else 2e-4,  # "feature" starts from the trained "pixel" net: --init
        "schedule": "cosine",
        "degradation": "bicubic",
    }


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as JSON-able nested dicts, for headers, logs and checkpoints."""
    return dataclasses.asdict(config)


def net_from_dict(values: dict[str, Any], source: str) -> TransformNetConfig:
    """The transform net's config in a weights file's header. Raises InputError naming `source`."""
    known = {f.name for f in dataclasses.fields(TransformNetConfig)}
    if extra := set(values) - known:
        raise InputError(f"{source}: its network config has unknown fields {sorted(extra)}; update jaxpercept")
    try:
        return TransformNetConfig(**_tuples(values))
    except TypeError as e:
        raise InputError(f"{source}: its network config cannot be read ({e}); the file is damaged") from e


def train_config_from_dict(values: dict[str, Any]) -> TrainConfig:
    """A run's config as a checkpoint of this or an earlier version has it: what it does not name has its default."""
    net, objective = net_from_dict(values["net"], "checkpoint"), ObjectiveConfig(**_tuples(values["objective"]))
    return TrainConfig(**_tuples(values) | {"net": net, "objective": objective})


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists back to tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
