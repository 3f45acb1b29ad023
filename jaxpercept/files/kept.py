"""Files in the user's cache that end with a hash of their name and the rest, so that a damaged or
renamed one is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from jaxpercept import files
from jaxpercept.errors import InputError

SUFFIX = "+sha256"
_DIGEST = hashlib.sha256().digest_size


def read(path: Path) -> bytes | None:
    """Returns the data kept at `path`, or None if it is missing or damaged."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    data = found[:-_DIGEST]
    if _digest(path, data) != found[-_DIGEST:]:
        return None
    with contextlib.suppress(OSError):
        path.touch()  # used last
    return data


def keep(path: Path, data: bytes, most: int) -> None:
    """Keeps the data at `path`, followed by their hash, and removes all but the `most` files of the
    folder that were used last. If the cache cannot be written, nothing is kept."""
    try:
        files.write(path, data + _digest(path, data))
    except InputError:
        return
    with contextlib.suppress(OSError):  # another process removed one
        found = sorted(path.parent.glob(f"*{SUFFIX}"), key=lambda p: p.stat().st_mtime)
        for old in found[:-most]:
            old.unlink()


def _digest(path: Path, data: bytes) -> bytes:
    return hashlib.sha256(os.fsencode(path.name) + b"\0" + data).digest()
