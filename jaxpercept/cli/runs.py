"""`runs`: what trainings did, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

_ABOUT = """Prints a table of training runs (steps, images, the last value of every loss term, images/s, the share of
time that waited for images) and writes the curves of a term as an image, one colour a run. Runs that are still going
can be read too."""

_EPILOG = """examples:
  python -m jaxpercept runs runs/wave
  python -m jaxpercept runs runs/wave runs/w2 --term style --plot style.png"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `runs` command."""
    parser = commands.add_parser(
        "runs", help="compare training runs", description=_ABOUT, epilog=_EPILOG
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="directories that trainings wrote to"
    )
    parser.add_argument(
        "--term", default="loss", metavar="NAME", help="what to plot (default: loss, their sum)"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="the image (default: curves.png in the first RUN)"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from jaxpercept import images
    from jaxpercept.training import runs

    path = Path(arguments.plot or Path(arguments.runs[0]) / "curves.png")
    images.check_writable_name(str(path))
    found = [runs.read_run(folder) for folder in dict.fromkeys(arguments.runs)]
    print(runs.table(found), end="")
    print(f"curves of {arguments.term}: {runs.plot(found, path, arguments.term)}")
