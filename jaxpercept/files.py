"""Writing files, whole or not at all: the one way in which any command does it.

The bytes go to a temporary file beside the target, which then takes the target's name. The
temporary file's name is short and recognisable, and its writer holds a lock (`flock`) on it. The
kernel releases the lock with the process, so a temporary file without a lock is one that a killed
process left behind: the next run removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jaxpercept.errors import InputError

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: no locks, so nothing is taken for stale
    fcntl = None

Name = str | os.PathLike[str]
STANDARD = Path("-")  # standard input, or standard output
_PREFIX, _SUFFIX = ".jaxpercept-", ".tmp"
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
    errno.EFBIG: "the file system takes no file of this size; give a path on another one",
    errno.EIO: "check the disk",
    errno.EPIPE: "what reads it has ended",
}
_cleaned: set[str] = set()


def write(path: Name, data: bytes) -> Path:
    """Writes `data` to `path`, making folders as needed, and returns the path.

    A file that is there keeps its permissions, and its old contents until the new ones are
    complete. A symbolic link stays, and the file it leads to is replaced. A device or a FIFO is
    opened and written. `InputError` where that fails; then nothing is left behind."""
    with replacing(path) as file:
        file.write(data)
    return Path(path)


def write_text(path: Name, text: str) -> Path:
    """`write` in UTF-8."""
    return write(path, text.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def replacing(path: Name) -> Iterator[BinaryIO]:
    """`write` for what is written in parts: gives a binary file, which takes the place of `path` at
    the end, or is removed at an exception. Its `name` is a path, for libraries that write to
    one."""
    with reported(path):
        place, mode = _place(Path(path))
        if mode is not None and not stat.S_ISREG(mode):
            with open(place, "wb", opener=lambda p, _: os.open(p, os.O_WRONLY)) as device:
                yield device
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if (folder := os.path.abspath(place.parent)) not in _cleaned:
            _cleaned.add(folder)
            remove_stale(folder)
        file, temporary = _created(place.parent)
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if mode is not None:
                    with contextlib.suppress(OSError):
                        os.chmod(temporary, stat.S_IMODE(mode))
                if fcntl is None:
                    file.close()  # Windows renames no open file
                os.replace(temporary, place)  # still locked: never taken for stale
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


@contextlib.contextmanager
def scratch(folder: Name) -> Iterator[Path]:
    """A temporary folder in `folder`, which is made if needed. It is removed at the end, and by
    `remove_stale` if this process is killed."""
    with reported(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        remove_stale(folder)
        made, handle = _made(Path(folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def remove_stale(folder: Name) -> list[Path]:
    """Removes from `folder` (not below) the temporary files and folders of ours whose process has
    ended, and returns them. What cannot be opened, locked or removed is left alone."""
    removed: list[Path] = []
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_unlocked(Path(entry.path), entry.is_dir(follow_symlinks=False))
                    removed.append(Path(entry.path))
    return removed


def regular(path: Name, what: str) -> Path:
    """`path`, if it is a regular file (or a link to one). `what` is what is needed: "a weights
    file". `InputError` for a folder, a FIFO, a device, or nothing at all."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{path}: {reason}; give the path of {what}") from error
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is {kind(mode)}, not a file; give the path of {what}")
    return Path(path)


def kind(mode: int) -> str:
    """What a file's mode says it is, for messages."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO (pipe)", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a file" if stat.S_ISREG(mode) else "a device")


@contextlib.contextmanager
def reported(path: Name, after: str = "") -> Iterator[None]:
    """An `OSError` becomes the one `InputError` that names `path`, the reason and the fix, then
    `after`: "; the same command goes on from the last checkpoint"."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        said = f"{path}: cannot be written ({reason}); {fix(error.errno)}{after}"
        raise InputError(said) from error


def fix(number: int | None) -> str:
    """What to do about an `OSError` of this number, in words."""
    return _FIXES.get(number or 0, "check the path and the disk")


def _place(path: Path) -> tuple[Path, int | None]:
    """Where the bytes go, past links, and the mode of what is there; None for nothing."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode is not None and not stat.S_ISREG(mode):
        return path, mode  # /dev/stdout leads to no path that could be opened
    return (Path(os.path.realpath(path)) if path.is_symlink() else path), mode


def _name(folder: Path) -> Path:
    return folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"


def _created(folder: Path) -> tuple[BinaryIO, Path]:
    """A new temporary file, open and locked."""
    while True:
        name = _name(folder)
        file = open(name, "wb", opener=_exclusively)  # noqa: SIM115
        if _locked(file.fileno(), name):
            return file, name
        file.close()


def _exclusively(name: str, _: int) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _made(folder: Path) -> tuple[Path, int | None]:
    """A new temporary folder, and the handle that holds its lock."""
    while True:
        name = _name(folder)
        name.mkdir()
        if fcntl is None:
            return name, None
        handle = os.open(name, os.O_RDONLY)
        if _locked(handle, name):
            return name, handle
        os.close(handle)


def _locked(handle: int, name: Path) -> bool:
    """Locks an open file; False if `remove_stale` of another process came in between."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):  # a file system without locks: nothing is stale there
        fcntl.flock(handle, fcntl.LOCK_EX)
    return name.exists()


def _remove_unlocked(path: Path, is_folder: bool) -> None:
    """OSError where the file is locked, so in use, or cannot be locked."""
    if fcntl is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    flags = os.O_RDONLY if is_folder else os.O_RDWR  # NFS locks no file opened for reading
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if is_folder else path.unlink()
    finally:
        os.close(handle)
