"""Reads nets of the authors, jcjohnson/fast-neural-style, fast_neural_style/models.lua
(https://github.com/jcjohnson/fast-neural-style).
"""

from __future__ import annotations

from pathlib import Path

from jaxpercept.interop.convert import torch7
from jaxpercept.interop.convert.foreign_net import CONV, TRANSPOSED, VECTOR, Names, Source, layers

TAKES = "a Torch7 .t7"


def read(src: Path) -> Source:
    """Reads a trained net of any of the authors' architectures."""
    model = torch7.read_net(src)
    names: Names = {}
    for (conv, norm), modules in zip(layers(model.config), model.modules, strict=True):
        axes = TRANSPOSED if conv.startswith("up") else CONV
        names[f"{conv}.kernel"], names[f"{conv}.bias"] = (
            (f"{modules[0]}.weight", axes),
            (f"{modules[0]}.bias", VECTOR),
        )
        if len(modules) > 1:
            theirs = {"scale": "weight", "bias": "bias"}
            if model.config.norm == "batch":
                theirs |= {"mean": "running_mean", "var": "running_var"}
            names |= {
                f"{norm}.{our}": (f"{modules[1]}.{their}", VECTOR) for our, their in theirs.items()
            }
    licence = (
        "as their publisher says; of the authors' nets: personal or research use, commercial use "
        "on request"
    )
    about = {"arch": model.arch, "options": model.options}
    return Source(
        model.config,
        model.arrays,
        names,
        "Torch7 file of jcjohnson/fast-neural-style",
        licence,
        about,
    )
