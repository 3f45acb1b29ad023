"""Names outputs. A name depends on its input only, never on the other inputs, so an existing output
always belongs to its input.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jaxpercept import images
from jaxpercept.errors import InputError
from jaxpercept.files import STANDARD
from jaxpercept.images import Found

NameOutput = Callable[[Found, str], Path]


def name(out: Path, found: Found, label: str, suffix: str | None = None) -> Path:
    """Returns the path of the output of `found` in the folder `out`: its path below the searched
    folder or pattern, then `_LABEL`. `suffix` is the output's suffix, by default the input's, or
    `.png` if we cannot write that. If the input's suffix differs from it, it stays in the name:
    `x.gif_LABEL.png`."""
    written = suffix or images.written_suffix(found.path)
    below = found.below
    stem = below.stem if below.suffix.lower() == written.lower() else below.name
    return out / below.parent / f"{stem}_{label}{written}"


def shortened(stem: str) -> str:
    """Returns the beginning of a name, whole characters in at most 100 bytes, as part of a longer
    name. File systems take 255 bytes."""
    while len(os.fsencode(stem)) > 100:
        stem = stem[:-1]
    return stem


def settle(
    inputs: Iterable[Found],
    labels: Sequence[str],
    name_output: NameOutput,
    also: Iterable[Path] = (),
) -> tuple[list[Found], list[Path]]:
    """Returns the inputs to process, and those left out because this call writes files of these
    names (outputs, or `also`). Inputs that are named explicitly are never left out.

    Raises InputError if two inputs would have one output, or a written file would replace an
    input."""
    inputs = list(inputs)
    made = {found: [name_output(found, label) for label in labels] for found in inputs}
    written = {_key(target) for targets in made.values() for target in targets}
    others = {_key(path) for path in also}
    written |= others
    left = [f for f in inputs if not f.given and _key(f.path) in written]
    kept = [f for f in inputs if f.given or _key(f.path) not in written]
    makers: dict[str, Found] = {}
    for found in kept:
        for target in made[found]:
            if (other := makers.setdefault(_key(target), found)) != found:
                apart = _key(other.path.parent) != _key(found.path.parent)
                raise InputError(
                    f"{other.path} and {found.path} would both be written to {target}; rename one, "
                    f"{'give the folder that holds both, ' if apart else ''}or run them one at a "
                    "time, each with its own -o"
                )
    for found in kept:
        if _key(found.path) in others:
            raise InputError(
                f"{found.path} is an input, and would be replaced by a file that this command "
                "writes; leave it out, or give another folder"
            )
        replaced = makers.get(_key(found.path))
        if replaced and found.path != STANDARD:
            raise InputError(
                f"{found.path} is an input, and would be replaced by the output of "
                f"{replaced.path}; leave it out, or give another folder with -o"
            )
    return kept, [found.path for found in left]


def _key(path: Path) -> str:
    """Returns a key that is equal for paths of one file, also on file systems that ignore case."""
    return os.path.realpath(path).lower()
