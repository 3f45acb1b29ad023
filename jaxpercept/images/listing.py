"""Finding image files: folders, patterns, natural order."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from jaxpercept.errors import InputError

READ_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `2.jpg` before `10.jpg`."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"([0-9]+)", name.lower())
        if part
    ]


def walk_images(folder: Path, suffixes: Iterable[str] = READ_SUFFIXES) -> list[Path]:
    """Every image file under `folder` by suffix, nested and through links, hidden ones left out, in
    natural order."""
    found: list[Path] = []
    wanted, seen = tuple(suffixes), set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()  # a link back up
            continue
        seen.add(real)
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [
            Path(root, f) for f in files if f.lower().endswith(wanted) and not f.startswith(".")
        ]
    return sorted(
        found, key=lambda p: (natural_key(p.relative_to(folder).as_posix()), p.as_posix())
    )


def list_images(
    inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    failed: list[str] | None = None,
) -> list[Path]:
    """Files as given, folders searched (nested), globs expanded; each once, in order.

    `InputError` where one of them has nothing; with `failed`, that line is added to it and the rest
    listed, and only nothing at all is an error."""
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    found: dict[Path, None] = {}
    nothing: list[str] = []
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            new = walk_images(path)
            if not new:
                nothing.append(
                    f"{path}: no image in this folder; looked for {', '.join(READ_SUFFIXES)}"
                )
        elif path.exists():
            new = [path]
        else:
            matches = sorted(glob.glob(os.fspath(given), recursive=True), key=natural_key)
            new = [
                q
                for m in matches
                for q in (walk_images(Path(m)) if Path(m).is_dir() else [Path(m)])
            ]
            if not new:
                nothing.append(
                    f"{path}: no such file, folder or pattern; give images or folders of images"
                )
        found |= dict.fromkeys(new)
    if nothing and (failed is None or not found):
        raise InputError(nothing[0])
    if not found:
        raise InputError("no input image; give files, folders or patterns")
    if failed is not None:
        failed += nothing
    return list(found)
