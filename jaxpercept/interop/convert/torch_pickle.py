"""Runs the pickles in PyTorch's files in a small machine of our own that executes nothing.

It knows tensors, parameters, dicts, lists, tuples and plain values, and refuses every other name.
The file's size bounds the work: opcodes are counted, only plain values are hashed, and a tensor is
a view inside the bytes of a storage that the file's reader supplied.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from jaxpercept.errors import InputError

MAX_OPCODES = 4_000_000  # 1,000 tensors with Adam's moments need about 100,000
MAX_COPIED = 500_000  # values of lists that calls copy, such as a tensor's size
_MARK = object()
_PLAIN = (str, bytes, int, float, bool, type(None))


class Storage:
    """The numbers that tensors are views of. Only a file's reader makes one."""

    def __init__(self, array: np.ndarray):
        self.array = array


class StorageKind(str):
    """The name of a storage's class, such as `FloatStorage`."""


def tensor_view(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """Returns a view of its storage, never outside it and never larger, so that a small file cannot
    ask for much memory."""
    if not isinstance(storage, Storage):
        raise InputError("a tensor lies on something that is not a storage; the file is damaged")
    if not (_counts([offset]) and _counts(size) and _counts(stride) and len(size) == len(stride)):
        raise InputError("a tensor's size or strides are not numbers; the file is damaged")
    held, count = storage.array, 1
    for n in size:
        count *= n
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (count and last >= held.size) or count > held.size:
        raise InputError("a tensor reaches beyond its storage; the file is damaged")
    if not count:
        if math.prod(n for n in size if n) >= 1 << 40:  # NumPy cannot make it, though it is empty
            raise InputError("an empty tensor has a size that cannot be; the file is damaged")
        return np.zeros(size, held.dtype)
    steps = [s if n > 1 else 1 for n, s in zip(size, stride, strict=True)]  # others do not count
    return np.lib.stride_tricks.as_strided(
        held[offset:], size, [s * held.itemsize for s in steps], writeable=False
    )


def load(file: BinaryIO, persistent: Callable[[Any], Storage]) -> Any:
    """Returns the value of the pickle that begins at the position of `file`. `persistent` supplies
    the storages. Raises InputError for a pickle that names anything but tensors and dicts."""
    machine = _Machine(persistent)
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if number >= MAX_OPCODES:
            raise InputError(f"its pickle has more than {MAX_OPCODES:,} steps; use another copy")
        if opcode.name == "STOP":
            return machine.take(1)[0]
        machine.do(opcode.name, argument)
    raise InputError("its pickle has no end; the file is cut short")


class _Machine:
    """pickle's machine: a stack and a memo. The values above a mark become one value."""

    def __init__(self, persistent: Callable[[Any], Storage]):
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.persistent = persistent
        self.copied = 0

    def do(self, name: str, argument: Any) -> None:
        """Executes one opcode, given its name in pickletools."""
        push = self.stack.append
        if name in _VALUES:
            push(argument)
        elif name in _MAKE:
            push(_MAKE[name]())
        elif name in _GATHER:
            push(_GATHER[name](self.marked()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            push(tuple(self.take(int(name[-1]))))
        elif name in ("SETITEM", "SETITEMS"):
            items = self.take(2) if name == "SETITEM" else self.marked()
            _fill(self.top(dict), items)
        elif name in ("APPEND", "APPENDS", "ADDITEMS"):
            items = self.take(1) if name == "APPEND" else self.marked()
            self.top(list).extend(items)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.top(object)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise InputError(
                    "its pickle recalls something that it never stored; the file is damaged"
                )
            push(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            push(_named(*(argument.split(" ", 1) if argument else self.take(2))))
        elif name in ("REDUCE", "NEWOBJ"):
            function, arguments = self.take(2)
            self.charge(arguments)
            push(_call(function, arguments))
        elif name == "BINPERSID":
            push(self.persistent(self.take(1)[0]))
        elif name in ("BUILD", "POP"):  # a state holds none of the numbers
            self.take(1)
        elif name == "POP_MARK":
            self.marked()
        elif name not in ("PROTO", "FRAME"):
            raise InputError(
                f"its pickle's step {name} is refused; only tensors and dicts are read"
            )

    def charge(self, arguments: Any) -> None:
        """Counts the values that a call may copy, since a memoized list can be copied many
        times."""
        lists = arguments if isinstance(arguments, tuple) else ()
        self.copied += sum(len(each) for each in lists if isinstance(each, list | tuple))
        if self.copied > MAX_COPIED:
            raise InputError(f"its pickle copies more than {MAX_COPIED:,} values; use another copy")

    def take(self, count: int) -> list[Any]:
        """Removes and returns the topmost values."""
        taken = self.stack[-count:]
        if len(taken) < count or any(value is _MARK for value in taken):
            raise InputError("its pickle takes more than it made; the file is damaged")
        del self.stack[-count:]
        return taken

    def marked(self) -> list[Any]:
        """Removes the last mark and the values above it, and returns these."""
        taken: list[Any] = []
        while self.stack:
            if (value := self.stack.pop()) is _MARK:
                return taken[::-1]
            taken.append(value)
        raise InputError("its pickle lacks a mark; the file is damaged")

    def top(self, kind: type) -> Any:
        """Returns the topmost value, which stays."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise InputError(
                "its pickle fills something that is not a list or dict; the file is damaged"
            )
        return self.stack[-1]


def _counts(values: Any) -> bool:
    """Returns whether these are whole numbers of at most 63 bits, as in a tensor's size."""
    return (
        isinstance(values, list | tuple)
        and len(values) <= 32
        and all(type(n) is int and abs(n) < 1 << 63 for n in values)
    )


def _fill(into: dict[Any, Any], items: list[Any]) -> None:
    """Adds alternating keys and values. A key that is not a plain value is left out: no weights
    have one, and hashing a deep one would crash the process."""
    pairs = zip(items[::2], items[1::2], strict=False)
    into.update((k, v) for k, v in pairs if isinstance(k, _PLAIN))


def _dict(items: Any = ()) -> dict[Any, Any]:
    """Makes an OrderedDict, empty or of pairs as Python 2 pickled it."""
    made: dict[Any, Any] = {}
    for pair in items if isinstance(items, list | tuple) else ():
        if isinstance(pair, list | tuple) and len(pair) == 2:
            _fill(made, list(pair))
    return made


def _parameter(data: Any = None, *_: Any) -> Any:
    """Returns the tensor of a parameter, which the first torch versions pickled as an object."""
    return data


def _size(values: Any = ()) -> Any:
    return tuple(values) if isinstance(values, list | tuple) else ()


def _named(module: Any, name: Any) -> Any:
    if not isinstance(module, str) or not isinstance(name, str):
        raise InputError("its pickle names something without a name; the file is damaged")
    if module == "torch" and name.endswith("Storage"):
        return StorageKind(name)
    if (full := f"{module}.{name}") not in _KNOWN:
        raise InputError(
            f"its pickle names {full}, which is refused; only tensors and dicts are read: save "
            "`model.state_dict()` with torch.save"
        )
    return _KNOWN[full]


def _call(function: Any, arguments: Any) -> Any:
    if not any(function is known for known in _KNOWN.values()) or not isinstance(arguments, tuple):
        raise InputError("its pickle calls something that is refused; the file is damaged")
    try:
        return function(*arguments)
    except TypeError as e:
        raise InputError("its pickle calls with arguments missing; the file is damaged") from e


_KNOWN: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": tensor_view,
    "torch._utils._rebuild_tensor_v2": tensor_view,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
}
_VALUES = {  # the opcodes whose argument is the value
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_MAKE: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,  # a set would hash values that are not plain
    "MARK": lambda: _MARK,
}
_GATHER: dict[str, Callable[[list[Any]], Any]] = {
    "TUPLE": tuple,
    "LIST": list,
    "FROZENSET": tuple,
    "DICT": lambda items: _dict(list(zip(items[::2], items[1::2], strict=False))),
}
