"""Reads PyTorch `.pth` files without PyTorch and without executing pickles (see `torch_pickle`).

Reads the zip format of torch ≥ 1.6 and the earlier format, a sequence of pickles followed by the
storages. The first model zoos, with torchvision's VGG-16, use the earlier format.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.interop.convert import torch_pickle
from jaxpercept.interop.convert.bounds import Budget, reason, wide
from jaxpercept.interop.convert.torch_pickle import Storage, StorageKind

_DTYPES: dict[str, Any] = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_MAGIC = 0x1950A86A20F9469CFC6C  # the first value of files before torch 1.6
_PROTOCOL = 1001
# Nets are used with the averaged weights, `params_ema`.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "params_ema", "params", "net")

ReadStorage = Callable[[str, np.dtype[Any], int], np.ndarray]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a state dict by key. If a checkpoint holds the state dict under one of
    _WRAPPERS, it is unwrapped. bfloat16 becomes float32, which holds all its values.

    Raises InputError for another format, a pickle that names anything but tensors, or a file cut
    short."""
    budget = Budget(path)
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
            file.seek(0)
            value = _read_zip(file, budget) if is_zip else _read_legacy(file, path.stat().st_size)
    except InputError as e:
        raise InputError(f"{path}: {e}") from e
    except Exception as e:
        raise InputError(
            f"{path}: not a PyTorch file, or a damaged one ({reason(e)}); download it again"
        ) from e
    for key in _WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not any(isinstance(v, np.ndarray) for v in value.values()):
        raise InputError(f"{path}: holds no state dict; save `model.state_dict()` with torch.save")
    found = {str(k): v for k, v in value.items() if isinstance(v, np.ndarray)}
    Budget(path).take(sum(v.nbytes for v in found.values()), "its tensors")
    return {k: wide(np.array(v)) for k, v in found.items()}


def unprefixed(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the state dict without the prefixes that wrappers of the net put into its keys.
    DataParallel puts `module.` before them all, torch.compile puts `_orig_mod.` before the compiled
    part."""
    plain = {k.replace("_orig_mod.", ""): v for k, v in state.items()}
    if all(k.startswith("module.") for k in plain):
        return {k.removeprefix("module."): v for k, v in plain.items()}
    return plain


def _read_zip(file: BinaryIO, budget: Budget) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickles = [n for n in names if n.endswith("/data.pkl")]
        if len(pickles) != 1 or any(n.endswith("/constants.pkl") for n in names):
            raise InputError(
                "a zip archive but no state dict; save `model.state_dict()` with torch.save"
            )
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in names and budget.member(archive, f"{root}byteorder") != b"little":
            raise InputError(
                "written on a big-endian machine; save it again on a little-endian one"
            )
        members: dict[str, bytes] = {}

        def storage(key: str, dtype: np.dtype[Any], size: int) -> np.ndarray:
            if key not in members:
                members[key] = budget.member(archive, f"{root}data/{key}")
            return np.frombuffer(members[key], dtype, size)

        return torch_pickle.load(io.BytesIO(budget.member(archive, pickles[0])), _giver(storage))


def _read_legacy(file: BinaryIO, file_size: int) -> Any:
    """Reads magic number, protocol, machine, object and storage keys, each a pickle, then the
    storages in the keys' order, each after its length. Tensors are therefore views of storages that
    are filled last."""
    storages: dict[str, np.ndarray] = {}
    left = file_size

    def storage(key: str, dtype: np.dtype[Any], size: int) -> np.ndarray:
        nonlocal left
        if key not in storages:
            left -= size * dtype.itemsize
            if left < 0:
                raise InputError("a storage is larger than the file, which is cut short or damaged")
            storages[key] = np.zeros(size, dtype)
        if (storages[key].dtype, storages[key].size) != (dtype, size):
            raise InputError("a storage has two kinds or sizes; the file is damaged")
        return storages[key]

    def load() -> Any:
        return torch_pickle.load(file, _giver(storage))

    if load() != _MAGIC or load() != _PROTOCOL:
        raise InputError("not a supported PyTorch file; load and save it again with a newer torch")
    machine = load()
    if not isinstance(machine, dict) or not machine.get("little_endian", True):
        raise InputError("written on a big-endian machine; save it again on a little-endian one")
    value, keys = load(), load()
    named = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not named or sorted(keys) != sorted(storages):
        raise InputError("its storages are not those that its tensors name; the file is damaged")
    for key in keys:
        array = storages[key]
        if int.from_bytes(file.read(8), "little") != array.size:
            raise InputError("a storage is not as long as its tensors say; the file is damaged")
        array[:] = np.frombuffer(file.read(array.nbytes), array.dtype, array.size)
    return value


def _giver(read: ReadStorage) -> Callable[[Any], Storage]:
    """Returns a function from a pickle's description of a storage, or of a part of one, to the
    storage."""

    def give(said: Any) -> Storage:
        if not isinstance(said, tuple) or len(said) < 5 or said[0] != "storage":
            raise InputError("an unknown kind of storage; the file is damaged")
        _, kind, key, _, size, *view = said
        if not isinstance(kind, StorageKind):  # the message leaves it out: it may be large or deep
            raise InputError("a storage of no kind; the file is damaged")
        if kind not in _DTYPES:
            raise InputError(
                f"its numbers are of torch.{kind}, which is not supported; save it with .float()"
            )
        if not isinstance(key, str) or type(size) is not int or not 0 <= size < 1 << 48:
            raise InputError("a storage without a name or a size; the file is damaged")
        array = read(key, np.dtype(_DTYPES[kind]), size)
        if view and view[0] is not None:
            _, offset, length = view[0]
            if (
                type(offset) is not int
                or type(length) is not int
                or not 0 <= offset <= offset + length <= array.size
            ):
                raise InputError("a part of a storage reaches beyond it; the file is damaged")
            return Storage(array[offset : offset + length])
        return Storage(array)

    return give
