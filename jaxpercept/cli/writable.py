"""Checks, before any work, that outputs can be written where a command's options say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file


def check_folder(out: str | os.PathLike[str], option: str = "-o") -> None:
    """Raises InputError unless files can be written below `out`, which `option` gave."""
    if os.path.exists(out) and not os.path.isdir(out):
        raise InputError(f"{option} {out} is a file; give a folder")
    check(Path(out), option)


def check(out: Path, option: str = "-o") -> None:
    """Raises InputError unless `out` can be made or written. It does not make `out`."""
    place = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    if place != out.absolute() and not place.is_dir():
        raise InputError(f"{option} {out}: {place} is a file, not a folder; choose another place")
    if not os.access(place, os.W_OK):
        raise InputError(f"{option} {out}: {place} cannot be written; choose another place")


def check_file(option: str, path: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Raises InputError unless a file can be written at `path`, which `option` names, and is none
    of the `inputs`."""
    if path == files.STANDARD:
        raise InputError(
            f"{option} - names no file; give a file, or /dev/stdout for standard output"
        )
    # Path.resolve raises RuntimeError for a link that leads back to itself
    if os.path.realpath(path) in map(os.path.realpath, inputs):
        raise InputError(f"{option} {path} is the input itself; give another name")
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; give a file")
    place = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not os.access(place, os.W_OK) or not (place.is_dir() or place == path.absolute()):
        raise InputError(f"{option} {path}: {place} cannot be written; give another file")


def check_weights(option: str, path: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Does what `check_file` does for a weights file. Its name tells it from a picture, which would
    be lost."""
    if path.suffix != weights_file.SUFFIX and not files.is_special(path):
        raise InputError(
            f"{option} {path} is not allowed; the name must end in {weights_file.SUFFIX}"
        )
    check_file(option, path, inputs)
