"""Every command writes its files through this module, whole or not at all.

The bytes go to a temporary file beside the target, which is then renamed to the target. The
temporary file's name is short and recognisable, and its writer holds a lock (`flock`) on it. The
kernel releases the lock when the process ends. A temporary file without a lock was therefore left
behind by a killed process, and the next run removes it.
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
except ImportError:  # Windows has no locks, so no file counts as stale
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
    errno.EFBIG: "the file system allows no file of this size; give a path on another file system",
    errno.EIO: "check the disk",
    errno.EPIPE: "the program that reads it has ended",
}
_cleaned: set[str] = set()


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
def replacing(path: Name) -> Iterator[BinaryIO]:
    """Does what `write` does for data written in parts. Yields a binary file, which replaces `path`
    at the end; an exception removes it. Its `name` is a path, for libraries that write to a
    path."""
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
                    file.close()  # Windows cannot rename an open file
                os.replace(temporary, place)  # it is still locked, so it never counts as stale
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


@contextlib.contextmanager
def scratch(folder: Name) -> Iterator[Path]:
    """Yields a new temporary folder in `folder`, which is made if needed. The temporary folder is
    removed at the end, or by `remove_stale` if this process is killed."""
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
    """Removes our temporary files and folders from `folder` (not from its subfolders) if their
    process has ended, and returns their paths. It leaves alone what it cannot open, lock or
    remove."""
    removed: list[Path] = []
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_unlocked(Path(entry.path), entry.is_dir(follow_symlinks=False))
                    removed.append(Path(entry.path))
    return removed


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


def _name(folder: Path) -> Path:
    return folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"


def _created(folder: Path) -> tuple[BinaryIO, Path]:
    """Creates a temporary file, open and locked."""
    while True:
        name = _name(folder)
        file = open(name, "wb", opener=_exclusively)  # noqa: SIM115
        if _locked(file.fileno(), name):
            return file, name
        file.close()


def _exclusively(name: str, _: int) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _made(folder: Path) -> tuple[Path, int | None]:
    """Creates a temporary folder; also returns the handle that holds its lock."""
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
    """Locks an open file; returns False if another process's `remove_stale` removed it first."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):  # without locks no file counts as stale
        fcntl.flock(handle, fcntl.LOCK_EX)
    return name.exists()


def _remove_unlocked(path: Path, is_folder: bool) -> None:
    """Raises OSError if the file is locked, and so in use, or if it cannot be locked."""
    if fcntl is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    flags = os.O_RDONLY if is_folder else os.O_RDWR  # NFS cannot lock a file opened for reading
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if is_folder else path.unlink()
    finally:
        os.close(handle)
