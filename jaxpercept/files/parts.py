"""The finished parts of a file that takes long to make: a later run goes on from them.

Parts are small files in a hidden folder beside the file that they will become. The folder's name is
made of the file's name and of a key that describes everything that decides the parts, so that no
other command takes them for its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from types import TracebackType

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.files import temporary


class Parts:
    """The parts of the file that is to stand at `path`. Use it in a `with` statement.

    At the end, the parts are removed, and with them those of other keys. They are also removed if
    the input is at fault. They stay after `kill -9` and after any other exception, such as Ctrl-C
    or a full disk. Raises InputError if another process makes them now."""

    def __init__(self, path: files.Name, key: str) -> None:
        self.path = Path(path)
        place = Path(os.path.realpath(path)) if self.path.is_symlink() else self.path
        self._begin = f"{temporary.PARTS}{_hash(place.name)[:12]}-"
        self.folder = place.parent / f"{self._begin}{_hash(key)[:20]}{temporary.SUFFIX}"
        self._open = False
        self._handle: int | None = None
        if self.folder.is_dir():
            self._lock()
        self.count = next(i for i in range(1_000_000) if not self._part(i).exists())

    def __enter__(self) -> Parts:
        return self

    @property
    def after(self) -> str:
        """The end of the message of a failure: what the same command then does."""
        return "; the same command goes on from the parts that are finished" if self.count else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        at_fault = isinstance(error, InputError) and not isinstance(error.__cause__, OSError)
        if self._open and (error is None or at_fault or not self.count):
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._handle is not None:
            os.close(self._handle)
        if error is None:
            temporary.remove_parts(self.folder.parent, self._begin)

    def add(self, data: bytes) -> None:
        """Keeps the next part, whole or not at all. Raises InputError if it cannot be written."""
        with files.reported(self.path, self.after):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._open:
                self._lock()
            new = self.folder / "new"  # nobody else writes here
            try:
                with open(new, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(new, self._part(self.count))
            except BaseException:
                new.unlink(missing_ok=True)
                raise
        self.count += 1

    def read(self, index: int) -> bytes:
        """Returns a part."""
        return self._part(index).read_bytes()

    def drop(self, index: int) -> None:
        """Forgets the part `index`, which is unreadable, and those after it."""
        for later in range(index, self.count):
            self._part(later).unlink(missing_ok=True)
        self.count = index

    def _part(self, index: int) -> Path:
        return self.folder / f"{index:06}"

    def _lock(self) -> None:
        try:
            self._handle = temporary.lock_folder(self.folder)
        except BlockingIOError as error:
            raise InputError(
                f"{self.path}: another process makes this file; wait for it, or give another name"
            ) from error
        self._open = True


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
