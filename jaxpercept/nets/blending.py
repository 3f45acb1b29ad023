"""Averages the weights of two nets ("network interpolation", Wang et al. 2018, arXiv 1809.00219,
section 3.4).

If one net was trained on from the other, a net between them works, and it changes smoothly from one
to the other. A pixel net blurs and a feature net sharpens, so the nets between them form a scale of
sharpness.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept.config import TransformNetConfig
from jaxpercept.errors import InputError, Name, number
from jaxpercept.nets import multistyle, net_file, weights_file
from jaxpercept.nets.transform_net import Variables

Loaded = tuple[TransformNetConfig, Variables, Variables, dict[str, Any]]


def load(name_or_file: str | os.PathLike[str]) -> tuple[Path, Loaded]:
    """Loads a shipped net or a weights file, as `net_file.load` does. Raises InputError for
    anything else."""
    path = weights_file.resolve(name_or_file)
    return path, net_file.load(path)


def blend(
    first: str | os.PathLike[str], second: str | os.PathLike[str], at: float
) -> tuple[TransformNetConfig, Variables, Variables, dict[str, Any]]:
    """Returns (1 - at) · first + at · second: config, parameters, statistics, and a header that
    names both and has their `likeness`.

    Above 1, what the second net learned after the first is exaggerated. So 2, from a net A to the
    average of B and C, is B + C - A: B with what C learned after A (Ilharco et al. 2022, arXiv
    2212.04089). Raises InputError for `at` outside [0, 2] and for nets that differ in shape or in
    their styles."""
    if not 0 <= at <= 2:
        raise InputError(
            Name("at"),
            f" {number(at)} is not allowed; give 0 (the first net) to 1 (the second), or up to 2 "
            "(as far again)",
        )
    (path, a), (other, b) = load(first), load(second)
    if dataclasses.replace(a[0], preset=b[0].preset) != b[0]:
        fields = (f.name for f in dataclasses.fields(a[0]) if f.name != "preset")
        wrong = next(f for f in fields if getattr(a[0], f) != getattr(b[0], f))
        raise InputError(
            f"{first} and {second} are different nets ({wrong} {getattr(a[0], wrong)} and "
            f"{getattr(b[0], wrong)}); give two of one shape, the second trained on from the first"
        )
    if multistyle.names(a[3]) != multistyle.names(b[3]):
        raise InputError(
            f"{first} and {second} hold different styles; give two nets with the same styles"
        )
    of = [
        {"file": p.name, "sha256": weights_file.sha256(p), "training": net[3].get("training", {})}
        for p, net in ((path, a), (other, b))
    ]
    params, stats = mixed(a[1], b[1], at), mixed(a[2], b[2], at)
    about = {"at": at, "of": of, "likeness": likeness(a[1], b[1])}
    return b[0], params, stats, _header(a[3], b[3]) | {"blend": about}


def likeness(first: Variables, second: Variables) -> float:
    """Returns the cosine of the angle between all kernels of two nets of one shape. It is above
    0.9 for a net and what was trained on from it, and below 0.5 for two styles trained apart."""
    kernels = [name for name, value in first.items() if np.ndim(value) > 1]
    a, b = (np.concatenate([np.ravel(net[k]) for k in kernels]) for net in (first, second))
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-30))


def mixed(first: Variables, second: Variables, at: float) -> Variables:
    """Returns (1 - at) · first + at · second, array by array."""
    return {name: (1 - at) * value + at * second[name] for name, value in first.items()}


def _header(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Returns the second net's header without what does not hold for the average, plus the first's
    note."""
    notes = dict.fromkeys(h["note"] for h in (second, first) if "note" in h)
    kept = {k: v for k, v in second.items() if k not in ("kind", "net", "blend", "note")}
    return {**kept, **({"note": "; ".join(notes)} if notes else {})}
