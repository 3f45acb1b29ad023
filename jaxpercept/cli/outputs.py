"""How commands that make images from images name their outputs and report their results."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpercept import files
from jaxpercept.cli import writable
from jaxpercept.config import QUALITY
from jaxpercept.errors import InputError, choose, printable
from jaxpercept.files import STANDARD
from jaxpercept.images import formats
from jaxpercept.inference.file_jobs import Job
from jaxpercept.runtime import streams

if TYPE_CHECKING:
    from jaxpercept.images import Found
    from jaxpercept.inference.flow import Task
    from jaxpercept.inference.naming import NameOutput


def add_written(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, *, many: bool = False
) -> None:
    """Adds the options for where and how images are written. `many`: always to a folder."""
    parser.add_argument(
        "-o",
        "--out",
        default="outputs",
        metavar="OUT",
        help=f"{'folder' if many else 'file or folder, or - for standard output'} "
        "(default: outputs)",
    )
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="skip outputs that exist, to continue a stopped run",
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        help=f"format of the files in a folder{'' if many else ', and of standard output'} (png, "
        "jpg, webp, …; default: the input's, or png for inputs in formats that are only read)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        metavar="Q",
        help=f"quality of JPEG, WebP and AVIF, 1 to 100 (default: {QUALITY}, and without loss for "
        "a WebP file made from a lossless one)",
    )
    parser.add_argument(
        "--strip",
        action="store_true",
        help="write only the pixels, without camera, place, copyright, date or resolution",
    )


def chosen_suffix(arguments: argparse.Namespace) -> str | None:
    """Returns the suffix that `--format` names, or None if it is not given. Raises InputError for
    an unknown format or a quality out of range."""
    from jaxpercept import images

    images.check_quality(arguments.quality)
    return None if arguments.format is None else suffix_of(arguments.format, images.WRITE_SUFFIXES)


def suffix_of(given: str, known: Sequence[str]) -> str:
    """Returns the one of the `known` suffixes that the value of `--format` names: ".png" for
    "png", "PNG" and ".png". Raises InputError if there is none."""
    name = given.lower().lstrip(".")
    choose("--format", name, [suffix[1:] for suffix in known])
    return f".{name}"


def find(inputs: Sequence[str], missing: list[str], *outputs: Path) -> dict[Found, Any]:
    """Returns the images of `inputs`, each with its source: the image itself, or the bytes of
    standard input (`-`) or a pipe, which can be read only once. Prints what folders hold besides
    images, including the folders `outputs`. Adds a line to `missing` for each input that does not
    exist. Raises InputError if there is no image at all."""
    from jaxpercept import images
    from jaxpercept.inference.containers import READ_SUFFIXES as FILM_SUFFIXES

    left_out: Counter[str] = Counter()
    sources: dict[Found, Any] = {}
    for found in images.find_images(inputs, missing, left_out, outputs):
        try:
            if found.path.suffix.lower() in FILM_SUFFIXES:
                raise InputError(f"{found.path}: is a film; give it to the command video")
            sources[found] = images.fetch(found.path)
        except InputError as error:
            missing.append(str(error))
    if line := images.left_out_line(left_out):
        say(line)
    for line in missing if sources else missing[1:]:
        say(f"error: {line}")
    if not sources:
        raise InputError(missing[0])
    return sources


def settled(
    inputs: Iterable[Found],
    labels: Sequence[str],
    name_output: NameOutput,
    also: Iterable[Path] = (),
) -> list[Found]:
    """Returns the inputs to process, as `naming.settle` does, and prints which it leaves out."""
    from jaxpercept.inference import naming

    kept, left = naming.settle(inputs, labels, name_output, also)
    if left:
        few = ", ".join(map(str, left[:3])) + (", …" if len(left) > 3 else "")
        say(f"left out, since this command writes files of these names: {len(left)} ({few})")
    return kept


def tasks(
    sources: Mapping[Found, Any],
    inputs: Iterable[Found],
    label: str,
    name_output: NameOutput,
    suffix: str | None,
) -> list[Task]:
    """Returns what `process` has to do: each of the `inputs`, with the output that `label`, the
    net's name, gives it. `suffix` is that of `--format`, or None."""
    from jaxpercept import images
    from jaxpercept.inference.flow import Task

    return [
        Task(
            sources[found],
            "standard input" if found.path == STANDARD else str(found.path),
            name_output(found, label),
            suffix or images.written_suffix(found.path),
        )
        for found in inputs
    ]


@dataclass(frozen=True)
class Kind:
    """The kind of file that is made: its name `what`, whether a name is meant as a file's, a check
    of such a name, and the suffix of the file made from a path."""

    what: str
    names_a_file: Callable[[Path], bool]
    check: Callable[[Path], object]
    suffix: Callable[[Path], str]


def _images() -> Kind:
    from jaxpercept import images

    check, suffix = images.check_writable_name, images.written_suffix
    return Kind("image", images.names_a_file, check, suffix)


def namer(
    inputs: Sequence[Found],
    models: int,
    out: Path,
    suffix: str | None = None,
    kind: Kind | None = None,
) -> NameOutput:
    """Returns `name_output(input, label)`. It gives `out` itself if that has an image suffix, is a
    device or a FIFO, or is `-`; otherwise a name in the folder `out`, see `naming.name`. `kind` is
    the kind of file that is made, by default images. Raises InputError if `out` cannot hold what
    `models` nets make of `inputs`."""
    kind = kind or _images()
    special = out == STANDARD or files.is_special(out)
    if not special:
        writable.check(out)
    if out == STANDARD and streams.lacked_output:
        raise InputError("-o -: standard output is closed; open it, or give a file")
    if special or (kind.names_a_file(out) and not out.is_dir()):
        if not special:
            kind.check(out)
            if suffix and formats.WRITTEN[suffix] != formats.WRITTEN[out.suffix.lower()]:
                raise InputError(
                    f"-o {out} names another format than --format {suffix[1:]}; leave out one"
                )
        if len(inputs) * models > 1:
            raise InputError(
                f"-o {out} names one file, but {len(inputs) * models} {kind.what}s are to be made; "
                "give a folder"
            )
        if not special:
            writable.check_file("-o", out, [inputs[0].path])
        return lambda found, label: out
    if out.exists() and not out.is_dir():
        raise InputError(
            f"-o {out} is a file without a known {kind.what} suffix; give a folder or a name "
            f"ending in {kind.suffix(Path('x'))}"
        )
    from jaxpercept.inference import naming

    written = kind.suffix
    return lambda found, label: naming.name(out, found, label, suffix or written(found.path))


def ending(job: Job, missing: Sequence[str], count: int, what: str = "image") -> int:
    """Returns the exit status: 0, or 1 if some of `count` images failed, with the `missing` ones.
    `what` is their name in messages. Prints how many existed already. Raises InputError if all
    failed."""
    untold = job.untold()
    if missing:
        for line in untold:
            say(f"error: {line}")
    if job.skipped:
        say(f"{len(job.skipped)} of {job.total} {what}s existed already")
    if not job.written and not job.skipped:
        if untold and not missing:
            raise InputError(*untold)
        raise InputError(
            f"none of the {count} {what}s could be done"
            if count > 1
            else f"the {what} could not be done"
        )
    return 1 if missing or job.failed else 0


def tell(text: str) -> None:
    """Prints a result, one line, on standard output. Control characters in names are escaped."""
    print(printable(text))


def say(line: str) -> None:
    """Prints a line of progress on standard error. Control characters in names are escaped."""
    print(printable(line), file=sys.stderr, flush=True)
