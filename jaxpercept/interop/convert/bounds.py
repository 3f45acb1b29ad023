"""What a file may ask for: a small multiple of its own size, so that a small file cannot take much
memory or time, whatever it declares.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from jaxpercept.errors import InputError

_TIMES = 4  # compressed weights shrink by a tenth; tensors that share a storage may double them
_FREE = 16 << 20
MAX_MEMBERS = 100_000


class Budget:
    """The bytes that one reading of a file may still make of it: `take` raises InputError where
    they are used up."""

    def __init__(self, path: Path):
        self._left = _TIMES * path.stat().st_size + _FREE
        self._size = path.stat().st_size

    def take(self, count: int, what: str) -> None:
        """Asks for `count` bytes for `what`."""
        if count > self._left:
            raise InputError(
                f"{what}: {count:,} bytes out of a file of {self._size:,}, which is damaged or "
                "made to fill the memory; take another copy"
            )
        self._left -= count

    def member(self, archive: zipfile.ZipFile, name: str) -> bytes:
        """A zip archive's member. zipfile reads no more than the size that the member declares."""
        self.take(archive.getinfo(name).file_size, name)
        return archive.read(name)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, by name. Raises InputError for one that is larger than its file
    allows, and numpy's own errors for damage and for pickles."""
    budget, arrays = Budget(path), {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = budget.member(archive, name)
            arrays[name.removesuffix(".npy")] = _array(name, data)
    return arrays


def _array(name: str, data: bytes) -> np.ndarray:
    """Of a .npy. numpy makes room for what the header declares before it reads: so that is checked
    first."""
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


def reason(error: Exception) -> str:
    """Another library's error in one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0]
