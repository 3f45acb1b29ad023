"""What outputs are called. A name follows from its input alone, never from what else is given, so
that an output that exists is the output of its input.
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
    """The output of `found` in the folder `out`: its path below the folder or pattern under which
    it was found, then `_LABEL`. `suffix`: of what is written, by default the input's, `.png` where
    we cannot write that. An input's suffix that is not the written one stays in the name:
    `x.gif_LABEL.png`."""
    written = suffix or images.written_suffix(found.path)
    below = found.below
    stem = below.stem if below.suffix.lower() == written.lower() else below.name
    return out / below.parent / f"{stem}_{label}{written}"


def settle(
    inputs: Iterable[Found],
    labels: Sequence[str],
    name_output: NameOutput,
    also: Iterable[Path] = (),
) -> tuple[list[Found], list[Path]]:
    """The inputs to do, and those left out since this call writes files of these names (outputs,
    or `also`). An input that is named explicitly is never left out.

    InputError where two inputs would have one output, or an output would replace an input."""
    inputs = list(inputs)
    made = {found: [name_output(found, label) for label in labels] for found in inputs}
    written = {_key(target) for targets in made.values() for target in targets}
    written |= {_key(path) for path in also}
    left = [f for f in inputs if not f.given and _key(f.path) in written]
    kept = [f for f in inputs if f.given or _key(f.path) not in written]
    makers: dict[str, Found] = {}
    for found in kept:
        for target in made[found]:
            if (other := makers.setdefault(_key(target), found)) != found:
                raise InputError(
                    f"{other.path} and {found.path} would both be written to {target}; rename one, "
                    "give the folder that holds both, or run them one at a time, each with its "
                    "own -o"
                )
    for found in kept:
        replaced = makers.get(_key(found.path))
        if replaced and found.path != STANDARD:
            raise InputError(
                f"{found.path} is an input, and would be replaced by the output of {replaced.path}; "
                "leave it out, or give another folder with -o"
            )
    return kept, [found.path for found in left]


def _key(path: Path) -> str:
    """Equal for paths that are one file, on file systems that ignore case too."""
    return os.path.realpath(path).lower()
