"""Nets of many styles (Dumoulin, Shlens, Kudlur 2017, arXiv 1610.07629): the styles that a weights
file holds, blends of styles as text, and the style that each training image gets.

A style is named after its image's file, without the suffix. `FILE:wave=0.6,starry_night=0.4` is a
blend: weights of at least 0, not all 0, which are divided by their sum. A name alone weighs 1. FILE
is a shipped name or a weights file. Imports no jax.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxpercept.errors import InputError, did_you_mean
from jaxpercept.nets import headers, shipped, weights_file

ALL = "all"


@dataclass(frozen=True)
class Style:
    """A style in a weights file's header. `file` and `sha256` are those of its image. `images` is
    the number of training images drawn for it so far. `steps` is `images` divided by the batch
    size: the number of steps that a net of this style alone would have had."""

    name: str
    file: str
    sha256: str
    steps: int = 0
    images: int = 0


def names(header: dict[str, Any]) -> tuple[str, ...]:
    """Returns the styles of a multi-style weights file in the order of their rows, or none for any
    other file."""
    return tuple(style.get("name", "") for style in header.get("styles", ()))


def split(given: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Returns ("FILE", "BLEND") for "FILE:BLEND", with None for no blend. A shipped style's name
    alone, "tulip", gives its net and row, ("multi", "tulip")."""
    text = os.fspath(given)
    file, colon, blend = text.rpartition(":")
    if colon and "/" not in blend and not Path(text).is_file():
        return file, blend
    return shipped.home(text) or (text, None)


class Found(NamedTuple):
    """A weights file as it was given, its path, and the style or blend of it, if any."""

    given: str
    path: Path
    blend: str | None


def find(given: str | os.PathLike[str], kind: str | None = None) -> Found:
    """Returns the weights file that "FILE" or "FILE:BLEND" names, see `split` and
    `weights_file.resolve`. Raises InputError if there is none."""
    file, blend = split(given)
    return Found(file, weights_file.resolve(file, kind), blend)


def parse(source: str, blend: str | None, known: Sequence[str]) -> dict[str, float]:
    """Returns the weights above 0, by style, of the text "a=0.6,b=0.4"; they sum to 1. `known` are
    the styles that `source` holds.

    Raises InputError if a net of several styles gets no blend or a net of one gets one, if a style
    is unknown or named twice, and if weights are not numbers, negative, or all 0."""
    if not known:
        if blend is None:
            return {}
        raise InputError(f"{source} holds a single style; leave out ':{blend}'")
    if not blend:
        first = known[0]
        raise InputError(
            f"{source} holds {len(known)} styles; choose as in {source}:{first}, "
            f"{source}:{first}=0.6,{known[-1]}=0.4 "
            f"or, with --style, {source}:{ALL}; it has: {', '.join(known)}"
        )
    weights: dict[str, float] = {}
    for part in blend.split(","):
        name, equals, text = part.partition("=")
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(
                f"{source}:{blend}: no style {name!r}{hint}; it has: {', '.join(known)}"
            )
        if name in weights:
            raise InputError(f"{source}:{blend}: the style {name} is given twice; give each once")
        try:
            weights[name] = float(text) if equals else 1.0
        except ValueError:
            weights[name] = math.nan
        if not 0 <= weights[name] < math.inf:
            raise InputError(
                f"{source}:{blend}: the weight of {name} is {text!r}; give a number of at least "
                "0 (weights are divided by their sum)"
            )
    total = sum(weights.values())
    if not total:
        raise InputError(f"{source}:{blend}: every weight is 0; give at least one above 0")
    if total == math.inf:
        raise InputError(
            f"{source}:{blend}: the sum of the weights is too large; give smaller weights"
        )
    return {name: weight / total for name, weight in weights.items() if weight}


