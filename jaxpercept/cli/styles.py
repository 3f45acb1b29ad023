"""The option `--style` of the commands that apply style nets: the names it takes, and the nets."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpercept.errors import InputError, did_you_mean
from jaxpercept.nets import multistyle, shipped, weights_file

if TYPE_CHECKING:
    from jaxpercept.inference.model import Model


def chosen(given: Sequence[str] | None, default: Sequence[str]) -> Sequence[str]:
    """Returns the value of `--style`, or the default. Raises InputError if there is neither, for a
    picture, and for a misspelt style."""
    if found := given or default:
        for one in found:
            _refuse_picture(one)
            _refuse_misspelt(one)
        return found
    raise InputError(
        "no style is shipped here; give a weights file: --style runs/mine/model.safetensors"
    )


def _refuse_picture(style: str) -> None:
    from jaxpercept.images import formats

    if Path(style).suffix.lower() in formats.READ_SUFFIXES and os.path.isfile(style):
        raise InputError(
            f"{style}: --style takes a trained style, and this is a picture; learn its style in a "
            f"minute: python train.py learn {shlex.quote(style)} --on PHOTO"
        )


def _refuse_misspelt(style: str) -> None:
    """Raises InputError for nearly the name of a style of a shipped multi-style net, since the
    names of the nets, which others list, do not hold it."""
    nets = weights_file.available("styles")
    if style.isidentifier() and style not in nets and not os.path.exists(style):
        rows = [row for net in nets for row in shipped.rows(net)]
        if style not in rows and (hint := did_you_mean(style, rows)):
            raise InputError(
                f"--style {style}: no style of this name{hint}; `stylize --list-styles` lists all"
            )


def expanded(chosen: Sequence[str]) -> dict[Any, str]:
    """Returns `FILE` or `FILE:BLEND` by key, each style once. Raises InputError for what
    `load_model` would not take."""
    return {key: style for one in chosen for key, style in multistyle.expand(one)}


def loaded(styles: Sequence[str], precision: str = "float32") -> list[Model]:
    """Loads the style nets and gives each its own name. Raises InputError for a super-resolution
    net."""
    from jaxpercept.inference.model import load_model

    models = [load_model(style, precision=precision) for style in styles]
    if any(model.config.scale != 1 for model in models):
        raise InputError(
            "--style takes style nets, and this is a super-resolution net; choose a style net"
        )
    named = told_apart([model.name for model in models], [model.source for model in models])
    return [dataclasses.replace(m, name=name) for m, name in zip(models, named, strict=True)]


def told_apart(names: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Returns a name of its own for each net of these names and files. Nets of one name are told
    apart by their folders, then by number."""
    counts, seen, told = Counter(names), Counter[str](), []
    for name, source in zip(names, sources, strict=True):
        folder = f"{Path(source).parent.resolve().name}-"
        if counts[name] > 1 and not name.startswith(folder):
            name = folder + name
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return told
