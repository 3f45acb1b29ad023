"""Options that every training has, and what `--weights.NAME` makes of a preset's objective."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from jaxpercept import config
from jaxpercept.errors import InputError
from jaxpercept.nets import multistyle, weights_file

# Option, its TrainConfig field, type, help. None of them has a default here: what is not given
# comes from the preset.
FIELDS: tuple[tuple[str, str, Any, str], ...] = (
    ("--steps", "steps", int, "training steps"),
    ("--batch-size", "batch_size", int, "images a step, over all devices"),
    (
        "--optimizer",
        "optimizer",
        str,
        "adam, the paper's, or muon, which gets further in few steps",
    ),
    ("--learning-rate", "learning_rate", float, "the optimizer's"),
    ("--schedule", "schedule", str, "constant or cosine (to zero at the last step)"),
    (
        "--average",
        "average",
        str,
        "of the loss over images: arithmetic, the paper's, or geometric, in which every image "
        "counts by the share it "
        "gains (default: arithmetic; geometric in multistyle)",
    ),
    (
        "--clip",
        "clip",
        bool,
        "judge the output as it is displayed, clipped to [0, 1]: a net whose output is not held "
        "there else learns to "
        "leave the range, and what the clipping then takes away is missing in the picture",
    ),
    ("--seed", "seed", int, "of initialisation and data order"),
    (
        "--init",
        "init",
        str,
        "warm start from a weights file, or a shipped net by its name; the header then adds up "
        "the steps",
    ),
    (
        "--precision",
        "precision",
        str,
        "float32 or bfloat16 (parameters, norms and losses stay float32)",
    ),
    ("--engine", "engine", str, "how devices share a step: shard_map or pmap"),
    ("--checkpoint-every", "checkpoint_every", int, "steps between checkpoints"),
    ("--preview-every", "preview_every", int, "steps between preview strips"),
    ("--log-every", "log_every", int, "steps between lines of metrics"),
    ("--workers", "workers", int, "processes that decode images; 0: threads"),
    (
        "--cache-gib",
        "cache_gib",
        float,
        "memory for decoded images (uint8), which are then never decoded again: as much "
        "as the data needs feeds the fastest accelerators, in the same order (default: 2, at most "
        "an eighth of it)",
    ),
    (
        "--max-broken",
        "max_broken",
        float,
        "share of the images that may be broken before the run ends; 10 always may",
    ),
    ("--vgg", "vgg", str, "loss network weights; default: the shipped ImageNet weights"),
)


def add_data(parser: argparse.ArgumentParser, out: str) -> None:
    """Where images come from and the run goes to."""
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        action="extend",
        metavar="D",
        help="folders of images (nested), tfds:NAME[/CONFIG] or prepared TFDS directories",
    )
    parser.add_argument(
        "--exclude",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATTERN",
        help="file names in D to leave out",
    )
    parser.add_argument("--out", metavar="RUN", help=f"directory of the run (default: {out})")
    parser.add_argument(
        "--width", type=float, metavar="W", help="factor on the net's channels (0.5: half as many)"
    )


def add_distributed(parser: argparse.ArgumentParser) -> None:
    """How many processes share the run."""
    parser.add_argument(
        "--distributed",
        metavar="X",
        help="one run over several processes, all given the same command: auto (TPU pod "
        "slice, SLURM, Open MPI), or COORDINATOR,NUM,ID: host:port of process 0, how many "
        "processes, which this is "
        "(from 0); they share RUN's file system (docs/scaling.md)",
    )


def joined(arguments: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """The other processes of the run, if any. Raises InputError for what --distributed does not
    take."""
    given = arguments.distributed
    if given is None:
        return contextlib.nullcontext()
    coordinator = None
    if given != "auto":
        address, _, rest = given.partition(",")
        try:
            count, number = map(int, rest.split(","))
        except ValueError:
            count, number = 0, 0
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 <= number < count):
            raise InputError(
                f"--distributed {given} is not understood; auto, or COORDINATOR,NUM,ID as in "
                "10.0.0.1:1234,2,0 for the "
                "first of two processes (ID from 0 to NUM - 1)"
            )
        coordinator = address, count, number
    from jaxpercept.training import processes

    return processes.join(coordinator)


def add_fields(
    parser: argparse.ArgumentParser,
    own: tuple[tuple[str, str, Any, str], ...],
    by_preset: tuple[str, ...] = (),
) -> None:
    """`own` and `FIELDS`, with TrainConfig's defaults in the help but for those `by_preset`."""
    defaults = config.TrainConfig()
    for option, name, kind, text in own + FIELDS:
        default = getattr(defaults, name)
        note = "" if default is None else f" (default: {default})"
        if name in by_preset:
            note = " (default: the preset's)"
        how: dict[str, Any] = {"type": kind, "metavar": "N" if kind is int else "X"}
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(option, dest=name, help=text + note, **how)


def add_losses(
    parser: argparse.ArgumentParser, defaults: dict[str, float] | None
) -> argparse._ArgumentGroup:
    """`--weights.NAME` for every term; `defaults`: to show, None where they depend on other
    options."""
    losses = parser.add_argument_group(
        "losses", "each term is reported times its weight; a weight of 0 turns it off"
    )
    losses.add_argument(
        "--content-layers",
        nargs="+",
        action="extend",
        metavar="L",
        help="VGG-16 layers (default: relu2_2)",
    )
    for term in config.TERMS:
        note = "" if defaults is None else f" (default: {defaults.get(term.name, 0):g})"
        losses.add_argument(
            f"--weights.{term.name}",
            dest=f"weight_{term.name}",
            type=float,
            metavar="W",
            help=term.help + note,
        )
    return losses


def given_fields(
    arguments: argparse.Namespace, own: tuple[tuple[str, str, Any, str], ...], shipped: str
) -> dict[str, Any]:
    """The fields of TrainConfig that the command line set; --init as a file, also of the `shipped`
    kind of nets."""
    fields = {
        name: value
        for _, name, _, _ in own + FIELDS
        if (value := getattr(arguments, name)) is not None
    }
    if "init" in fields:
        file, style = multistyle.split(fields["init"])
        fields["init"] = str(weights_file.resolve(file, shipped)) + (
            "" if style is None else f":{style}"
        )
    return fields


def given_weights(arguments: argparse.Namespace) -> dict[str, float]:
    """The loss weights that the command line set."""
    return {n: w for n in config.TERM_NAMES if (w := getattr(arguments, f"weight_{n}")) is not None}
