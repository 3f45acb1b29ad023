"""Finds the inputs of a bulk job, images and films: files, folders, patterns, lists and columns of
names, here and in object stores.

An input keeps its place below the searched folder or pattern, as in `stylize`. An entry of a list
keeps its whole name: `/data/a/x.png` is `data/a/x.png` below the output, and `s3://bucket/x.png` is
`bucket/x.png`. A name therefore never depends on the rest of the list.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from jaxpercept import images
from jaxpercept.bulk import places
from jaxpercept.bulk.places import Entry
from jaxpercept.errors import InputError
from jaxpercept.images.listing import OUTPUTS
from jaxpercept.inference import containers

SUFFIXES = (*images.READ_SUFFIXES, *containers.READ_SUFFIXES)  # searched for in folders
_COLUMN = re.compile(r"(.+\.(?:parquet|parq|pq)):([^:/\\]+)$", re.IGNORECASE)


def find(
    inputs: Sequence[str], out: str, missing: list[str], left_out: Counter[str]
) -> dict[images.Found, Entry]:
    """Returns the images and films of `inputs`: where each was found, its name, size and time. Adds
    a line to `missing` for each input that does not exist. `left_out` counts the other files of
    folders, and the files in the folder `out`."""
    found: dict[images.Found, Entry] = {}
    real: set[str] = set()  # of searched files, which a second path may lead to
    for given in map(places.plain, inputs):
        try:
            for one, entry in _found(given, out, missing, left_out, real):
                found.setdefault(one, entry)
        except InputError as error:
            missing.append(str(error))
    if not found:
        raise InputError(missing[0] if missing else "no input image; give files, folders or URIs")
    return found


def _found(
    given: str, out: str, missing: list[str], left_out: Counter[str], real: set[str]
) -> Iterator[tuple[images.Found, Entry]]:
    if given == "-":
        raise InputError("-: bulk reads no standard input; give files, or a list as @names.txt")
    if given.startswith("@"):
        yield from listed(_lines(given[1:]))
    elif column := _COLUMN.match(given):
        yield from listed(_column(*column.groups()))
    elif places.is_uri(given):
        yield from _in_store(given, out, left_out)
    else:
        outputs = [] if places.is_uri(out) else [Path(out)]
        for one in images.find_images([given], missing, left_out, outputs, suffixes=SUFFIXES):
            if (place := os.path.realpath(one.path)) not in real:
                real.add(place)
                yield one, places.about([str(one.path)])[0]


def _lines(file: str) -> list[str]:
    """Returns the names in a text file, one per line, as they stand: a name may begin or end with a
    space. Blank lines and lines that begin with # are skipped."""
    text = places.read(file, "a list of names").decode("utf-8-sig", "surrogateescape")
    if "\0" in text:
        raise InputError(f"{file}: is not a text file; give a list of names, one per line")
    names = re.split(r"\r\n|\r|\n", text)  # other ends of lines may be in names
    return [name for name in names if name.strip() and name[0] != "#"]


def _column(file: str, column: str) -> list[str]:
    """Returns the names in a column of a Parquet file."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(f"{file}: Parquet needs pyarrow; pip install 'jaxpercept[ray]'") from error
    data = places.read(file, "a Parquet file")
    try:
        known = parquet.read_schema(pa.BufferReader(data)).names
        if column not in known:
            raise InputError(f"{file}: no column {column!r}; it has {', '.join(known)}")
        names = parquet.read_table(pa.BufferReader(data), columns=[column])[column].to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"{file}: is not a Parquet file ({error}); give another") from error
    if wrong := [name for name in names if name is not None and not isinstance(name, str)]:
        raise InputError(f"{file}:{column} holds {wrong[0]!r:.40}; give a column of names")
    return [name for name in names if name]


def listed(names: Sequence[str]) -> Iterator[tuple[images.Found, Entry]]:
    """Yields the entries of a list without looking at the files. A missing file fails alone,
    later."""
    for name in map(places.plain, names):
        place = places.bare(name)
        below = Path(re.sub(r"^[a-z][a-z0-9+.-]*://", "", place))
        parts = [part for part in below.parts if part not in ("..", below.anchor)]
        entry = Entry(name) if places.is_uri(name) else places.about([name])[0]
        yield images.Found(Path(place), Path(*parts), given=True), entry


def _in_store(given: str, out: str, left_out: Counter[str]) -> Iterator[tuple[images.Found, Entry]]:
    """Yields an object, the objects below a folder, or those that match a pattern. A `?` begins the
    URI's query."""
    place, mark, query = given.partition("?")
    parts = place.rstrip("/").split("/")
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    root, pattern = "/".join(parts[:fixed]), parts[fixed:]
    if not pattern and (entry := places.about([given])[0]).size >= 0:
        yield images.Found(Path(place), Path(PurePosixPath(place).name), given=True), entry
        return
    ours = places.bare(out).rstrip("/") + "/"
    count = 0
    for entry in sorted(places.listing(root + mark + query), key=_in_order):
        name = places.bare(entry.name)
        below = name[len(root) + 1 :]
        if pattern and not _matches(below.split("/"), pattern):
            continue
        if name.startswith(ours) and ours != f"{root}/":
            left_out[OUTPUTS] += 1
        elif not below.lower().endswith(SUFFIXES):
            left_out[PurePosixPath(below).suffix.lower() or "no suffix"] += 1
        else:
            count += 1
            yield images.Found(Path(name), Path(below)), entry
    if not count:
        raise InputError(f"{given}: no image, and none below it; check the URI")


def _in_order(entry: Entry) -> list[tuple[int, int, str]]:
    return images.natural_key(entry.name)


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Matches as a shell does: `*` stays within a folder, and `**` stands for any number of
    folders."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return _matches(parts, patterns[1:]) or (bool(parts) and _matches(parts[1:], patterns))
    if not parts or not fnmatch.fnmatchcase(parts[0], patterns[0]):
        return False
    return _matches(parts[1:], patterns[1:])
