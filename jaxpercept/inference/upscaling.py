"""The shipped super-resolution nets by scale, and the names that `--model` takes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jaxpercept.config import SCALES, net_from_dict
from jaxpercept.errors import InputError, Name
from jaxpercept.inference.model import Model, Net, load_model
from jaxpercept.nets import weights_file

Source = TypeVar("Source")


def shipped(scale: int) -> dict[str, dict[str, Any]]:
    """Returns the shipped super-resolution nets of a scale, with their files' headers."""
    found = {}
    for name in weights_file.available("superres"):
        path = weights_file.resolve(name, "superres")
        header = weights_file.read_header(path)
        if "net" in header and net_from_dict(header["net"], str(path)).scale == scale:
            found[name] = header
    return found


def factor(
    scale: float | None,
    width: int | None,
    sources: Sequence[Source],
    width_of: Callable[[Source], int],
) -> float | None:
    """Returns how many times larger the images or films are to become, the largest factor of all.
    Returns None if neither `scale` nor `width` is set. Files that cannot be read do not count, and
    neither do those that no net enlarges so far: they fail alone later. Raises InputError if no net
    enlarges any of them so far. `width_of` returns a file's width."""
    if width is None:
        return scale
    found = []
    for source in sources:
        with contextlib.suppress(InputError):
            found.append(width_of(source))
    most = max(SCALES) * max(found, default=width)
    if width > most:
        raise InputError(
            Name("width"),
            f" {width} is more than {max(SCALES)} times the input's {max(found)} pixels; give at "
            f"most {most}, or enlarge in two steps",
        )
    return max((width / one for one in found if width <= max(SCALES) * one), default=None)


def net_scale(factor: float, has_nets: Callable[[int], Any] = shipped) -> int:
    """Returns the smallest scale of at least `factor` that `has_nets`. If there is none, returns
    one without, so that the caller reports what is missing. Raises InputError above 8."""
    if factor > max(SCALES):
        raise InputError(
            f"{factor:.4g} times larger is more than {max(SCALES)} times; enlarge in two steps"
        )
    wanted = [s for s in SCALES if s >= factor]
    return next((s for s in wanted if has_nets(s)), wanted[0])


def label(net: Net, scale: float | None, width: int | None) -> str:
    """Returns the ending of outputs' names: the net, and the size if the net does not imply it."""
    times = f"x{net.config.scale}"
    name = net.name if times in net.name else f"{times}-{net.name}"
    if width is not None:
        return f"{name}-{width}px"
    return name if scale in (None, net.config.scale) else f"{name}-by-{scale:g}"


def default_model(scale: int) -> str:
    """Returns the first shipped net of a scale. If there is none, raises an InputError that says
    what there is and how to train one."""
    if found := shipped(scale):
        return next(iter(found))
    raise InputError(
        f"no net of scale {scale} is shipped (shipped: "
        f"{', '.join(weights_file.available('superres')) or 'none'}); "
        f"train one: python train.py superres --scale {scale} --loss pixel --data PHOTOS/ --out "
        "RUN, "
        "then give --model RUN/model.safetensors"
    )


def load_upscaler(
    name_or_file: str | os.PathLike[str], scale: int | None = None, *, precision: str = "float32"
) -> Model:
    """Loads a super-resolution net, shipped or from a file, of `scale` if given. Raises InputError
    for a net of another scale (and names those that fit) or another kind."""
    model = load_model(name_or_file, kind="superres", precision=precision)
    if model.config.scale == 1:
        raise InputError(f"{name_or_file}: is a style net, of scale 1; give a super-resolution net")
    if scale not in (None, model.config.scale):
        fitting = ", ".join(shipped(scale)) or "none is shipped"
        raise InputError(
            f"{name_or_file}: a net of scale {model.config.scale}, not {scale}; of scale {scale}: "
            f"{fitting}"
        )
    return model
