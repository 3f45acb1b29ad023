"""The paper's own experiments, by one command: tables, plots and contact sheets of the shipped
styles, or of yours.

Resumable: every measurement is kept under --out, and the same command goes on where it stopped. The
paper's optimisation starts from noise and clips to [0, 1] at every iteration; so does this one.
Defaults are for a small machine (hours, not days); --paper is the full scale.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from jaxpercept.cli.outputs import say
from jaxpercept.errors import InputError
from jaxpercept.evaluation.reproduce.settings import PARTS, ReproduceConfig
from jaxpercept.nets import multistyle, weights_file

EPILOG = (
    "parts:\n"
    + "\n".join(f"  {name:<11} {what}" for name, what in PARTS.items())
    + """

examples:
  python -m jaxpercept reproduce --data photos/ --style-images styles/
  python -m jaxpercept reproduce --data photos/ --style-images styles/ --parts crossing speed --sizes 256 512 \\
      --images 10 3 --other-images 4 0
  python -m jaxpercept reproduce --data photos/ --style-images styles/ --paper --out outputs/paper"""
)
_PAPER = {
    "iterations": 500,
    "figure_iterations": 500,
    "whole": True,
}  # [P] section 4.1, and 50 photos

_OPTIONS = (
    ("--iterations", "iterations", "at most, of a crossing"),
    ("--figure-size", "figure_size", "side of the figures' images"),
    ("--figure-iterations", "figure_iterations", "of each of the figures' images"),
    (
        "--timed-iterations",
        "timed_iterations",
        "timed for the speed table, after as many that are not",
    ),
    ("--seed", "seed", "of the noise"),
)


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `reproduce` command."""
    parser = commands.add_parser(
        "reproduce", help="the paper's experiments", description=__doc__, epilog=EPILOG
    )
    d = ReproduceConfig()
    parser.add_argument(
        "--parts", nargs="+", metavar="P", help="which of those below (default: all)"
    )
    parser.add_argument(
        "--styles",
        nargs="+",
        metavar="M",
        help="shipped names or weights files (default: all)",
    )
    parser.add_argument(
        "--style-images",
        nargs="+",
        action="extend",
        metavar="S",
        help="files or folders; each style's own is found among them by its checksum",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        metavar="D",
        help="photos or folders; training photos are left out (default: the samples)",
    )
    for option, default, text in (
        ("--sizes", d.sizes, "sides of the square images"),
        ("--images", d.images, "photos of the first style, at each size"),
        ("--other-images", d.other_images, "photos of each other style, at each size"),
        ("--style-sizes", d.style_sizes, "longer sides for the style-size part"),
    ):
        parser.add_argument(
            option,
            nargs="+",
            type=int,
            metavar="N",
            help=f"{text} (default: {' '.join(map(str, default))})",
        )
    for option, name, text in _OPTIONS:
        parser.add_argument(
            option, type=int, metavar="N", help=f"{text} (default: {getattr(d, name)})"
        )
    parser.add_argument(
        "--init", metavar="X", help="what optimisation starts from: noise or grey (default: noise)"
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="do not stop where optimisation draws level with the net",
    )
    parser.add_argument(
        "--paper",
        action="store_true",
        help="50 photos of every style at every size, 500 iterations",
    )
    parser.add_argument("--out", metavar="DIR", help=f"keeps every measurement (default: {d.out})")
    parser.add_argument(
        "--results", metavar="DIR", help=f"where the report goes (default: {d.results})"
    )
    parser.set_defaults(run=run)


def make_config(arguments: argparse.Namespace) -> ReproduceConfig:
    """What the command line asks for; explicit options win over --paper. Raises InputError for what
    is not allowed."""
    names = [f.name for f in dataclasses.fields(ReproduceConfig) if f.name != "whole"]
    given: dict[str, Any] = {
        n: tuple(v) if isinstance(v, list) else v
        for n in names
        if (v := getattr(arguments, n)) is not None
    }
    if arguments.whole:
        given["whole"] = True
    count = len(given.get("sizes", ReproduceConfig().sizes))
    if arguments.paper:
        given = {**_PAPER, "images": (50,) * count, "other_images": (50,) * count, **given}
    return ReproduceConfig(**given)


def run(arguments: argparse.Namespace) -> None:
    """`reproduce`."""
    made = make_config(arguments)
    for name in made.styles:
        weights_file.resolve(multistyle.split(name)[0], "styles")
    for option, place in (("--out", made.out), ("--results", made.results)):
        nearest = next(
            p for p in (Path(place).absolute(), *Path(place).absolute().parents) if p.exists()
        )
        if not nearest.is_dir():
            raise InputError(
                f"{option} {place}: {nearest} is a file, not a folder; choose another place"
            )
    from jaxpercept.evaluation.reproduce.report import reproduce
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    say(f"report: {reproduce(made, say)}")
