"""Walks folders, for whatever looks for files in them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator


def walk(
    top: str, unreadable: list[str] | None = None, *, hidden: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Yields the path of every folder below `top`, and of `top` itself, with the paths of its
    files. Each folder comes once, and by its own path before that of a link, which may lead to
    another of them or back. Hidden files and folders are skipped unless `hidden`. Folders that
    cannot be read are added to `unreadable`."""
    own, links, seen = deque([top]), deque[str](), set[str]()
    while own or links:
        folder = (own or links).popleft()
        if (real := os.path.realpath(folder)) in seen:
            continue
        seen.add(real)
        names: list[str] = []
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            if unreadable is not None:
                unreadable.append(folder)
            continue
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            if entry.is_symlink() and os.path.isdir(entry.path):
                links.append(entry.path)
            elif not entry.is_symlink() and entry.is_dir():
                own.append(entry.path)
            else:
                names.append(entry.path)
        yield folder, names
