"""Films in a bulk job. Each is a task of its own, and is made as by the command `video`.

A film in the file system is read and written where it is, so that a task that died goes on from the
film's finished segments. From or to an object store, it goes through a temporary folder.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from jaxpercept import files
from jaxpercept.bulk import places
from jaxpercept.inference import containers, films


def is_film(name: str) -> bool:
    """Returns whether a name is a film's, by its suffix."""
    return _suffix(name) in containers.READ_SUFFIXES


def written_suffix(name: str) -> str:
    """Returns the suffix of what is made of a film: its own, or `.mp4` if we cannot write that."""
    return films.written_suffix(Path(places.bare(name)))


@contextlib.contextmanager
def fetched(name: str) -> Iterator[Path]:
    """Yields the path of a film, which is a copy if it is in an object store. Raises InputError if
    it cannot be read."""
    if not places.is_uri(name):
        yield files.regular(name, "a film")
        return
    with files.scratch(tempfile.gettempdir()) as folder:
        copy = folder / f"film{_suffix(name)}"
        copy.write_bytes(places.read(name, "a film"))
        yield copy


@contextlib.contextmanager
def put(name: str) -> Iterator[Path]:
    """Yields the path to write a film to. At the end, what was written there is put in the object
    store if `name` is in one."""
    if not places.is_uri(name):
        yield Path(name)
        return
    with files.scratch(tempfile.gettempdir()) as folder:
        made = folder / f"film{_suffix(name)}"
        yield made
        if made.exists():
            places.write(name, made.read_bytes())


def _suffix(name: str) -> str:
    return PurePosixPath(places.bare(name)).suffix.lower()
