"""Every command writes its files through this module, whole or not at all.

The bytes go to a temporary file beside the target, which is then renamed to the target (see
`temporary`). What takes long to make is kept in `parts` until it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from jaxpercept.errors import InputError
from jaxpercept.files import temporary
from jaxpercept.files.temporary import Name as Name
from jaxpercept.files.temporary import remove_stale as remove_stale

STANDARD = Path("-")  # standard input, or standard output
_FIXES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EACCES: "choose another place",
    errno.EPERM: "choose another place",
    errno.EROFS: "choose another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EISDIR: "it is a folder; give the name of a file",
    errno.ENOTDIR: "a part of the path is a file, not a folder; give another path",
    errno.EEXIST: "a part of the path is a file, not a folder; give another path",
    errno.ELOOP: "the link leads back to itself; give another path",
    errno.EFBIG: "the file system allows no file of this size; give a path on another file system",
    errno.EIO: "check the disk",
    errno.EPIPE: "the program that reads it has ended",
}
_cleaned: set[str] = set()
_PART = 1 << 20  # bytes read at once


def write(path: Name, data: bytes) -> Path:
    """Writes `data` to `path`, making folders as needed, and returns the path.

    An existing file keeps its permissions, and it keeps its old contents until the new ones are
    complete. A symbolic link stays, and the file it leads to is replaced. A device or a FIFO is
    opened and written. Raises `InputError` if writing fails; then nothing is left behind."""
    with replacing(path) as file:
        file.write(data)
    return Path(path)


def write_text(path: Name, text: str) -> Path:
    """Writes `text` in UTF-8, as `write` does."""
    return write(path, text.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def replacing(path: Name, after: str = "") -> Iterator[BinaryIO]:
    """Does what `write` does for data written in parts. Yields a binary file, which replaces `path`
    at the end; an exception removes it. Its `name` is a path, for libraries that write to a
    path. `after` is as in `reported`."""
    with reported(path, after):
        place, mode = _place(Path(path))
        if mode is not None and not stat.S_ISREG(mode):
            with open(place, "wb", opener=lambda p, _: os.open(p, os.O_WRONLY)) as device:
                yield device
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if (folder := os.path.abspath(place.parent)) not in _cleaned:
            _cleaned.add(folder)
            remove_stale(folder)
        file, name = temporary.created(place.parent)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if mode is not None:
                    with contextlib.suppress(OSError):
                        os.chmod(name, stat.S_IMODE(mode))
                if temporary.fcntl is None:
                    file.close()  # Windows cannot rename an open file
                os.replace(name, place)  # it is still locked, so it never counts as stale
        except BaseException:
            with contextlib.suppress(OSError):
                name.unlink()
            raise


@contextlib.contextmanager
def scratch(folder: Name) -> Iterator[Path]:
    """Yields a new temporary folder in `folder`, which is made if needed. The temporary folder is
    removed at the end, or by `remove_stale` if this process is killed."""
    with reported(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        remove_stale(folder)
        made, handle = temporary.made(Path(folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def regular(path: Name, what: str) -> Path:
    """Returns `path` if it is a regular file or a link to one. `what` names what is needed, such as
    "a weights file". Raises `InputError` for a folder, a FIFO, a device or a missing file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{path}: {reason}; give the path of {what}") from error
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is {kind(mode)}, not a file; give the path of {what}")
    return Path(path)


def is_special(path: Name) -> bool:
    """Returns whether there is a device, a FIFO or a socket, which has no format by its name."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def at_most(file: BinaryIO, limit: int) -> bytes:
    """Returns what is left of a file. If that is more than `limit` bytes, stops soon after them.
    Memory is taken as the bytes come; `file.read(limit)` would ask for all of it at once."""
    data = io.BytesIO()
    while data.tell() <= limit and data.write(file.read(_PART)):
        pass
    return data.getvalue()


def kind(mode: int) -> str:
    """Returns what kind of file `mode` describes, in words for messages."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO (pipe)", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a file" if stat.S_ISREG(mode) else "a device")


@contextlib.contextmanager
def reported(path: Name, after: str = "") -> Iterator[None]:
    """Turns an `OSError` into an `InputError` that names `path`, the reason and the fix, and ends
    with `after`, such as "; the same command goes on from the last checkpoint"."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        said = f"{path}: cannot be written ({reason}); {fix(error.errno)}{after}"
        raise InputError(said) from error


def fix(number: int | None) -> str:
    """Returns the advice for an `OSError` of this number."""
    return _FIXES.get(number or 0, "check the path and the disk")


def _place(path: Path) -> tuple[Path, int | None]:
    """Returns the path to write to, with links resolved, and the mode of the file there, or None if
    there is none."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode is not None and not stat.S_ISREG(mode):
        return path, mode  # /dev/stdout resolves to no path that can be opened
    return (Path(os.path.realpath(path)) if path.is_symlink() else path), mode
