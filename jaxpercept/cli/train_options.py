"""The options that the commands of `train` share, in titled groups, and how they are read."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from jaxpercept import config
from jaxpercept.cli.options import Groups, add_fields, add_groups, add_weights, given
from jaxpercept.cli.outputs import say
from jaxpercept.errors import InputError
from jaxpercept.nets import multistyle

BY_PRESET = "the preset's"


def add(parser: argparse.ArgumentParser, presets: str, nets: str = "") -> Groups:
    """Adds the groups of a training command, with the options that are not fields of a config.
    `presets` and `nets` list the choices and the default."""
    groups = add_groups(parser)
    groups["net"].add_argument("--preset", metavar="NAME", help=presets)
    if nets:
        groups["net"].add_argument("--net", metavar="NAME", help=nets)
    groups["net"].add_argument(
        "--width", type=float, metavar="W", help="multiply the net's channels by this, such as 0.5"
    )
    groups["run"].add_argument(
        "--distributed",
        metavar="X",
        help="share the run among several processes with the same command and the same RUN: auto "
        "(TPU pod slice, SLURM, Open MPI), or COORDINATOR,NUM,ID, which are the host:port of "
        "process 0, the number of processes, and this process's number from 0 (see "
        "docs/scaling.md)",
    )
    return groups


def add_configs(
    groups: Groups,
    command: str,
    shown: Mapping[str, str],
    weights: Mapping[str, float] | None,
    leave_out: Collection[str] = (),
    without: Collection[str] = (),
) -> None:
    """Adds the fields of the run and of its objective. `shown` holds defaults to show instead of
    the config's own. `weights` are the terms' defaults, or None if they depend on other options.
    `leave_out` are fields, and `without` are terms."""
    for kind in (config.TrainConfig, config.ObjectiveConfig):
        add_fields(groups, kind, command, shown=shown, leave_out=leave_out)
    add_weights(groups["objective"], command, weights, BY_PRESET, without)


def given_fields(arguments: argparse.Namespace, shipped: str) -> dict[str, Any]:
    """Returns the fields of TrainConfig that the command line set. Raises InputError if --init (a
    net of the `shipped` kind) or --teacher names no net."""
    fields = given(arguments, config.TrainConfig)
    fields.pop("only_new", None)  # allowed only together with its styles
    for name, kind in (("init", shipped), ("teacher", "styles")):
        if name in fields:
            multistyle.find(fields[name], kind)
    return fields


def joined(arguments: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """Joins the other processes of the run, if any. Raises InputError for a bad value of
    --distributed."""
    asked = arguments.distributed
    if asked is None:
        return contextlib.nullcontext()
    coordinator = None
    if asked != "auto":
        address, _, rest = asked.partition(",")
        try:
            count, number = map(int, rest.split(","))
        except ValueError:
            count, number = 0, 0
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 <= number < count):
            raise InputError(
                f"--distributed {asked} is not understood; give auto, or COORDINATOR,NUM,ID as in "
                "10.0.0.1:1234,2,0 for the first of two processes (ID from 0 to NUM - 1)"
            )
        coordinator = address, count, number
        say(f"process {number}: waiting until all {count} processes have come to {address}")
    from jaxpercept.training import processes

    return processes.join(coordinator)
