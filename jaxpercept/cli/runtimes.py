"""The options `--runtime` and `--precision` of the commands that apply nets, and their messages."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxpercept.cli import options
from jaxpercept.cli.outputs import say
from jaxpercept.config import PRECISIONS, RUNTIMES, choose

if TYPE_CHECKING:
    from jaxpercept.inference.model import Model, Net


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--runtime",
        default="jax",
        metavar="R",
        help=f"runtime of the net: {options.either(RUNTIMES)} (default: jax); on a CPU with "
        "bfloat16, openvino with --precision bfloat16 is faster but less exact",
    )
    add_precision(parser)


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Adds `--precision` alone."""
    parser.add_argument(
        "--precision",
        default="float32",
        metavar="X",
        help=f"number format to compute in ({options.either(PRECISIONS)}; default: float32)",
    )


def check_precision(arguments: argparse.Namespace) -> None:
    """Raises InputError for an unknown precision."""
    choose("--precision", arguments.precision, PRECISIONS)


def check(arguments: argparse.Namespace) -> None:
    """Raises InputError for an unknown runtime or precision."""
    check_precision(arguments)
    choose("--runtime", arguments.runtime, RUNTIMES)


def chosen(arguments: argparse.Namespace, models: Sequence[Model]) -> Sequence[Net]:
    """Returns the nets in the chosen runtime. Prints the runtime and its precision unless both are
    the defaults."""
    if arguments.runtime == "jax":
        if arguments.precision != "float32":
            say(f"runtime: JAX, {arguments.precision}")
        return models
    from jaxpercept.interop import exported_net

    nets = exported_net.nets(models, arguments.runtime, arguments.precision)
    for about in dict.fromkeys(net.loaded.about for net in nets):
        say(f"runtime: {about}")
    return nets
