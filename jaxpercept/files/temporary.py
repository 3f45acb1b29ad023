"""Temporary files: their names, their locks, and the removal of those that nobody needs any more.

A temporary file's name is short and recognisable, and its writer holds a lock (`flock`) on it. The
kernel releases the lock when the process ends. A temporary file without a lock was therefore left
behind by a killed process, and the next run removes it. Finished parts of a long file (see `parts`)
are kept for a week, for the same command to go on from them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has no locks, so no file counts as stale
    fcntl = None

Name = str | os.PathLike[str]
PREFIX, SUFFIX = ".jaxpercept-", ".tmp"
PARTS = f"{PREFIX}parts-"  # the names of folders of parts begin so
KEPT = 7 * 24 * 3600  # seconds for which a killed run's parts are kept


def remove_stale(folder: Name) -> list[Path]:
    """Removes our temporary files and folders from `folder` (not from its subfolders) if their
    process has ended, and returns their paths. It leaves alone parts that were written in the last
    `KEPT` seconds, and what it cannot open, lock or remove."""
    removed: list[Path] = []
    for entry in _ours(folder, PREFIX):
        with contextlib.suppress(OSError):
            if entry.name.startswith(PARTS) and time.time() - entry.stat().st_mtime < KEPT:
                continue
            remove_unlocked(Path(entry.path), entry.is_dir(follow_symlinks=False))
            removed.append(Path(entry.path))
    return removed


def remove_parts(folder: Name, begin: str) -> None:
    """Removes the unlocked folders of parts in `folder` whose names begin with `begin`."""
    for entry in _ours(folder, begin):
        with contextlib.suppress(OSError):
            remove_unlocked(Path(entry.path), True)


def _ours(folder: Name, begin: str) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if entry.name.startswith(begin) and entry.name.endswith(SUFFIX):
                yield entry


def created(folder: Path) -> tuple[BinaryIO, Path]:
    """Creates a temporary file, open and locked."""
    while True:
        name = _name(folder)
        file = open(name, "wb", opener=_exclusively)  # noqa: SIM115
        if _locked(file.fileno(), name):
            return file, name
        file.close()


def made(folder: Path) -> tuple[Path, int | None]:
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


def lock_folder(folder: Path) -> int | None:
    """Locks a folder that another process may hold, and returns the handle, or None where there are
    no locks. Raises BlockingIOError if another process holds it."""
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # a file system without locks
        os.close(handle)
        return None
    return handle


def remove_unlocked(path: Path, is_folder: bool) -> None:
    """Removes a file or folder. Raises OSError if it is locked, and so in use, or if it cannot be
    locked."""
    if fcntl is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    flags = os.O_RDONLY if is_folder else os.O_RDWR  # NFS cannot lock a file opened for reading
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if is_folder else path.unlink()
    finally:
        os.close(handle)


def _name(folder: Path) -> Path:
    return folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"


def _exclusively(name: str, _: int) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _locked(handle: int, name: Path) -> bool:
    """Locks an open file; returns False if another process's `remove_stale` removed it first."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):  # without locks no file counts as stale
        fcntl.flock(handle, fcntl.LOCK_EX)
    return name.exists()
