"""The `blend-weights` command: averages two nets, weight by weight."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxpercept.cli.outputs import say, tell
from jaxpercept.cli.writable import check_weights
from jaxpercept.nets import weights_file

_ALIKE = 0.6  # below it, neither net was trained on from the other

_ABOUT = """Average the weights of two nets of one shape: (1 - X) A + X B.

B must be a net that was trained further from A (--init A). Between a pixel net and
a feature net, X sets how sharp the result is."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `blend-weights` command."""
    parser = commands.add_parser(
        "blend-weights",
        help="make a net between two nets",
        description=_ABOUT,
        epilog="example:\n  jaxpercept blend-weights x4-pixel x4-feature --at 0.7 -o x.safetensors",
    )
    parser.add_argument("first", metavar="A", help="a shipped net or a weights file")
    parser.add_argument("second", metavar="B", help="another net of the same shape")
    parser.add_argument(
        "--at",
        type=float,
        required=True,
        metavar="X",
        help="from 0, which is A, to 1, which is B, or up to 2, which is as far again",
    )
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help="file to write")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    out = Path(arguments.out)
    given = arguments.first, arguments.second
    check_weights("-o", out, map(weights_file.resolve, given))
    from jaxpercept.nets import blending, net_file

    config, params, stats, header = blending.blend(*given, arguments.at)
    net_file.save(out, config, params, stats, header)
    if (likeness := header["blend"]["likeness"]) < _ALIKE:
        say(
            f"warning: {arguments.first} and {arguments.second} have little in common (the cosine "
            f"between their weights is {likeness:.2f}), so a net between them may paint neither; "
            "averages work if the second net was trained on from the first (--init)"
        )
    tell(
        f"{out}: {1 - arguments.at:g} of {arguments.first}, {arguments.at:g} of {arguments.second}"
    )
