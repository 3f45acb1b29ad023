"""Reads and writes files by name, on this machine and in object stores. Only this module tells a
path from a URI.

A name with a scheme (`s3://bucket/key`, `gs://…`, `abfs://…`, or any that pyarrow knows) is in an
object store, whose settings come from the URI's query and from the environment (for example
`AWS_ENDPOINT_URL`). Every other name is a path. Both kinds are written whole or not at all: a file
gets its name when it is complete, and an object is put in one request or one multipart upload.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.files import folders

MOST_BYTES = 1 << 30  # the largest file that is read, since it is held in memory
TRIES = 8  # attempts at a request that an object store refuses, over about a minute
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class Entry(NamedTuple):
    """A file: its name, its size in bytes, and the time of its last change in nanoseconds. Size and
    time are -1 if they are not known."""

    name: str
    size: int = -1
    changed: int = -1


def is_uri(name: str) -> bool:
    """Returns whether a name is in an object store. `file:///x` is not: see `plain`."""
    return bool(_SCHEME.match(name)) and not name.startswith("file://")


def plain(name: str) -> str:
    """Returns the path that a `file://` URI names, and every other name unchanged."""
    return unquote(urlsplit(name).path) if name.startswith("file://") else name


def bare(name: str) -> str:
    """Returns a name without a URI's query. A `?` in a path of this machine is part of a name."""
    return name.partition("?")[0] if is_uri(name) else name


def join(folder: str, below: str) -> str:
    """Returns the name of a file `below` a folder. A URI keeps its query."""
    if not is_uri(folder):
        return os.path.join(folder, below)
    place, mark, query = folder.partition("?")
    return f"{place.rstrip('/')}/{below}{mark}{query}"


def read(name: str, what: str = "an image") -> bytes:
    """Returns the bytes of a file. Raises InputError, which asks for `what`, if there is no such
    file or if it is larger than 1 GiB."""
    try:
        if is_uri(name):
            data = _tried(_read_object, name)
        else:
            with open(files.regular(name, what), "rb") as file:
                data = files.at_most(file, MOST_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; give the name of {what}") from error
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())[:300]
        raise InputError(f"{name}: not readable ({reason}); check it and its store") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{name}: more than 1 GiB; give {what} of less")
    return data


def write(name: str, data: bytes) -> None:
    """Writes a file, whole or not at all. Raises InputError if that fails."""
    if not is_uri(name):
        files.write(name, data)
        return
    with files.reported(name):
        _tried(_write_object, name, data)


def remove(name: str) -> None:
    """Removes a file if it exists."""
    with files.reported(name), contextlib.suppress(FileNotFoundError):
        _tried(_remove_object, name) if is_uri(name) else os.unlink(name)


def remove_stale(folder: str) -> None:
    """Removes the half-written files that killed processes left below a folder. Object stores show
    no such files."""
    if not is_uri(folder):
        for place, _ in folders.walk(folder, hidden=True):
            files.remove_stale(place)


def listing(folder: str) -> Iterator[Entry]:
    """Yields every file below a folder, in no particular order, and nothing if there is no such
    folder. A folder that links lead to as well is listed once."""
    if is_uri(folder):
        yield from _objects(folder)
    else:
        for _, names in folders.walk(folder, hidden=True):
            yield from about(names)


def sizes(folder: str, names: Iterable[str]) -> dict[str, int]:
    """Returns the sizes of those of the files `names` that exist below a folder. A store is listed,
    since a request for each would take longer."""
    if not is_uri(folder):
        found = ((name, about([join(folder, name)])[0].size) for name in names)
        return {name: size for name, size in found if size >= 0}
    start, wanted = len(bare(folder).rstrip("/")) + 1, set(names)
    below = ((bare(entry.name)[start:], entry.size) for entry in listing(folder))
    return {name: size for name, size in below if name in wanted}


