"""What the commands on films share: the films among their inputs, the names of their outputs, and
times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpercept.cli.outputs import Kind, say
from jaxpercept.errors import InputError

if TYPE_CHECKING:
    from jaxpercept.images import Found

_LATEST = 10**9  # seconds; FFmpeg's numbers have an end


def seconds(option: str, text: str | None) -> Fraction | None:
    """Returns the seconds of S, M:SS or H:MM:SS with decimals."""
    if text is None:
        return None
    total = Fraction(_LATEST)
    if re.fullmatch(r"(\d{1,9}:){0,2}\d{1,9}(\.\d{1,9})?", text):
        total = Fraction(0)
        for part in text.split(":"):
            total = 60 * total + Fraction(part)
    if total >= _LATEST:
        raise InputError(f"{option} {text!r:.50} is not a time; give seconds, M:SS or H:MM:SS")
    return total


def _looks_like_a_file(path: Path) -> bool:
    """Returns whether a path means a film. `x.xyz`, an unknown suffix, is a mistyped film, not a
    folder."""
    return bool(re.fullmatch(r"\.[a-z]\w{2,3}", path.suffix.lower())) and not path.is_dir()


def find(given: Sequence[str], out: Path, suffixes: Sequence[str]) -> tuple[list[Found], list[str]]:
    """Returns the films of the inputs that are not in the folder `out`, and a line for each input
    that does not exist, which it prints."""
    from jaxpercept import images

    missing: list[str] = []
    inputs = images.find_images(given, missing, outputs=[out], suffixes=suffixes, what="film")
    for line in missing:
        say(f"error: {line}")
    return inputs, missing


def film_kind() -> Kind:
    """Returns how films are named."""
    from jaxpercept import images
    from jaxpercept.inference import films

    known = (*films.READ_SUFFIXES, *films.WRITE_SUFFIXES)

    def check(path: Path) -> Any:
        if path.suffix.lower() not in films.WRITE_SUFFIXES:
            raise InputError(
                f"{path}: films are not written as {path.suffix!r}; use one of "
                f"{', '.join(films.WRITE_SUFFIXES)}"
            )

    return Kind(
        "film",
        lambda p: p.suffix.lower() in known or images.names_a_file(p) or _looks_like_a_file(p),
        check,
        films.written_suffix,
    )
