"""Finds image files in folders and by patterns, in natural order."""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.files import folders
from jaxpercept.images.formats import READ_SUFFIXES

LeftOut = Counter[str]  # number of files left out, by suffix or kind
OUTPUTS = "in the output folder"  # one of these kinds
UNREADABLE = "unreadable folder"  # another


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Returns a sorting key that puts `2.jpg` before `10.jpg`."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"([0-9]+)", name.lower())
        if part
    ]


def walk_images(
    folder: Path, suffixes: Iterable[str] = READ_SUFFIXES, left_out: LeftOut | None = None
) -> list[Path]:
    """Returns every image file under `folder` by suffix, in natural order. Subfolders and links are
    followed.

    Hidden files are skipped. Files with other suffixes, FIFOs, devices and folders that cannot be
    read are left out and counted in `left_out`."""
    found: list[Path] = []
    wanted = tuple(suffixes)
    counts: LeftOut = Counter() if left_out is None else left_out
    for _, names in _folders(folder, counts):
        for path in map(Path, names):
            if why := _unwanted(path, wanted):
                counts[why] += 1
            else:
                found.append(path)
    return sorted(
        found, key=lambda p: (natural_key(p.relative_to(folder).as_posix()), p.as_posix())
    )


def _folders(top: Path, left_out: LeftOut) -> Iterator[tuple[str, list[str]]]:
    """Yields what `files.folders.walk` does, and counts the folders that cannot be read."""
    unreadable: list[str] = []
    yield from folders.walk(os.fspath(top), unreadable)
    if unreadable:
        left_out[UNREADABLE] += len(unreadable)


def _unwanted(path: Path, suffixes: tuple[str, ...]) -> str | None:
    """Returns why a file of a folder is left out, or None if it is taken."""
    if not path.name.lower().endswith(suffixes):
        return path.suffix.lower() or "no suffix"
    try:
        mode = path.stat().st_mode
    except OSError:  # a dangling link; reading reports it as broken
        return None
    return None if stat.S_ISREG(mode) else files.kind(mode).removeprefix("a ")


def left_out_line(left_out: LeftOut) -> str | None:
    """Returns one line on the files left out of folders, "left out of the folders: 3 .txt, 1
    .heic", or None if there are none."""
    if not left_out:
        return None
    counts = ", ".join(
        f"{n} {why}" for why, n in sorted(left_out.items(), key=lambda i: (-i[1], i[0]))
    )
    return f"left out of the folders: {counts}"


@dataclass(frozen=True)
class Found:
    """An image of a list. `path` is its path. `below` is its path below the searched folder or
    pattern, or its file name if the file itself was `given`."""

    path: Path
    below: Path
    given: bool = False


def list_images(
    inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
) -> list[Path]:
    """Returns the paths that `find_images` finds. Raises `InputError` if one of the inputs has no
    image."""
    return [found.path for found in find_images(inputs)]


def find_images(
    inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    failed: list[str] | None = None,
    left_out: LeftOut | None = None,
    outputs: Iterable[Path] = (),
    *,
    suffixes: Iterable[str] = READ_SUFFIXES,
    what: str = "image",
) -> list[Found]:
    """Finds files as given, files of folders (nested) and matches of patterns, each once, in order,
    and says where. `-` is standard input, for `fetch`. `left_out` counts the other files of
    folders. `outputs` are the folders that the caller writes to. If one lies inside a searched
    folder or pattern, its images are left out and counted too. `suffixes` and `what` choose another
    kind of file.

    Raises `InputError` if one of the inputs has no image. With `failed`, that error's line is
    appended to it and the rest is found; it is an error only if there is no image at all."""
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    found: dict[str, Found] = {}
    nothing: list[str] = []
    ours = [os.path.realpath(folder) for folder in outputs]
    for given in inputs:
        path = Path(given)
        counts: LeftOut = Counter()
        root = _root(os.fspath(given))
        skipped = [] if root is None else [f for f in ours if is_inside(f, os.path.realpath(root))]
        new = 0
        for one in _found(given, root, counts, suffixes):
            real = os.path.realpath(one.path) if os.fspath(one.path) != "-" else "-"
            if any(is_inside(real, folder) for folder in skipped):
                counts[OUTPUTS] += 1
                continue
            new += 1
            earlier = found.setdefault(real, one)
            if one.given and not earlier.given:
                found[real] = replace(earlier, given=True)
        if left_out is not None:
            left_out.update(counts)
        if new:
            continue
        besides = " besides those of the output folder" if counts[OUTPUTS] else ""
        nothing.append(
            f"{path}: no {what} in this folder{besides}; looked for {', '.join(suffixes)}"
            if path.is_dir()
            else f"{path}: no such file, folder or pattern{besides}; give {what}s or folders of "
            f"{what}s"
        )
    if nothing and (failed is None or not found):
        raise InputError(nothing[0])
    if not found:
        raise InputError(f"no input {what}; give files, folders or patterns")
    if failed is not None:
        failed += nothing
    return list(found.values())


def _root(given: str) -> Path | None:
    """Returns the folder to search for `given`: the folder itself, or the path before a pattern's
    first wildcard. Returns None for a file."""
    path = Path(given)
    if path.is_dir():
        return path
    if path.exists() or given == "-":
        return None
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    return Path(*fixed)


def _found(
    given: str | os.PathLike[str], root: Path | None, left_out: LeftOut, suffixes: Iterable[str]
) -> Iterator[Found]:
    """Yields the images that one input names."""
    path = Path(given)
    if root is None:
        yield Found(path, Path(path.name if os.fspath(given) != "-" else "stdin"), given=True)
        return
    matches = [path]
    if not path.is_dir():
        matches = [*map(Path, sorted(_matches(path.parts, left_out), key=natural_key))]
    for match in matches:
        if not match.is_dir() and (why := _unwanted(match, ("",))):  # a FIFO or a device
            left_out[why] += 1
            continue
        for one in walk_images(match, suffixes, left_out) if match.is_dir() else [match]:
            parts = one.relative_to(root).parts
            yield Found(one, Path(*(part for part in parts if part != "..")))


def _matches(parts: tuple[str, ...], left_out: LeftOut) -> Iterator[str]:
    """Yields what matches a pattern. `**` stands for the folders of `_folders`; glob.glob would
    follow a link that leads back forty times, and two of them for ever."""
    if "**" not in parts:
        yield from glob.glob(os.path.join(*parts))
        return
    at = parts.index("**")
    for top in glob.glob(os.path.join(*parts[:at])) if at else ["."]:
        if not (rest := parts[at + 1 :]):
            yield top
        elif os.path.isdir(top):
            for folder, _ in _folders(Path(top), left_out):
                yield from _matches((glob.escape(folder), *rest), left_out)


def is_inside(path: str, folder: str) -> bool:
    """Returns whether a real path lies inside a real folder and is not the folder itself."""
    return path != folder and path.startswith(os.path.join(folder, ""))
