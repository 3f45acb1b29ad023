"""The sources of training images: random access to encoded images by index.

A source has a length, `read(index) -> bytes` (an encoded image), `name(index) -> str` and
`identity()`, which its fingerprint is made from. The pipeline decodes, alike for every source.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from jaxpercept.data import tfds
from jaxpercept.errors import InputError, counted, printable
from jaxpercept.images.formats import READ_SUFFIXES
from jaxpercept.images.listing import is_inside, left_out_line, walk_images

log = logging.getLogger(__name__)


class Source(Protocol):
    """What every source has."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """Returns an encoded image. Raises InputError if it cannot be read."""
        ...

    def name(self, index: int) -> str:
        """Returns what messages call the image."""
        ...

    def identity(self) -> list[str]:
        """Returns lines that stay the same as long as the images do, also if they are moved."""
        ...


class Folder:
    """The image files under a folder, nested, in natural order. `left_out`
    counts its other files, by suffix or kind. The files of `own`, a run's directory, are left out
    too, since the run writes previews."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        exclude: Sequence[str] = (),
        own: str | os.PathLike[str] | None = None,
    ):
        self.folder = Path(folder)
        self.left_out: Counter[str] = Counter()
        files = walk_images(self.folder, left_out=self.left_out)
        if own is not None:
            ours, real = os.path.realpath(own), os.path.realpath(folder)
            ours = os.path.join(ours, "previews") if ours == real else ours
            if is_inside(ours, real):
                files = [p for p in files if not is_inside(os.path.realpath(p), ours)]
        names = [p.relative_to(self.folder).as_posix() for p in files]
        self.names = [n for n in names if not any(_matches(n, pattern) for pattern in exclude)]
        if not self.names:
            excluded = f"all {len(names)} images in it are excluded" if names else None
            why = "".join(f"; {line}" for line in (excluded, left_out_line(self.left_out)) if line)
            raise InputError(
                f"{self.folder}: no image to train on{why}; looked for {', '.join(READ_SUFFIXES)} "
                "in it and below"
            )

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> bytes:
        try:
            return (self.folder / self.names[index]).read_bytes()
        except OSError as error:
            raise InputError(f"{self.name(index)}: not readable ({error.strerror})") from error

    def name(self, index: int) -> str:
        return str(self.folder / self.names[index])

    def identity(self) -> list[str]:
        """Returns relative names and sizes, so that a folder that moved is the same data."""
        return [f"{name} {_size(self.folder / name)}" for name in self.names]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a dangling link; reading reports it as broken
        return -1


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(
        name.rsplit("/", 1)[-1], pattern
    )


class Files:
    """Image files by their paths, in the given order."""

    def __init__(self, paths: Sequence[str | os.PathLike[str]]):
        self.paths = [Path(path) for path in paths]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        try:
            return self.paths[index].read_bytes()
        except OSError as error:
            raise InputError(f"{self.name(index)}: not readable ({error.strerror})") from error

    def name(self, index: int) -> str:
        return str(self.paths[index])

    def identity(self) -> list[str]:
        """Returns names and sizes."""
        return [f"{path.name} {_size(path)}" for path in self.paths]


class Joined:
    """Several sources, one after the other."""

    def __init__(self, parts: Sequence[Source]):
        self.parts = list(parts)
        self.ends: list[int] = []
        for part in self.parts:
            self.ends.append(len(part) + (self.ends[-1] if self.ends else 0))

    def _find(self, index: int) -> tuple[Source, int]:
        which = bisect_right(self.ends, index)
        return self.parts[which], index - (self.ends[which - 1] if which else 0)

    def __len__(self) -> int:
        return self.ends[-1]

    def read(self, index: int) -> bytes:
        part, local = self._find(index)
        return part.read(local)

    def name(self, index: int) -> str:
        part, local = self._find(index)
        return part.name(local)

    def identity(self) -> list[str]:
        return [line for part in self.parts for line in part.identity()]


def _open_one(given: str, exclude: Sequence[str], own: str | None) -> Source:
    path = Path(given)
    prepared = [] if given.startswith("tfds:") else tfds.prepared(path)
    if not given.startswith("tfds:") and not prepared:
        if path.is_dir():
            return Folder(path, exclude, own)
        what = "is a file" if path.exists() else "no such folder"
        raise InputError(
            f"{given}: {what}; --data takes a folder of images, a prepared TFDS directory or "
            "tfds:NAME"
        )
    if exclude:
        raise InputError(f"{given}: exclude works on folders only, not on TFDS datasets")
    if len(prepared) > 1:
        raise InputError(
            f"{given}: several TFDS datasets; give one of {', '.join(map(str, prepared[:4]))}"
        )
    if not prepared:
        return tfds.open_named(given)
    _say_beside(path, prepared[0])
    return tfds.open_folder(prepared[0], given)


def _say_beside(folder: Path, dataset: Path) -> None:
    """Warns of images in `folder` beside the dataset, which alone is read."""
    beside = [p for p in walk_images(folder) if dataset not in p.parents]
    if beside:
        log.warning(
            "%s: only the dataset %s is read, and not the %s beside it; to use these too, move "
            "them to a folder of their own and give both",
            printable(str(folder)),
            printable(str(dataset)),
            counted(len(beside), "image"),
        )


def open_sources(
    sources: Sequence[str], exclude: Sequence[str] = (), *, own: str | None = None
) -> Source:
    """Opens each of `sources`: a folder, a prepared TFDS directory, or `tfds:NAME[/CONFIG][:SPLIT]`
    (split `train`).

    `exclude` holds shell patterns for file names or paths relative to their folder. `own` is the
    directory of the run that trains on them, whose pictures are left out. Raises `InputError`
    for a source that does not exist."""
    if isinstance(sources, str | os.PathLike):
        sources = [os.fspath(sources)]
    if not sources:
        raise InputError("no training data; give --data a folder of images or tfds:NAME")
    parts = [_open_one(os.fspath(given), exclude, own) for given in sources]
    return parts[0] if len(parts) == 1 else Joined(parts)


def describe(
    sources: Sequence[str], exclude: Sequence[str] = (), *, opened: Source | None = None
) -> dict[str, Any]:
    """Returns what a run's header keeps of its data: `sources` as given, image `count`, and
    `fingerprint` of names and sizes. `opened` is the result of `open_sources`, if it was called
    already."""
    source = open_sources(sources, exclude) if opened is None else opened
    given = [sources] if isinstance(sources, str | os.PathLike) else sources
    return {
        "sources": [os.fspath(s) for s in given],
        "count": len(source),
        "fingerprint": fingerprint(source.identity()),
    }


def fingerprint(identity: Sequence[str]) -> str:
    """Returns a short digest of a source's `identity()`."""
    text = "\n".join(identity).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
