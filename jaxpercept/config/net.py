"""The configuration of the image transform network f_W: what can be chosen, and its bounds."""

from __future__ import annotations

import dataclasses
import numbers
from dataclasses import dataclass
from typing import Any

from jaxpercept.errors import InputError, Name, choose, number


@dataclass(frozen=True, kw_only=True)
class TransformNetConfig:
    """The image transform network f_W: `c9s1-stem`, a stride-2 `d` layer per `down`, `blocks`
    residual blocks, a ×2 layer per `up`, `c9s1-3`. The output is head_scale * 2 ** (len(up) -
    len(down)) times the input's size."""

    preset: str = "resize"
    stem: int = 32
    stem_size: int = 9  # size of the first kernel
    head_size: int = 9
    head_scale: int = 1  # above 1: head_scale² phases of the last convolution, then depth to space
    down: tuple[int, ...] = (64, 128)
    blocks: int = 5
    gate: bool = False  # adds an attention gate to residual blocks, see layers.ResidualBlock
    up: tuple[int, ...] = (64, 32)
    start_padding: int = (
        0  # reflection padding before the first layer, undone by unpadded residual blocks
    )
    # "reflect", "zero" or "same" (zeros as in TensorFlow, also at transposed convolutions). It
    # holds for every convolution, except the residual ones under start_padding.
    padding: str = "reflect"
    # Sizes that stride 2 does not divide: "reflect" them up first, or only "crop" the output.
    fit: str = "reflect"
    upsample: str = "nearest"  # "nearest" (×2, then a 3×3 convolution), "transposed" or "subpixel"
    norm: str = "instance"  # "instance", "batch" or "none"
    styles: int = (
        0  # above 0: conditional instance norm, a scale and shift for each style (arXiv 1610.07629)
    )
    norm_eps: float = 1e-5
    norm_momentum: float = 0.9  # share of the old running value kept per step; 0.1 in Torch's terms
    head_norm: bool = (
        False  # also a norm after the last convolution, as in lengstrom/fast-style-transfer
    )
    bias: bool = False  # biases of convolutions followed by a norm: their true gradient is zero
    input: str = "centered"  # see transform_net.encode
    output: str = "linear"  # see transform_net.decode
    output_scale: float = 1.0
    skip: str = (
        "none"  # "none", or "bicubic": the upsampled input + output_scale times a linear output
    )

    def __post_init__(self) -> None:
        for name in _NET_CHOICES:
            choose(f"transform net: {name}", getattr(self, name), _NET_CHOICES[name])
        for name, (low, high) in BOUNDS.items():
            _check_number(name, getattr(self, name), low, high)
        flags = [f.name for f in dataclasses.fields(self) if isinstance(f.default, bool)]
        for name in flags:
            if not isinstance(getattr(self, name), bool):
                raise _wrong(name, getattr(self, name), "true or false")
        if not isinstance(self.preset, str):
            raise _wrong("preset", self.preset, "a name")
        if not self.stem_size % 2 or not self.head_size % 2:
            raise InputError(f"transform net: stem and head kernels must be odd, got {self}")
        if self.styles and self.norm != "instance":
            raise InputError(
                f"transform net: {self.styles} styles in one net need the norm 'instance', got "
                f"{self.norm!r}; choose "
                "--net resize or --net reference"
            )
        if self.skip == "bicubic" and (self.output != "linear" or len(self.up) < len(self.down)):
            raise InputError(
                f"transform net: a bicubic skip needs a linear output and no shrinking, got {self}"
            )

    @property
    def scale(self) -> int:
        """The output's size over the input's."""
        return self.head_scale * 2 ** max(0, len(self.up) - len(self.down))

    @property
    def least_side(self) -> int:
        """The shortest side, in pixels, that an image may have."""
        return 16 if self.down else 8

    def scaled(self, width: float) -> TransformNetConfig:
        """Returns the same net with `width` times the channels (at least 1 each)."""
        if not 0 < width <= 8:
            raise InputError(
                Name("width"),
                f" {number(width)} is not allowed; give a factor above 0 and at most 8; 1 is the "
                "preset's own width",
            )

        def n(c: int) -> int:
            return max(1, round(c * width))

        return dataclasses.replace(
            self, stem=n(self.stem), down=tuple(map(n, self.down)), up=tuple(map(n, self.up))
        )


# The bounds, both included, of a number or of each item of a tuple. A header beyond them is
# damaged, or made to fill the memory.
BOUNDS: dict[str, tuple[float, float]] = {
    "stem": (1, 4096),
    "stem_size": (1, 31),
    "head_size": (1, 31),
    "head_scale": (1, 16),
    "down": (1, 4096),
    "blocks": (0, 128),
    "up": (1, 4096),
    "start_padding": (0, 512),
    "styles": (0, 10_000),
    "norm_eps": (0.0, 1.0),
    "norm_momentum": (0.0, 1.0),
    "output_scale": (-10_000.0, 10_000.0),
}
_MAX_LAYERS = 6  # the limit for `down` and for `up`


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    """Raises InputError for a number out of bounds. It must be whole in a tuple, or if its bounds
    are."""
    if name in ("down", "up"):
        if not isinstance(value, tuple) or len(value) > _MAX_LAYERS:
            raise _wrong(name, value, f"at most {_MAX_LAYERS} widths")
        for width in value:
            _check_number(f"a width in {name}", width, low, high)
        return
    kind: Any = numbers.Integral if isinstance(low, int) else numbers.Real
    if not isinstance(value, kind) or isinstance(value, bool) or not low <= value <= high:
        what = "a whole number" if isinstance(low, int) else "a number"
        raise _wrong(name, value, f"{what} from {low:,} to {high:,}")


def _wrong(name: str, value: Any, wanted: str) -> InputError:
    return InputError(f"transform net: {name} is {value!r:.80}; it has to be {wanted}")


_NET_CHOICES = {
    "padding": ("reflect", "zero", "same"),
    "fit": ("reflect", "crop"),
    "upsample": ("nearest", "transposed", "subpixel"),
    "norm": ("instance", "batch", "none"),
    "input": ("centered", "vgg", "raw"),
    "output": ("linear", "tanh", "vgg_tanh", "raw"),
    "skip": ("none", "bicubic"),
}


def apart(net: TransformNetConfig, other: TransformNetConfig) -> str:
    """Returns the fields of `net` that are not those of `other`, in words."""
    mine, theirs = dataclasses.asdict(net), dataclasses.asdict(other)
    return ", ".join(
        f"{name} {value}, not {theirs[name]}"
        for name, value in mine.items()
        if value != theirs[name]
    )


def net_from_dict(values: dict[str, Any], source: str) -> TransformNetConfig:
    """Returns the transform net's config in a weights file's header. Raises an InputError that
    names `source`."""
    check_known(TransformNetConfig, values, f"{source}: its network config")
    try:
        return TransformNetConfig(**tuples(values))
    except (InputError, TypeError) as e:
        raise InputError(
            f"{source}: its network config cannot be read ({e}); the file is damaged"
        ) from e


def check_known(kind: Any, values: dict[str, Any], what: str) -> None:
    """Raises InputError for fields that the dataclass `kind` lacks, which a newer version wrote."""
    if not isinstance(values, dict):
        raise InputError(f"{what} is {values!r:.80}, not a dict; the file is damaged")
    if extra := set(values) - {field.name for field in dataclasses.fields(kind)}:
        raise InputError(f"{what} has unknown fields {sorted(extra)}; update jaxpercept")


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Converts JSON's lists back to tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
