"""Small weights files that hold one style's scales and shifts, learned on top of a shared net.

The styles of a multi-style net share its kernels, and a style is only the row of scales and shifts
in its norms (Dumoulin, Shlens, Kudlur 2017, arXiv 1610.07629). The file of a learned style holds
only that row, about 3 kB, and a header with the shared net's name and the hash of its kernels.
`net_file.load` returns it as a whole net of a single style.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file

BASE = "base"  # the header's field: {"name": …, "kernels": hash}
Arrays = dict[str, NDArray[Any]]


def kernels_hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Returns the SHA-256 of the arrays that all styles of a net share: all stored arrays but the
    norms. Adding rows to a net does not change it."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        if not is_norm(name):
            value = np.ascontiguousarray(arrays[name])
            found.update(f"{name} {value.dtype} {value.shape} ".encode())
            found.update(value.tobytes())
    return found.hexdigest()


def is_norm(name: str) -> bool:
    """Returns whether a stored array is a norm's scale or shift, which every style has its own row
    of."""
    return any("norm" in part for part in name.split("."))


def base_of(name_or_path: str) -> dict[str, str]:
    """Returns the header's entry on the shared net. Raises InputError as
    `weights_file.read_weights` does."""
    path = weights_file.resolve(name_or_path, "styles")
    arrays, _ = weights_file.read_weights(path)
    shipped = name_or_path in weights_file.available("styles")
    return {
        "name": name_or_path if shipped else str(path.resolve()),
        "kernels": kernels_hash(arrays),
    }


def completed(path: str | Path, arrays: Arrays, header: Mapping[str, Any]) -> Arrays:
    """Returns the arrays of the whole net: the file's and the shared net's kernels, or `arrays`
    itself if the header names no shared net. Raises InputError if the shared net is missing or is a
    different one."""
    base = header.get(BASE)
    if base is None:
        return arrays
    if not isinstance(base, dict) or not all(
        isinstance(base.get(k), str) for k in ("name", "kernels")
    ):
        raise InputError(
            f"{path}: the entry on the shared net in its header cannot be read; the file is damaged"
        )
    if Path(base["name"]).name != base["name"]:
        beside = Path(path).parent / Path(base["name"]).name
        file = beside if beside.is_file() else Path(base["name"])
    else:
        file = Path(base["name"])
    try:
        shared, _ = weights_file.read_weights(weights_file.resolve(str(file), "styles"))
    except InputError as e:
        raise InputError(
            f"{path}: was learned on the net {base['name']}, which is not here ({e})"
        ) from e
    if kernels_hash(shared) != base["kernels"]:
        raise InputError(
            f"{path}: was learned on another version of {base['name']}; learn it again, or keep "
            "whole nets with --whole"
        )
    return {k: v for k, v in shared.items() if not is_norm(k)} | arrays
