"""Reads and writes weights files, safetensors with a header that describes the network, and
resolves shipped names.

The header is a dict of JSON values, stored value by value in the safetensors metadata (which holds
strings). Arrays are NumPy arrays by dotted name. Files are written whole or not at all. Imports no
jax.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

import jaxpercept
from jaxpercept import files
from jaxpercept.errors import InputError, did_you_mean, problems, some
from jaxpercept.nets import headers

Shapes = Mapping[str, tuple[int, ...]]
SUFFIX = ".safetensors"
OF_A_RUN = f"model{SUFFIX}"  # the net in a run's directory
_OF_OTHERS = (".pth", ".pt", ".ckpt", ".npz", ".t7", ".h5", ".onnx")  # what `convert` may read
LARGEST = 1e12  # a layer with larger weights overflows float32
_DTYPES = ("F16", "F32", "F64")
_KINDS = {"transform_net": "a transform net's", "vgg16": "a VGG-16"}
_FOLDERS = {"styles": "styles", "superres": "superres", "vgg": "."}
_NETS = {"styles": "a style net", "superres": "a super-resolution net", "vgg": "a VGG-16"}


def weights_dir() -> Path:
    """Returns the folder of the shipped weights: $JAXPERCEPT_WEIGHTS, `weights/` beside the package
    in a checkout, or the folder inside the installed package."""
    if given := os.environ.get("JAXPERCEPT_WEIGHTS"):
        return Path(given)
    package = Path(str(jaxpercept.__file__)).resolve().parent
    checkout = package.parent / "weights"
    return checkout if (package.parent / "pyproject.toml").is_file() else package / "weights"


def available(kind: str) -> list[str]:
    """Returns the shipped names of a kind, "styles", "superres" or "vgg", sorted."""
    return sorted(path.stem for path in (weights_dir() / _FOLDERS[kind]).glob(f"*{SUFFIX}"))


def resolve(name_or_path: str | os.PathLike[str], kind: str | None = None) -> Path:
    """Returns the path of an existing file, or of the shipped file with that name. Without a
    `kind`, it is a super-resolution net's name or a style's. The InputError lists the shipped
    names."""
    given = os.fspath(name_or_path)
    path = Path(given)
    if path.is_file():
        return path
    if kind is None:
        kind = "superres" if given in available("superres") else "styles"
    known = available(kind)
    if given in known:
        return weights_dir() / _FOLDERS[kind] / f"{given}{SUFFIX}"
    if path.suffix == SUFFIX or len(path.parts) > 1 or path.is_dir():
        wrong = f"is {files.kind(path.stat().st_mode)}" if path.exists() else "no such weights file"
        fix = min(path.glob(f"*{SUFFIX}"), default="an existing file")  # a run's directory has one
        raise InputError(f"{given}: {wrong}; give {fix} or one of: {', '.join(known) or 'none'}")
    for other, net in _NETS.items():
        if given in available(other):
            raise InputError(f"{given} is {net}; give {_NETS[kind]}: {', '.join(known) or 'none'}")
    hint = did_you_mean(given, known)
    raise InputError(
        f"{given!r} is neither a file nor a shipped name{hint}; shipped in {kind}: "
        f"{', '.join(known) or 'none'}"
    )


def write_weights(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray], header: dict[str, Any]
) -> Path:
    """Writes arrays and header atomically and makes the folder. Raises InputError if it cannot
    write."""
    return files.write(path, encoded(arrays, header))


def encoded(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> bytes:
    """Returns the bytes of a weights file. Equal contents give equal bytes, so that checksums can
    be compared."""
    # tobytes (inside save) would write a transposed view in the wrong order.
    contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    texts = {k: json.dumps(unicode(v)) for k, v in header.items()}
    return _ordered(save(contiguous, texts), header)


def unicode(value: Any) -> Any:
    """Returns a header's value with "?" for the bytes of file names that are not UTF-8, because
    `headers.parse` refuses them."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _ordered(data: bytes, header: dict[str, Any]) -> bytes:
    """Rewrites a safetensors file with its metadata in the header's order, which safetensors does
    not fix."""
    if not header:
        return data
    end = 8 + int.from_bytes(data[:8], "little")
    table = json.loads(data[8:end])
    table["__metadata__"] = {k: table["__metadata__"][k] for k in header}
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # this keeps the arrays aligned
    return len(text).to_bytes(8, "little") + text + data[end:]