def one(
    source: str, style: str | None, header: dict[str, Any]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Returns what a training of a single style needs to start from one style of a multi-style net:
    its `row`, and the header with the steps and images of that style alone. Raises InputError as
    `parse` does, and for a blend."""
    check(header, source)
    known = names(header)
    if not style:
        raise InputError(
            f"--init {source} holds several styles; choose one, as in {source}:{known[0]}, of: "
            f"{', '.join(known)}"
        )
    weights = parse(source, style, known)
    if len(weights) > 1:
        raise InputError(
            f"--init {source}:{style} is a blend; a training starts from one style: "
            f"{source}:{min(weights)}"
        )
    own = next(s for s in held_styles(header, source) if s.name in weights)
    return row(weights, known), header | {"training": {"steps": own.steps, "images": own.images}}


def row(weights: dict[str, float], known: Sequence[str]) -> NDArray[np.float32]:
    """Returns a blend in the form that `transform_net.apply` takes: (1, styles)."""
    return np.array([[weights.get(name, 0.0) for name in known]], np.float32)


def label(weights: dict[str, float]) -> str:
    """Returns a blend's name for a file's name: "wave", or "wave0.6-starry_night0.4"."""
    return (
        next(iter(weights))
        if len(weights) == 1
        else "-".join(f"{k}{v:.3g}" for k, v in weights.items())
    )


def expand(given: str) -> list[tuple[Any, str]]:
    """Returns the value of --style as (key, "FILE" or "FILE:BLEND") pairs, several for "FILE:all".
    Two pairs with one key mean the same style. Raises InputError for what `load_model` would not
    take."""
    file, path, blend = find(given, "styles")
    known = names(read_header(path)) if blend is not None else ()
    found = [f"{file}:{name}" for name in known] if blend == ALL and known else [given]
    pairs = []
    for text in found:
        weights = parse(file, split(text)[1], known or names(read_header(path)))
        pairs.append(((path.resolve(), tuple(sorted(weights.items()))), text))
    return pairs


def check(header: dict[str, Any], source: str) -> None:
    """Raises InputError if a transform net's header does not name every style that the net has."""
    held = [style.name for style in held_styles(header, source)] if "styles" in header else []
    net = header.get("net")
    rows = net.get("styles", 0) if isinstance(net, dict) else 0
    if len(held) != rows or len(set(held)) != rows:
        raise InputError(
            f"{source}: its header names {len(held)} styles ({', '.join(held)}), but its net has "
            f"{rows}; the file is damaged"
        )


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the header of a transform net's weights file. Raises InputError for another file."""
    header = weights_file.read_header(path)
    if header.get("kind") != "transform_net":
        raise InputError(
            f"{path}: not a transform net's weights file but "
            f"{header.get('kind', 'of unknown kind')!r}"
        )
    check(header, os.fspath(path))
    return header


def style_name(name: str, given: str | os.PathLike[str] | None) -> str:
    """Returns `name` if it can name a style. Otherwise raises an InputError that names the file
    that gave it, or the option `--name` if no file did."""
    if name == ALL or not headers.is_name(name) or name.startswith("."):
        cannot = (
            f"be {ALL!r}, have more than {headers.LONGEST} characters, begin with a dot, or "
            "contain ',', '=', ':', '/' or control characters"
        )
        if given is None:
            raise InputError(f"--name {name!r:.80} is not allowed; it cannot be empty, {cannot}")
        raise InputError(
            f"{os.fspath(given)}: its name without suffix becomes the style's, which cannot "
            f"{cannot}; rename the file"
        )
    return name


def held_styles(header: dict[str, Any], source: str) -> list[Style]:
    """Returns the styles that a weights file holds. A net of a single style has one, named after
    its image."""
    try:
        if "styles" in header:
            return [Style(**style) for style in header["styles"]]
        image = header.get("style", {"file": Path(source).name, "sha256": ""})
        done = {k: header.get("training", {}).get(k, 0) for k in ("steps", "images")}
        return [Style(Path(image["file"]).stem, image["file"], image["sha256"], **done)]
    except (TypeError, KeyError) as e:
        raise InputError(
            f"{source}: the styles in its header cannot be read ({e}); the file is damaged"
        ) from e
