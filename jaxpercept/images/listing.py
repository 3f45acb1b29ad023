"""Finding image files: folders, patterns, natural order."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.images.formats import READ_SUFFIXES

LeftOut = Counter[str]  # how many files of a folder are not taken, by suffix or kind


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
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    found: dict[str, Path] = {}
    nothing: list[str] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            new = walk_images(path, suffixes, left_out)
            if not new:
                nothing.append(
                    f"{path}: no {what} in this folder; looked for {', '.join(suffixes)}"
                )
        elif path.exists() or os.fspath(given) == "-":
            new = [path]
        else:
            matches = sorted(glob.glob(os.fspath(given), recursive=True), key=natural_key)
            new = [
                q
                for m in matches
                for q in (
                    walk_images(Path(m), suffixes, left_out) if Path(m).is_dir() else [Path(m)]
                )
            ]
            if not new:
                nothing.append(
                    f"{path}: no such file, folder or pattern; give {what}s or folders of {what}s"
                )
        for one in new:
            found.setdefault(os.path.realpath(one) if os.fspath(one) != "-" else "-", one)
    if nothing and (failed is None or not found):
        raise InputError(nothing[0])
    if not found:
        raise InputError(f"no input {what}; give files, folders or patterns")
    if failed is not None:
        failed += nothing
    return list(found.values())
