"""Limits what a file may ask for to a small multiple of its own size. A small file then cannot take
much memory or time, whatever it declares.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import deserialize

from jaxpercept.errors import InputError
from jaxpercept.nets.weights_file import check_size

_TIMES = 4  # compression saves a tenth; tensors that share a storage may double the size
_FREE = 16 << 20
_SAFETENSORS: dict[str, Any] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": ml_dtypes.bfloat16,
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


class Budget:
    """The bytes that one reading of a file may still create. `take` raises InputError when they are
    used up."""

    def __init__(self, path: Path):
        self._left = _TIMES * path.stat().st_size + _FREE
        self._size = path.stat().st_size

    def take(self, count: int, what: str) -> None:
        """Asks for `count` bytes for `what`."""
        if count > self._left:
            raise InputError(
                f"{what}: {count:,} bytes out of a file of {self._size:,}, which is damaged or "
                "made to fill the memory; use another copy"
            )
        self._left -= count

    def member(self, archive: zipfile.ZipFile, name: str) -> bytes:
        """Reads a stored or deflated member of a zip archive. Of these, zipfile reads no more than
        the declared size. It unpacks other methods in blocks of any size."""
        info = archive.getinfo(name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(f"{name}: is packed by a method other than deflate; pack it again")
        self.take(info.file_size, name)
        return archive.read(name)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz by name. Raises InputError for one that is larger than its file
    allows, and numpy's own errors for damage and for pickles."""
    budget, arrays = Budget(path), {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = budget.member(archive, name)
            arrays[name.removesuffix(".npy")] = _array(name, data)
    return arrays


def _array(name: str, data: bytes) -> np.ndarray:
    """Reads the array of a .npy. Its header is checked first, because numpy allocates what it
    declares before reading."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    count = 1
    for n in shape:
        count *= n
    if not dtype.hasobject and count * dtype.itemsize != len(data) - file.tell():
        raise InputError(f"{name}: its shape {shape} does not fit its data; the file is damaged")
    return np.load(io.BytesIO(data), allow_pickle=False)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns another project's arrays by name. bfloat16 becomes float32, which holds all its
    values. Raises InputError for unsupported types of numbers, and safetensors' own error for
    damage."""
    check_size(path)
    arrays = {}
    for name, said in deserialize(path.read_bytes()):
        if said["dtype"] not in _SAFETENSORS:
            raise InputError(
                f"{name} is in {said['dtype']}, which is not supported; save it in F32"
            )
        dtype = np.dtype(_SAFETENSORS[said["dtype"]])
        value = np.frombuffer(bytes(said["data"]), dtype) if said["data"] else np.zeros(0, dtype)
        arrays[name] = wide(value.reshape(said["shape"]))
    return arrays


def wide(value: np.ndarray) -> np.ndarray:
    """Converts bfloat16 to float32."""
    return value.astype(np.float32) if value.dtype == ml_dtypes.bfloat16 else value


def reason(error: Exception) -> str:
    """Returns another library's error as one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0]


def is_npz(src: Path) -> bool:
    """Returns whether the file is a zip of nothing but .npy files."""
    if not zipfile.is_zipfile(src):
        return False
    with zipfile.ZipFile(src) as archive:
        names = archive.namelist()
    return bool(names) and all(n.endswith(".npy") for n in names)
