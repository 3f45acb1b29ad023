"""A run's directory, which one run at a time uses and which records its settings.

`config.json`, `images.txt` (names and sizes of the training images), `metrics.jsonl`, `previews/`,
`checkpoints/`, `model.safetensors`, `index.html` (a page about the run). In a run of several
processes only process 0 writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from jaxpercept import files
from jaxpercept.config import TrainConfig, to_dict
from jaxpercept.errors import InputError

RESUMES = "; the same command goes on from the last checkpoint"


def writes() -> bool:
    """Returns whether this process is the one that writes."""
    return jax.process_index() == 0


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder and holds its lock, which the kernel releases with the process. Raises
    InputError if another run holds it, or nothing can be written."""
    if not writes():
        yield
        return
    with files.reported(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for entry in sorted(folder.iterdir()):
            if files.is_special(entry):  # a FIFO would wait for a reader
                raise InputError(f"{entry}: not a file; give another directory as --out")
        lock = open(folder / "lock", "a")  # noqa: SIM115
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise InputError(
                f"--out {folder}: another run is using it; give another directory"
            ) from e
        except OSError:  # a file system without locks, as on some clusters
            pass
        yield


def describe(folder: Path, config: TrainConfig, identity: Sequence[str]) -> None:
    """Writes the run's config and its list of images."""
    with files.reported(folder, RESUMES):
        files.write_text(folder / "config.json", json.dumps(to_dict(config), indent=2) + "\n")
        files.write_text(folder / "images.txt", "".join(line + "\n" for line in identity))


def cache_of(folder: Path) -> str | None:
    """Returns where the run of this folder keeps its photos; None without a run."""
    try:
        settings = files.regular(folder / "config.json", "a run's settings")
        return str(json.loads(settings.read_text()).get("cache", "host"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def images_of(folder: Path) -> list[str]:
    """Returns the lines of `images.txt`, or none in a directory of an earlier version."""
    try:
        listed = files.regular(folder / "images.txt", "a run's list of images")
        text = listed.read_text("utf-8", "surrogateescape")
    except (OSError, InputError):
        return []
    return text.split("\n")[:-1]
