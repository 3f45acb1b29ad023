"""PyTorch `.pth` files read without PyTorch and without executing pickles.

A restricted unpickler knows tensors, parameters, ordered dicts and storages, and refuses every other name, so that a
file from the internet cannot run code. Reads the zip format of torch ≥ 1.6; an older one is refused with the way out.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept.errors import InputError

_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict, by key; a checkpoint that holds one under `state_dict` or `model` is unwrapped.

    Raises InputError for another format, a pickle that names anything but tensors, or a file cut short."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [n for n in archive.namelist() if n.endswith("data.pkl")]
            root = name.removesuffix("data.pkl")
            value = _Unpickler(archive.read(name), lambda key: archive.read(f"{root}data/{key}")).load()
    except zipfile.BadZipFile as e:
        raise InputError(
            f"{path}: not a PyTorch file of torch 1.6 or later, or cut short; load and save it again with a newer torch"
        ) from e
    except InputError as e:
        raise InputError(f"{path}: {e}") from e
    except Exception as e:
        raise InputError(f"{path}: damaged PyTorch file ({type(e).__name__}: {e}); download it again") from e
    for key in ("state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not any(isinstance(v, np.ndarray) for v in value.values()):
        raise InputError(f"{path}: holds no state dict; save `model.state_dict()` with torch.save")
    return {str(k): v for k, v in value.items() if isinstance(v, np.ndarray)}


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, read_storage: Any):
        super().__init__(io.BytesIO(data))
        self._read_storage = read_storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, requires_grad, hooks: data
        if module == "torch" and name in _DTYPES:
            return name
        raise InputError(f"its pickle names {module}.{name}, which is refused; only tensors and dicts are read")

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage, key = pid[:3]
        if kind != "storage" or storage not in _DTYPES:
            raise InputError(f"unknown storage {pid!r}")
        return np.frombuffer(self._read_storage(key), _DTYPES[storage])


def _tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if all(size) else offset - 1
    if min((offset, *stride), default=0) < 0 or last >= storage.size:
        raise InputError("a tensor reaches beyond its storage")
    strides = [s * storage.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False).copy()
