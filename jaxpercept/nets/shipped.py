"""The shipped nets by name: style nets, the styles in multi-style nets, and the works they follow.

Imports no jax.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from jaxpercept.nets import weights_file

_LIGHT = "-light"  # the suffix of a net of a quarter of the width, trained to paint like NAME


def styles() -> list[str]:
    """Returns the names that `--style` takes: the shipped nets of one style, then "FILE:STYLE" for
    the nets of several."""
    known = {name: rows(name) for name in weights_file.available("styles")}
    singles = [name for name, held in known.items() if not held]
    return singles + [f"{name}:{style}" for name, held in known.items() for style in held]


def singles() -> list[str]:
    """Returns the shipped nets of one style, without the light ones."""
    return [name for name in styles() if ":" not in name and not name.endswith(_LIGHT)]


def light(name: str) -> str | None:
    """Returns the shipped light net that paints like the shipped net `name`, or None."""
    return found if (found := name + _LIGHT) in weights_file.available("styles") else None


def rows(name: str) -> list[str]:
    """Returns the styles of a shipped multi-style net in the order of its rows, or none for a net
    of one."""
    header = weights_file.read_header(weights_file.resolve(name, "styles"))
    held = header.get("styles", ())
    return [str(style["name"]) for style in held if isinstance(style, dict) and "name" in style]


def home(style: str) -> tuple[str, str] | None:
    """Returns the shipped multi-style net of a style, and the style itself. Returns None for any
    text that is a file, a net of its own or no style."""
    nets = weights_file.available("styles")
    if not style.isidentifier() or style in nets or Path(style).exists():
        return None
    return next(((net, style) for net in nets if style in rows(net)), None)


def credit(name: str) -> str:
    """Returns the work that a name of `styles()` follows, "artist, title, year", or ""."""
    known = _credits(weights_file.weights_dir() / "styles" / "credits.csv")
    return known.get(name.rpartition(":")[2].removesuffix(_LIGHT), "")


@lru_cache(maxsize=1)
def _credits(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        return {
            row["style"]: f"{row['artist']}, {row['work']}, {row['year']}"
            for row in csv.DictReader(lines)
        }
