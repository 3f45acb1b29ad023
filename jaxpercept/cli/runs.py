"""The `runs` command: compares trainings side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxpercept.cli import reports
from jaxpercept.cli.outputs import tell

_ABOUT = """Print a table of training runs and plot their curves.

The table shows steps, images, the last value of every loss term, images per
second, and the share of time spent waiting for images. The plot shows one term
over the steps, one colour per run. Runs that are still going can be read too."""

_EPILOG = """examples:
  jaxpercept runs runs/wave
  jaxpercept runs runs/wave runs/w2 --term style --plot style.png
  jaxpercept runs runs/wave --page runs/wave/index.html"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `runs` command."""
    parser = commands.add_parser(
        "runs",
        help="compare training runs: a table and loss curves",
        description=_ABOUT,
        epilog=_EPILOG,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="directories of training runs")
    parser.add_argument(
        "--term",
        default="loss",
        metavar="NAME",
        help="term to plot (default: loss, the sum of all)",
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="image to write (default: curves.png in the first RUN)"
    )
    parser.add_argument(
        "--page",
        metavar="FILE",
        help="also write the first RUN as an HTML page: previews, curves, settings",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from jaxpercept.training import run_page, runs

    path = Path(arguments.plot or Path(arguments.runs[0]) / "curves.png")
    read = [Path(run, name) for run in arguments.runs for name in ("config.json", "metrics.jsonl")]
    reports.check(arguments, ("plot", "page"), read)
    found = [runs.read_run(folder) for folder in dict.fromkeys(arguments.runs)]
    print(runs.table(found), end="")
    tell(f"curves of {arguments.term}: {runs.plot(found, path, arguments.term)}")
    if arguments.page:
        tell(f"page: {run_page.write(found[0], Path(arguments.page))}")
