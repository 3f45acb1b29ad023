"""Reads Torch7's binary serialization without Lua and without executing anything.

Format: https://github.com/torch/torch7/blob/master/doc/serialization.md. Every object begins with
its kind. Tables and objects of a class carry a number, which later places refer to. The file's size
bounds the work: lengths are checked against what is left of the file, objects are counted, and
nesting is limited. Functions are skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept.errors import InputError
from jaxpercept.interop.convert.torch_pickle import Storage, tensor_view

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = range(6)
_FUNCTIONS = (6, 7, 8)  # with and without upvalues, in three versions of Torch
_MAX_OBJECTS, _MAX_DEPTH = 1_000_000, 100
_DTYPES = {
    "Byte": "<u1",
    "Char": "<i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Half": "<f2",
    "Float": "<f4",
    "Double": "<f8",
}
_DTYPES |= {f"Cuda{name}": dtype for name, dtype in _DTYPES.items()} | {"Cuda": "<f4"}
_STORAGES = {f"torch.{name}Storage": np.dtype(dtype) for name, dtype in _DTYPES.items()}
_TENSORS = {f"torch.{name}Tensor" for name in _DTYPES}

Table = dict[Any, Any]  # keys are strings, numbers and booleans; others are left out


@dataclass(eq=False)
class Lua:
    """An object of a class, such as `nn.ReLU`, and its fields."""

    kind: str
    fields: Table = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """Returns a field, or None if it is missing."""
        return self.fields.get(name)


def read(path: Path) -> Any:
    """Returns the value in a file: None, float, bool, str, Table, Lua, array or Storage. Raises
    InputError for damage."""
    try:
        return _Reader(path.read_bytes()).value(0)
    except InputError as e:
        raise InputError(
            f"{path}: not a binary Torch7 file, or a damaged one ({e}); download it again"
        ) from e


class _Reader:
    def __init__(self, data: bytes):
        self._data, self._at = data, 0
        self._objects: dict[int, Any] = {}
        self._count = 0

    def value(self, depth: int) -> Any:
        """Returns the next value."""
        self._count += 1
        if self._count > _MAX_OBJECTS or depth > _MAX_DEPTH:
            raise InputError(
                f"more than {_MAX_OBJECTS:,} values, or {_MAX_DEPTH} inside each other"
            )
        kind = self._int()
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            return self._unpack("<d")[0]
        if kind == _BOOLEAN:
            return self._int() == 1
        if kind == _STRING:
            return self._string()
        if kind not in (_TABLE, _OBJECT, *_FUNCTIONS):
            raise InputError(f"unknown kind {kind}")
        number = self._int()
        if number in self._objects:
            return self._objects[number]
        if kind == _TABLE:
            return self._table(self._objects.setdefault(number, {}), depth)
        if kind == _OBJECT:
            return self._object(number, depth)
        self._take(self._int())
        self.value(depth + 1)  # the function's closure
        return self._objects.setdefault(number, None)

    def _table(self, into: Table, depth: int) -> Table:
        for _ in range(self._int()):
            key, value = self.value(depth + 1), self.value(depth + 1)
            if isinstance(key, str | float | bool):
                into[key] = value
        return into

    def _object(self, number: int, depth: int) -> Any:
        kind = self._string()
        if kind.startswith("V "):  # newer files have a version before the class
            kind = self._string()
        if kind in _STORAGES:
            made: Any = self._storage(_STORAGES[kind])
        elif kind in _TENSORS:
            made = self._tensor(depth)
        else:
            made = self._objects[number] = Lua(kind)  # first, since its fields may refer to it
            fields = self.value(depth + 1)
            made.fields = fields if isinstance(fields, dict) else {}
        self._objects[number] = made
        return made

    def _storage(self, dtype: np.dtype[Any]) -> Storage:
        (size,) = self._unpack("<q")
        if size > len(self._data):
            raise InputError("a storage is larger than the file")
        return Storage(np.frombuffer(self._take(size * dtype.itemsize), dtype))

    def _tensor(self, depth: int) -> np.ndarray:
        rank = self._int()
        if not 0 <= rank <= 32:
            raise InputError(f"a tensor of {rank} dimensions")
        size, stride = self._unpack(f"<{rank}q"), self._unpack(f"<{rank}q")
        offset, storage = self._unpack("<q")[0] - 1, self.value(depth + 1)
        if storage is None or not rank:
            return np.empty(0, np.float32)
        return tensor_view(storage, offset, size, stride)

    def _string(self) -> str:
        return bytes(self._take(self._int())).decode("utf-8", "replace")

    def _int(self) -> int:
        return int(self._unpack("<i")[0])

    def _unpack(self, kinds: str) -> tuple[Any, ...]:
        return struct.unpack(kinds, self._take(struct.calcsize(kinds)))

    def _take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self._data) - self._at:
            raise InputError("a length leaves the file, which is cut short")
        self._at += count
        return memoryview(self._data)[self._at - count : self._at]
