"""How commands that make images of images name what they write, and report what they do."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxpercept.errors import InputError


def namer(paths: Sequence[Path], models: int, out: Path) -> Callable[[Path, str], Path]:
    """`name_output(image, label)`: `out` itself if it has an image suffix, else IMAGE_LABEL in the folder `out` with
    the image's suffix, `.png` where we cannot write that. InputError where `out` cannot hold what `models` nets make
    of `paths`."""
    from jaxpercept import images

    if out.suffix.lower() in images.WRITE_SUFFIXES and not out.is_dir():
        if len(paths) * models > 1:
            raise InputError(f"-o {out} names one file, but {len(paths) * models} images are to be made; give a folder")
        if out.resolve() == paths[0].resolve():
            raise InputError(f"-o {out} is the input itself; give another name")
        return lambda path, label: out
    if out.exists() and not out.is_dir():
        raise InputError(f"-o {out} is a file without a known image suffix; give a folder or a name ending in .jpg")
    suffixes = {path: _suffix(path) for path in paths}
    wanted = Counter((path.stem, suffix) for path, suffix in suffixes.items())
    stems: dict[tuple[str, str], Path] = {}
    for path, suffix in suffixes.items():
        # of two images of one name, each keeps its folders' names too; where that is not enough they are counted
        alone = wanted[path.stem, suffix] == 1
        stem = first = path.stem if alone else "-".join([*path.resolve().parts[-3:-1], path.stem])
        number = 2
        while (stem, suffix) in stems:
            stem, number = f"{first}-{number}", number + 1
        stems[stem, suffix] = path
    named = {path: (stem, suffix) for (stem, suffix), path in stems.items()}
    return lambda path, label: out / f"{named[path][0]}_{label}{named[path][1]}"


def _suffix(path: Path) -> str:
    from jaxpercept import images

    return path.suffix if path.suffix.lower() in images.WRITE_SUFFIXES else ".png"


def ending(written: Sequence[Path], failed: Sequence[str], count: int) -> int:
    """The exit status: 0, or 1 when some of `count` images failed. InputError when none could be done."""
    if not written:
        raise InputError(failed[0] if len(failed) == 1 else f"none of the {count} images could be done")
    return 1 if failed else 0


def say(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)
