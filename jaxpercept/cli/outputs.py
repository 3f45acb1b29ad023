"""How commands that make images of images name what they write, and report what they do."""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.inference.file_jobs import Job

_UNWRITABLE = (".avif", ".heic", ".jp2")  # meant as files, not as folders


def namer(paths: Sequence[Path], models: int, out: Path) -> Callable[[Path, str], Path]:
    """`name_output(image, label)`: `out` itself if it has an image suffix, else IMAGE_LABEL in the
    folder `out` with the image's suffix, `.png` where we cannot write that; never one name for two,
    nor an input's. InputError where `out` cannot hold what `models` nets make of `paths`."""
    from jaxpercept import images

    _check_writable(out)
    if out.suffix.lower() in (*images.READ_SUFFIXES, *_UNWRITABLE) and not out.is_dir():
        images.check_writable_name(out)
        if len(paths) * models > 1:
            raise InputError(
                f"-o {out} names one file, but {len(paths) * models} images are to be made; give "
                "a folder"
            )
        if out.resolve() == paths[0].resolve():
            raise InputError(f"-o {out} is the input itself; give another name")
        return lambda path, label: out
    if out.exists() and not out.is_dir():
        raise InputError(
            f"-o {out} is a file without a known image suffix; give a folder or a name ending in "
            ".jpg"
        )
    wanted = Counter((path.stem, _suffix(path)) for path in paths)
    common = os.path.commonpath([path.absolute().parent for path in paths])
    taken: dict[str, tuple[Path, str] | None] = {_key(path): None for path in paths}

    def name_output(path: Path, label: str) -> Path:
        # of two images of one name, each keeps the folders that tell them apart; what is the same
        # even then is counted
        alone = wanted[path.stem, _suffix(path)] == 1
        folders = () if alone else path.absolute().parent.relative_to(common).parts
        stem = "-".join((*folders, path.stem))
        for number in itertools.count(1):
            name = out / f"{stem}_{label}{'' if number == 1 else f'-{number}'}{_suffix(path)}"
            if taken.setdefault(_key(name), (path, label)) == (path, label):
                break
        return name

    return name_output


def _key(path: Path) -> str:
    """Equal for paths that are one file, on file systems that ignore case too."""
    return str(path.resolve()).lower()


def _check_writable(out: Path) -> None:
    """InputError unless `out` can be made or written; before any work is done, and without making
    it."""
    place = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    if place != out.absolute() and not place.is_dir():
        raise InputError(f"-o {out}: {place} is a file, not a folder; choose another place")
    if not os.access(place, os.W_OK):
        raise InputError(f"-o {out}: {place} cannot be written; choose another place")


def check_file(option: str, path: Path) -> None:
    """InputError unless a file can be written at `path`, which `option` names; before any work is
    done."""
    if path.is_dir():
        raise InputError(f"{option} {path}: is a folder; give a file")
    place = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not os.access(place, os.W_OK) or not (place.is_dir() or place == path.absolute()):
        raise InputError(f"{option} {path}: {place} cannot be written; give another file")


def write_text(option: str, path: Path, text: str) -> None:
    """Writes a file, making folders as needed. InputError naming `option` when it cannot."""
    try:
        files.write_text(path, text)
    except InputError as e:
        raise InputError(f"{option} {e}") from e


def _suffix(path: Path) -> str:
    from jaxpercept import images

    return path.suffix if path.suffix.lower() in images.WRITE_SUFFIXES else ".png"


def ending(job: Job, missing: Sequence[str], count: int) -> int:
    """The exit status: 0, or 1 when some of `count` images failed, the `missing` ones with them.
    Says how many were there already. InputError when none could be done."""
    failed = [*missing, *job.failed]
    if job.skipped:
        say(f"{len(job.skipped)} of {job.total} images were there already")
    if not job.written and not job.skipped:
        raise InputError(
            failed[0] if len(failed) == 1 else f"none of the {count} images could be done"
        )
    return 1 if failed else 0


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)
