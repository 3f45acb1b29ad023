"""`--style` of the commands that apply style nets: what it names, and the nets themselves."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpercept.errors import InputError
from jaxpercept.nets import multistyle

if TYPE_CHECKING:
    from jaxpercept.inference.model import Model


def chosen(given: Sequence[str] | None, default: Sequence[str]) -> Sequence[str]:
    """What `--style` was given, or the default. InputError where there is neither."""
    if found := given or default:
        return found
    raise InputError(
        "no style is shipped here; give a weights file: --style runs/mine/model.safetensors"
    )


def expanded(chosen: Sequence[str]) -> dict[Any, str]:
    """`FILE` or `FILE:BLEND` by key, each style once. InputError for what `load_model` would not
    take."""
    return {key: style for one in chosen for key, style in multistyle.expand(one)}


def loaded(styles: Sequence[str], precision: str = "float32") -> list[Model]:
    """The style nets, with one name each: two runs' model.safetensors are told apart by their
    folders, then by number. InputError for a super-resolution net."""
    from jaxpercept.inference.model import load_model

    models = [load_model(style, precision=precision) for style in styles]
    if any(model.config.scale != 1 for model in models):
        raise InputError("a super-resolution net was given as --style; choose a style net")
    counts, seen, named = Counter(m.name for m in models), Counter[str](), []
    for model, style in zip(models, styles, strict=True):
        name = (
            model.name
            if counts[model.name] == 1
            else f"{Path(style).resolve().parent.name}-{model.name}"
        )
        seen[name] += 1
        named.append(
            dataclasses.replace(model, name=name if seen[name] == 1 else f"{name}-{seen[name]}")
        )
    return named
