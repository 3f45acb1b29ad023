"""What is shipped, by name: style nets, the styles in a net of many, and whose works they follow.

Imports no jax.
"""

from __future__ import annotations

import csv
from pathlib import Path

from jaxpercept.nets import weights_file


def styles() -> list[str]:
    """What `--style` takes by name: the shipped nets of one style, then "FILE:STYLE" for those of
    several."""
    known = {name: rows(name) for name in weights_file.available("styles")}
    singles = [name for name, held in known.items() if not held]
    return singles + [f"{name}:{style}" for name, held in known.items() for style in held]


def singles() -> list[str]:
    """The shipped nets of one style."""
    return [name for name in styles() if ":" not in name]


def rows(name: str) -> list[str]:
    """The styles of a shipped net of many, in the order of its rows; none for a net of one."""
    header = weights_file.read_header(weights_file.resolve(name, "styles"))
    held = header.get("styles", ())
    return [str(style["name"]) for style in held if isinstance(style, dict) and "name" in style]


def home(style: str) -> tuple[str, str] | None:
    """The shipped net of many, and the style itself, for a style's name that is neither a file nor
    a net of its own; None for any other text."""
    nets = weights_file.available("styles")
    if not style.isidentifier() or style in nets or Path(style).exists():
        return None
    return next(((net, style) for net in nets if style in rows(net)), None)


def credits() -> dict[str, str]:
    """For each style, the work that it follows: artist, title, year."""
    file = weights_file.weights_dir() / "styles" / "credits.csv"
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        return {
            row["style"]: f"{row['artist']}, {row['work']}, {row['year']}"
            for row in csv.DictReader(lines)
        }
