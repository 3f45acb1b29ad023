"""The shipped super-resolution nets by scale, and what `--model` may name."""

from __future__ import annotations

import os

from jaxpercept.config import net_from_dict
from jaxpercept.errors import InputError
from jaxpercept.inference.model import Model, load_model
from jaxpercept.nets import weights_file


def shipped(scale: int) -> list[str]:
    """The shipped super-resolution nets of a scale, by their files' headers."""
    found = []
    for name in weights_file.available("superres"):
        path = weights_file.resolve(name, "superres")
        _, header = weights_file.read_weights(path)
        if "net" in header and net_from_dict(header["net"], str(path)).scale == scale:
            found.append(name)
    return found


def default_model(scale: int) -> str:
    """The first shipped net of a scale. InputError when there is none, with what there is and how
    to train one."""
    if found := shipped(scale):
        return found[0]
    raise InputError(
        f"no net of scale {scale} is shipped (there is: "
        f"{', '.join(weights_file.available('superres')) or 'none'}); "
        f"train one: python train.py superres --scale {scale} --loss pixel --data PHOTOS/ --out "
        "RUN, "
        "then give --model RUN/model.safetensors"
    )


def load_upscaler(
    name_or_file: str | os.PathLike[str], scale: int | None = None, *, precision: str = "float32"
) -> Model:
    """A super-resolution net, shipped or from a file, of `scale` if given. InputError when it is of
    another, naming those that fit, or no super-resolution net."""
    model = load_model(name_or_file, kind="superres", precision=precision)
    if model.config.scale == 1:
        raise InputError(
            f"{name_or_file}: a net of scale 1, a style's; give a super-resolution net"
        )
    if scale not in (None, model.config.scale):
        fitting = ", ".join(shipped(scale)) or "none is shipped"
        raise InputError(
            f"{name_or_file}: a net of scale {model.config.scale}, not {scale}; of scale {scale}: "
            f"{fitting}"
        )
    return model
