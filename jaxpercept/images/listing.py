"""Finding image files: folders, patterns, natural order."""

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
from jaxpercept.images.formats import READ_SUFFIXES

LeftOut = Counter[str]  # how many files of a folder are not taken, by suffix or kind
OUTPUTS = "in the output folder"  # such a kind


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `2.jpg` before `10.jpg`."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"([0-9]+)", name.lower())
        if part
    ]


def walk_images(
    folder: Path, suffixes: Iterable[str] = READ_SUFFIXES, left_out: LeftOut | None = None
) -> list[Path]:
    """Every image file under `folder` by suffix, nested and through links, in natural order.

    Hidden files are passed over. Other suffixes, and FIFOs and devices of any name, are left out
    and counted in `left_out`."""
    found: list[Path] = []
    wanted, seen = tuple(suffixes), set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()  # a link back up
            continue
        seen.add(real)
        folders[:] = [f for f in folders if not f.startswith(".")]
        for path in (Path(root, name) for name in names if not name.startswith(".")):
            if why := _unwanted(path, wanted):
                if left_out is not None:
                    left_out[why] += 1
            else:
                found.append(path)
    return sorted(
        found, key=lambda p: (natural_key(p.relative_to(folder).as_posix()), p.as_posix())
    )


def _unwanted(path: Path, suffixes: tuple[str, ...]) -> str | None:
    """Why a file of a folder is left out; None if it is not."""
    if not path.name.lower().endswith(suffixes):
        return path.suffix.lower() or "no suffix"
    try:
        mode = path.stat().st_mode
    except OSError:  # a link to nothing: a broken image, which reading names
        return None
    return None if stat.S_ISREG(mode) else files.kind(mode).removeprefix("a ")


def left_out_line(left_out: LeftOut) -> str | None:
    """What folders have besides images, to be said once: "left out: 3 .txt, 1 .heic"; None for
    nothing."""
    if not left_out:
        return None
    counts = ", ".join(
        f"{n} {why}" for why, n in sorted(left_out.items(), key=lambda i: (-i[1], i[0]))
    )
    return f"left out of the folders: {counts}"


@dataclass(frozen=True)
class Found:
    """An image of a list: its path; `below`, the path below the folder or pattern under which it
    was found, or the name of a file that was `given` itself."""

    path: Path
    below: Path
    given: bool = False


def list_images(
    inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    failed: list[str] | None = None,
    left_out: LeftOut | None = None,
    *,
    suffixes: Iterable[str] = READ_SUFFIXES,
    what: str = "image",
) -> list[Path]:
    """Files as given, folders searched (nested), globs expanded; each once, in order. `-` is
    standard input, for `fetch`. `left_out` counts what folders have besides images. `suffixes`
    and `what`: for files of another kind.

    `InputError` where one of them has nothing; with `failed`, that line is added to it and the rest
    listed, and only nothing at all is an error."""
    return [f.path for f in find_images(inputs, failed, left_out, suffixes=suffixes, what=what)]


def find_images(
    inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    failed: list[str] | None = None,
    left_out: LeftOut | None = None,
    outputs: Iterable[Path] = (),
    *,
    suffixes: Iterable[str] = READ_SUFFIXES,
    what: str = "image",
) -> list[Found]:
    """As `list_images`, with where each was found. `outputs`: folders to which the caller writes;
    where one lies inside a folder or pattern that is searched, its images are left out of that, and
    counted in `left_out`."""
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    found: dict[str, Found] = {}
    nothing: list[str] = []
    ours = [os.path.realpath(folder) for folder in outputs]
    for given in inputs:
        path = Path(given)
        counts: LeftOut = Counter()
        root = _root(os.fspath(given))
        skipped = [] if root is None else [f for f in ours if _inside(f, os.path.realpath(root))]
        new = 0
        for one in _found(given, root, counts, suffixes):
            real = os.path.realpath(one.path) if os.fspath(one.path) != "-" else "-"
            if any(_inside(real, folder) for folder in skipped):
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
    """The folder that is searched for `given`: itself, or what stands before a pattern's first
    wildcard; None for a file."""
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
    """What one input names."""
    path = Path(given)
    if root is None:
        yield Found(path, Path(path.name if os.fspath(given) != "-" else "stdin"), given=True)
        return
    matches = [path]
    if not path.is_dir():
        matches = [*map(Path, sorted(glob.glob(os.fspath(given), recursive=True), key=natural_key))]
    for match in matches:
        for one in walk_images(match, suffixes, left_out) if match.is_dir() else [match]:
            parts = one.relative_to(root).parts
            yield Found(one, Path(*(part for part in parts if part != "..")))


def _inside(path: str, folder: str) -> bool:
    """Whether a real path lies inside a real folder, and is not that folder."""
    return path != folder and path.startswith(os.path.join(folder, ""))
