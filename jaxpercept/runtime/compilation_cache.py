"""The persistent compilation cache, with which a second start of the same program skips XLA's work.

Its entries are native code, which is executed unchecked. Its directory must therefore belong to the
user, and nobody else may write there.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

from jaxpercept.errors import InputError, printable

VARIABLE = "JAXPERCEPT_CACHE"
SWITCH = "jax_enable_compilation_cache"
UNUSED_DAYS = 90
_enabled: Path | None = None
_one_at_a_time = threading.RLock()


def folder() -> Path:
    """Returns the path of the user's cache. Raises InputError if the user has no home folder, as in
    some containers, and names no other."""
    given = os.environ.get(VARIABLE)
    if given and given != "off":
        return Path(given)
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as e:
        raise InputError("this user has no home folder; set HOME") from e
    return home / "jaxpercept"


def own_folder() -> tuple[Path | None, str]:
    """Returns the user's cache, made if needed; or None and the reason why nothing is kept, which
    is empty if the user has turned it off."""
    if os.environ.get(VARIABLE) == "off":
        return None, ""
    try:
        place = Path(os.path.abspath(folder()))
    except InputError as e:
        return None, str(e)
    wrong = _made(place) or _foreign(place)
    return (None, wrong) if wrong else (place, "")


def enable() -> None:
    """Keeps compiled programs in $JAXPERCEPT_CACHE (default `~/.cache/jaxpercept`); "off" turns it
    off. Programs that were not used for `UNUSED_DAYS` days are removed. A cache that is already
    configured stays. A directory that others own or can write is refused with a line on standard
    error, and nothing is kept."""
    global _enabled
    if jax.config.values["jax_compilation_cache_dir"]:
        return
    place, wrong = own_folder()
    if wrong:
        fix = f"give a folder of your own in ${VARIABLE}, or {VARIABLE}=off"
        print(printable(f"no compilation cache: {wrong}; {fix}"), file=sys.stderr)
    if place is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    _enabled = place
    _forget_unused(place)


def enabled() -> Path | None:
    """Returns the folder that `enable` has set, in which this process keeps what it has made."""
    return _enabled


@contextmanager
def unused() -> Iterator[None]:
    """Compiles without jax's cache. An executable that comes from there lacks some of its functions
    when it is serialized again. The setting is the process's, so threads wait for one another."""
    with _one_at_a_time:
        wanted = jax.config.values[SWITCH]
        try:
            _use(False)
            yield
        finally:
            _use(wanted)


def _use(wanted: bool) -> None:
    """Switches jax's cache. jax reads its setting only once, and again after `reset_cache`."""
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    jax.config.update(SWITCH, wanted)
    reset_cache()


def _forget_unused(place: Path) -> None:
    """Removes old entries of jax's cache. jax itself can only do so with a lock around each use."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for entry in place.glob("*-cache"):
        with suppress(OSError):  # another process removed it, or the disk is read-only
            about = entry.stat()
            if max(about.st_atime, about.st_mtime) < oldest:
                entry.unlink()


def _made(place: Path) -> str | None:
    """Makes the folder, for its user alone. Returns what is wrong if that fails."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as e:
        return f"{place}: {e.strerror}"
    return None


def _foreign(cache: Path) -> str | None:
    """Returns why others could put code into this folder, or None if they could not. Every folder
    and link on the way counts, because whoever can replace one can replace the rest. Others may
    write only to a sticky folder such as /tmp."""
    if not hasattr(os, "geteuid"):  # on Windows a profile's folders belong to its user
        return None
    for place in (path for end in (cache, cache.resolve()) for path in (end, *end.parents)):
        is_last = place in (cache, cache.resolve())
        about = place.lstat()
        if about.st_uid not in (os.geteuid(), *(() if is_last else (0,))):
            return f"{place} belongs to another user"
        if stat.S_ISLNK(about.st_mode):
            continue
        private = about.st_gid == os.getegid() == os.geteuid()  # a group with this user only
        others = stat.S_IWOTH if private else stat.S_IWOTH | stat.S_IWGRP
        if about.st_mode & others and (is_last or not about.st_mode & stat.S_ISVTX):
            return f"{place} can be written by others (chmod go-w {place})"
    return None
