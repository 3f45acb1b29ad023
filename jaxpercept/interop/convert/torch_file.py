"""PyTorch `.pth` files read without PyTorch and without executing pickles.

A restricted unpickler knows tensors, parameters, ordered dicts and storages, and refuses every
other name, so that a file from the internet cannot run code. Reads the zip format of torch ≥ 1.6
and the one before, a sequence of pickles followed by the storages, in which the first model zoos
(torchvision's VGG-16 among them) are written.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxpercept.errors import InputError

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_MAGIC = 0x1950A86A20F9469CFC6C  # opens a file of the format before torch 1.6
_PROTOCOL = 1001
_WRAPPERS = ("state_dict", "model_state_dict", "model")

ReadStorage = Callable[[str, np.dtype[Any], int], np.ndarray]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict, by key; a checkpoint that holds one under one of _WRAPPERS is
    unwrapped.

    Raises InputError for another format, a pickle that names anything but tensors, or a file cut
    short."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
            file.seek(0)
            value = _read_zip(file) if is_zip else _read_legacy(file, path.stat().st_size)
    except InputError as e:
        raise InputError(f"{path}: {e}") from e
    except Exception as e:
        reason = f"{type(e).__name__}: {e}".split("\n")[0]
        raise InputError(
            f"{path}: not a PyTorch file, or a damaged one ({reason}); download it again"
        ) from e
    for key in _WRAPPERS:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not any(isinstance(v, np.ndarray) for v in value.values()):
        raise InputError(f"{path}: holds no state dict; save `model.state_dict()` with torch.save")
    return {str(k): np.array(v) for k, v in value.items() if isinstance(v, np.ndarray)}


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickles = [n for n in names if n.endswith("/data.pkl")]
        if len(pickles) != 1 or any(n.endswith("/constants.pkl") for n in names):
            raise InputError(
                "a zip archive but no state dict; save `model.state_dict()` with torch.save"
            )
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise InputError(
                "written on a big-endian machine; save it again on a little-endian one"
            )

        def storage(key: str, dtype: np.dtype[Any], size: int) -> np.ndarray:
            return np.frombuffer(archive.read(f"{root}data/{key}"), dtype, size)

        return _Unpickler(io.BytesIO(archive.read(pickles[0])), storage).load()


def _read_legacy(file: BinaryIO, file_size: int) -> Any:
    """Magic number, protocol, machine, object and storage keys, each a pickle; then the storages,
    in the keys' order, each behind its length. So tensors are views of storages that are filled
    last."""
    storages: dict[str, np.ndarray] = {}

    def storage(key: str, dtype: np.dtype[Any], size: int) -> np.ndarray:
        if size * dtype.itemsize > file_size:
            raise InputError("a storage is larger than the file, which is cut short or damaged")
        return storages.setdefault(key, np.zeros(size, dtype))

    def load() -> Any:
        return _Unpickler(file, storage).load()

    if load() != _MAGIC or load() != _PROTOCOL:
        raise InputError(
            "not a PyTorch file that is read here; load and save it again with a newer torch"
        )
    if not load().get("little_endian", True):
        raise InputError("written on a big-endian machine; save it again on a little-endian one")
    value = load()
    for key in load():
        length = int.from_bytes(file.read(8), "little")
        data = file.read(min(length * storages[key].itemsize, file_size))
        storages[key][:] = np.frombuffer(data, storages[key].dtype, length)
    return value


class _Parameter(np.ndarray):
    """A parameter of the first torch versions, pickled as an object with a state: its tensor."""

    def __new__(cls, data: np.ndarray, *_: Any) -> _Parameter:
        return data.view(cls)

    def __setstate__(self, state: Any) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, read_storage: ReadStorage):
        super().__init__(file)
        self._read_storage = read_storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return name
        if module == "torch" and name.endswith("Storage"):
            raise InputError(
                f"its numbers are of torch.{name}, which is not read; save it with .float()"
            )
        known = {
            "collections.OrderedDict": OrderedDict,
            "torch.Size": tuple,
            "torch._utils._rebuild_tensor": tensor_view,
            "torch._utils._rebuild_tensor_v2": tensor_view,
            "torch._utils._rebuild_parameter": _Parameter,
            "torch.nn.parameter.Parameter": _Parameter,
        }
        if (full := f"{module}.{name}") not in known:
            raise InputError(
                f"its pickle names {full}, which is refused; only tensors and dicts are read"
            )
        return known[full]

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, storage, key, _, size, *view = pid
        if kind != "storage" or storage not in _DTYPES:
            raise InputError(f"unknown storage {pid!r}")
        array = self._read_storage(key, np.dtype(_DTYPES[storage]), size)
        if view and view[0] is not None:
            _, offset, length = view[0]
            return array[offset : offset + length]
        return array


def tensor_view(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> np.ndarray:
    """A view of its storage; never outside it, and never larger, so that a small file cannot ask
    for much memory."""
    count = int(np.prod(size, dtype=object)) if size else 1
    last = (
        offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if count
        else offset - 1
    )
    if min((offset, *size, *stride)) < 0 or last >= storage.size or count > storage.size:
        raise InputError("a tensor reaches beyond its storage; the file is damaged")
    return np.lib.stride_tricks.as_strided(
        storage[offset:], size, [s * storage.itemsize for s in stride]
    )
