"""Converts trained transform nets of other projects to our weights files, which every command
takes.

Each source has a module that reads its files. Its layers are in our order, with names, layouts and
options of its own. Arrays stay float32, so the net computes what the original computes, on images
of any size.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import files
from jaxpercept.config import choose
from jaxpercept.errors import InputError, problems
from jaxpercept.interop.convert import johnson, lengstrom, own, pytorch_examples
from jaxpercept.interop.convert.foreign_net import Arrays, Source
from jaxpercept.nets.weights_file import sha256


def convert_transform_net(src: str | Path, dst: str | Path, source: str) -> dict[str, Any]:
    """Reads a net of `source` (one of FORMATS) from `src`, writes our file to `dst`, and returns
    its header.

    pytorch-examples: a state dict as .pth, .safetensors or .npz, of any width. lengstrom: an .npz
    of `Variable`, `Variable_1` … `Variable_47`, or a TensorFlow checkpoint. johnson: a .t7. Raises
    InputError for anything else, with the missing, extra and misshapen keys in one message."""
    choose("--from", source, FORMATS)
    read, takes = _SOURCES[source]
    src = Path(src)
    if not (source == "lengstrom" and lengstrom.is_checkpoint(src)):
        files.regular(src, f"a net of {source}: {takes}")
    if Path(dst).exists() and os.path.samefile(src if src.exists() else src.parent, dst):
        raise InputError(
            f"{dst}: is the source itself, which would be overwritten; give another file to write"
        )
    own.refuse(src)
    try:
        found = read(src)
    except InputError as e:
        raise e if str(src) in str(e) else InputError(f"{src}: {e}") from e
    from jaxpercept.nets import net_file, transform_net

    params, stats = transform_net.shapes(found.config)
    arrays = _checked(src, source, found, {**params, **stats})
    header = {
        "task": "style" if found.config.scale == 1 else "superres",
        "format": found.format,
        "carrier": src.name,
        "carrier_sha256": sha256(src) if src.is_file() else None,
        "licence": found.licence,
        **found.about,
    }
    learned, running = (
        {k: arrays[k].astype(np.float32) for k in shapes} for shapes in (params, stats)
    )
    net_file.save(Path(dst), found.config, learned, running, header, dtype=np.float32)
    return header


def _checked(src: Path, source: str, found: Source, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """Returns our arrays. The InputError lists what is wrong, in their names and layouts."""
    known = {theirs for theirs, _ in found.names.values()}
    if not known & found.arrays.keys():
        some = ", ".join(list(found.arrays)[:3])
        raise InputError(
            f"{src}: not a net of {source}: none of its {len(found.arrays)} arrays ({some}, …) "
            "has one of its names; try another --from"
        )
    wrong: dict[str, list[str]] = {
        kind: [] for kind in ("missing", "misshapen", "not floating point:", "not finite:")
    }
    arrays = {}
    for ours, (theirs, axes) in found.names.items():
        shape = shapes[ours]
        expected = tuple(shape[axes.index(i)] for i in range(len(axes)))
        value = found.arrays.get(theirs)
        if value is None:
            wrong["missing"].append(theirs)
        elif value.shape != expected:
            wrong["misshapen"].append(f"{theirs}: {value.shape}, expected {expected}")
        elif value.dtype.kind != "f":
            wrong["not floating point:"].append(f"{theirs} ({value.dtype})")
        elif not np.isfinite(value.astype(np.float32)).all():
            wrong["not finite:"].append(theirs)
        else:
            arrays[ours] = value.transpose(axes)
    wrong["extra"] = sorted(found.arrays.keys() - known)
    if said := problems(wrong):
        raise InputError(
            f"{src}: not a net of {source}: {said}; give the net as its project saves it, or try "
            "another --from"
        )
    return arrays


_SOURCES: dict[str, tuple[Callable[[Path], Source], str]] = {
    "pytorch-examples": (pytorch_examples.read, pytorch_examples.TAKES),
    "lengstrom": (lengstrom.read, lengstrom.TAKES),
    "johnson": (johnson.read, johnson.TAKES),
}
FORMATS = tuple(_SOURCES)