def about(names: Iterable[str]) -> list[Entry]:
    """Returns the size and time of each file, or -1 for one that is missing or hidden."""
    found = []
    for name in names:
        try:
            found.append(_about_object(name) if is_uri(name) else _about_path(name))
        except (OSError, InputError):
            found.append(Entry(name))
    return found


def _about_path(name: str) -> Entry:
    stat = os.stat(name)
    return Entry(name, stat.st_size, stat.st_mtime_ns)


# Object stores, through pyarrow.


@cache
def _store(scheme: str, authority: str, query: str, process: int) -> tuple[Any, str]:
    """Returns the file system of a URI, and what its keys begin with there (the bucket). `process`
    is part of the cache's key, since a client does not survive a fork."""
    root = f"{scheme}://{authority}/" + (f"?{query}" if query else "")
    try:
        from pyarrow import fs
    except ImportError as error:
        raise InputError(
            f"{root}: object stores need pyarrow; pip install 'jaxpercept[ray]'"
        ) from (error)
    try:
        if scheme == "s3":
            return _s3(fs, authority, query), authority.rpartition("@")[2]
        store, base = fs.FileSystem.from_uri(root)
    except (OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{root}: not a store that can be opened ({error}); check the URI") from (
            error
        )
    return store, base.rstrip("/")


def _s3(fs: Any, authority: str, query: str) -> Any:
    """Returns an S3 file system that puts a small file in one request, and repeats requests that a
    busy store refuses."""
    how: dict[str, Any] = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
    if "@" in authority:
        user, _, secret = authority.rpartition("@")[0].partition(":")
        how |= {"access_key": unquote(user), "secret_key": unquote(secret)}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and "endpoint_override" not in how:
        how |= {"endpoint_override": urlsplit(endpoint).netloc, "scheme": urlsplit(endpoint).scheme}
    how |= {"allow_delayed_open": True, "background_writes": False}
    return fs.S3FileSystem(**how, retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=5))


def _opened(name: str) -> tuple[Any, str]:
    """Returns the file system of an object, and its key there. The key is used as it is written:
    nothing in it is quoted."""
    scheme, _, rest = name.partition("://")
    place, _, query = rest.partition("?")
    authority, _, path = place.partition("/")
    store, base = _store(scheme.lower(), authority, query, os.getpid())
    return store, f"{base}/{path}".rstrip("/")


def _read_object(name: str) -> bytes:
    store, key = _opened(name)
    with store.open_input_file(key) as file:
        return bytes(file.read(min(file.size(), MOST_BYTES + 1)))  # in one request


def _write_object(name: str, data: bytes) -> None:
    store, key = _opened(name)
    with store.open_output_stream(key) as file:
        file.write(data)


def _remove_object(name: str) -> None:
    store, key = _opened(name)
    store.delete_file(key)


def _about_object(name: str) -> Entry:
    store, key = _opened(name)
    (info,) = _tried(store.get_file_info, [key])
    return _entry(info, name) if info.is_file else Entry(name)


def _objects(folder: str) -> Iterator[Entry]:
    from pyarrow import fs

    store, key = _opened(folder)
    selector = fs.FileSelector(key, allow_not_found=True, recursive=True)
    with files.reported(folder):
        for info in _tried(store.get_file_info, selector):
            if info.is_file:
                below = info.path[len(key) :].lstrip("/")
                yield _entry(info, join(folder, below))


def _entry(info: Any, name: str) -> Entry:
    return Entry(name, -1 if info.size is None else info.size, info.mtime_ns or -1)


def _tried(call: Callable[..., Any], *args: Any) -> Any:
    """Returns the call's result. A request that an object store refuses is repeated after growing
    pauses, whose random lengths spread the clients."""
    for attempt in range(TRIES):
        try:
            return call(*args)
        except _FINAL:
            raise
        except OSError:
            if attempt == TRIES - 1:
                raise
        time.sleep(random.uniform(0.5, 1) * min(20, 0.2 * 2**attempt))
    raise AssertionError
