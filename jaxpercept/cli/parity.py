"""The `parity` command: compares every number with PyTorch."""

from __future__ import annotations

import argparse

from jaxpercept.cli import reports, runtimes
from jaxpercept.cli.outputs import say
from jaxpercept.files import results
from jaxpercept.runtime.progress import seldom

_ABOUT = """Compare every number with PyTorch on this device.

Runs every layer, block, net, loss and gradient here and in PyTorch with the same
weights, and prints the relative errors. Needs torch. --precision bfloat16 shows
what that number format costs."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `parity` command."""
    parser = commands.add_parser(
        "parity",
        help="compare every number with PyTorch",
        description=_ABOUT,
        epilog="example:\n  jaxpercept parity --json parity.json",
    )
    runtimes.add_precision(parser)
    parser.add_argument("--json", metavar="FILE", help="also write the table to this file")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    runtimes.check_precision(arguments)
    reports.check(arguments, ("json",))
    from jaxpercept.evaluation import parity

    rows = parity.compare(arguments.precision, progress=seldom(say))
    print(parity.report(rows))
    reports.write(arguments, json=results.encoded([vars(row) for row in rows]))
    return 0 if all(row.ok for row in rows) else 1