def read_weights(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays and the header of a weights file. Raises InputError if the file is
    missing, cut short or not one of ours."""
    with _opened(path) as (file, header):
        _check_dtypes(path, file)
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 - not a dict


def read_net(
    path: str | os.PathLike[str], kind: str, check: Callable[[dict[str, Any], Shapes], None]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a network of this kind as `read_weights` does. `check` gets the header and the arrays'
    shapes before any array is read. Raises InputError for another kind, and for values that are not
    finite or too large to compute with."""
    with _opened(path) as (file, header):
        if header.get("kind") != kind:
            raise InputError(
                f"{path}: not {_KINDS[kind]} weights file but "
                f"{header.get('kind', 'of unknown kind')!r:.80}"
            )
        _check_dtypes(path, file)
        names = list(file.keys())
        check(header, {name: tuple(file.get_slice(name).get_shape()) for name in names})
        arrays = {name: file.get_tensor(name) for name in names}
    if bad := sorted(k for k, v in arrays.items() if v.size and not _usable(v)):
        raise InputError(
            f"{path}: values that are not finite, or above {LARGEST:g}, in {some(bad)}; use "
            "another copy"
        )
    return arrays, header


def check_shapes(path: str | os.PathLike[str], found: Shapes, wanted: Shapes) -> None:
    """Raises an InputError that names the keys that are missing, extra or misshapen."""
    wrong = {
        "missing": sorted(wanted.keys() - found.keys()),
        "misshapen": sorted(k for k in found.keys() & wanted.keys() if found[k] != wanted[k]),
        "extra": sorted(found.keys() - wanted.keys()),
    }
    if said := problems(wrong):
        raise InputError(f"{path}: does not fit its own config: {said}; use another copy")


def shapes_of(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Returns the arrays' shapes by name."""
    return {name: value.shape for name, value in arrays.items()}


def _usable(value: np.ndarray) -> bool:
    return bool(np.isfinite(value).all()) and float(np.abs(value).max()) <= LARGEST


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the header without reading any array. Raises InputError as `read_weights` does."""
    with _opened(path) as (_, header):
        return header


def is_ours(header: Mapping[str, Any]) -> bool:
    """Returns whether a safetensors file with this header is one of our weights files."""
    return header.get("kind") in _KINDS


def _check_dtypes(path: str | os.PathLike[str], file: Any) -> None:
    for name in file.keys():  # noqa: SIM118 - not a dict
        if (dtype := file.get_slice(name).get_dtype()) not in _DTYPES:
            raise InputError(
                f"{path}: {name} is in {dtype}, which is not supported; save it in F16 or F32"
            )


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        check_size(path)
        with safe_open(os.fspath(path), framework="numpy") as file:
            yield file, headers.parse(file.metadata() or {}, os.fspath(path))
    except (SafetensorError, OSError) as e:
        reason = str(e).split("\n")[0]
        what, fix = "safetensors file", "give the net's .safetensors file"
        if Path(path).suffix == ".safetensors":
            what, fix = f"complete {what}", "download or convert it again"
        elif Path(path).suffix.lower() in _OF_OTHERS:
            fix = "`jaxpercept convert --help` says how to make one from other projects' files"
        raise InputError(f"{path}: is not a {what} ({reason}); {fix}") from e


def check_size(path: str | os.PathLike[str]) -> None:
    """Raises InputError if a safetensors file is missing or its header is too large to read."""
    files.regular(path, "a weights file")
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if headers.MAX_BYTES < size < os.stat(path).st_size:
        raise InputError(
            f"{path}: a header of {size:,} bytes is larger than any weights file's; the file is "
            "damaged"
        )


def sha256(path: str | os.PathLike[str]) -> str:
    """Returns the file's SHA-256 in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
