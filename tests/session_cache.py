"""Keeps compiled programs from one run of the tests to the next.

A session works in its own folder, in which the kept programs appear as links. Only a session that
ended by itself adds its programs to the kept ones, each file whole or not at all. Sessions
therefore do not disturb each other, and a half-written file of a killed process is never kept.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import time
from importlib.metadata import version
from pathlib import Path

KEPT_DAYS = 14  # days since a program was last used
ENTRY, USED = "-cache", "-atime"  # jax's suffixes of a program and of its last use
NEVER = bytes(8)


def kept_folder() -> Path:
    """Returns the folder inside the user's cache folder, one per version of jax and kind of
    processor. A program is machine code for the features and the number of the cores that it was
    compiled on."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    about = f"{platform.machine()} {len(os.sched_getaffinity(0))} {_features()}"
    key = hashlib.sha256(about.encode()).hexdigest()[:12]
    return home / "jaxpercept" / "tests" / f"jax{version('jax')}-jaxlib{version('jaxlib')}-{key}"


def _features() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features")
    return "".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def begin(kept: Path, session: Path) -> None:
    """Makes the kept programs appear in a session's folder, as never used yet."""
    forget_unused(kept.parent)
    for entry in kept.glob(f"*{ENTRY}"):
        (session / entry.name).symlink_to(entry)
        _used(session / entry.name).write_bytes(NEVER)


def end(kept: Path, session: Path) -> None:
    """Keeps the programs that the session compiled, and marks the ones it used. Programs that
    cannot be written are not kept."""
    with contextlib.suppress(OSError):
        kept.mkdir(parents=True, exist_ok=True)
        for entry in session.glob(f"*{ENTRY}"):
            if not entry.is_symlink():
                whole = kept / f".{os.getpid()}-{entry.name}"
                shutil.copyfile(entry, whole)
                whole.replace(kept / entry.name)
            elif _used(entry).read_bytes() != NEVER:
                with contextlib.suppress(FileNotFoundError):  # another session forgot it
                    os.utime(kept / entry.name)


def forget_unused(folder: Path) -> None:
    """Removes programs that no session has used for `KEPT_DAYS`, also for other versions and
    processors."""
    oldest = time.time() - KEPT_DAYS * 86400
    for path in folder.glob("*/*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):  # it is not empty
            path.rmdir()


def _used(entry: Path) -> Path:
    return entry.with_name(entry.name.removesuffix(ENTRY) + USED)
