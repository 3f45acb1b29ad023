"""Run the paper's experiments on the shipped styles, or on yours.

Makes tables, plots and contact sheets. --out keeps every measurement, and the same
command continues where it stopped. As in the paper, optimisation starts from noise
and clips to [0, 1] at every iteration. The defaults suit a small machine and take
hours; --paper runs the full scale.
"""

from __future__ import annotations

import argparse

from jaxpercept.cli.options import add_fields, add_groups, given
from jaxpercept.cli.outputs import say
from jaxpercept.cli.writable import check_folder
from jaxpercept.evaluation.reproduce.settings import PARTS, ReproduceConfig
from jaxpercept.nets import multistyle

EPILOG = (
    "parts:\n"
    + "\n".join(f"  {name:<11} {what}" for name, what in PARTS.items())
    + """

examples:
  jaxpercept reproduce --data photos/ --style-images styles/
  jaxpercept reproduce --data photos/ --style-images styles/ \\
      --parts crossing speed --sizes 256 512 --images 10 3 --other-images 4 0
  jaxpercept reproduce --data photos/ --style-images styles/ --paper \\
      --out outputs/paper
  jaxpercept reproduce --parts superres --data photos/ --superres-images Set5/"""
)
_PAPER = {  # [P] section 4.1, with 50 photos, and 4.2
    "iterations": 500,
    "figure_iterations": 500,
    "whole": True,
    "superres_patch": 288,
    "superres_steps": 200_000,
    "superres_optimizer": "adam",
    "superres_schedule": "constant",
}


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `reproduce` command."""
    parser = commands.add_parser(
        "reproduce", help="run the paper's experiments", description=__doc__, epilog=EPILOG
    )
    groups = add_groups(parser, ("data", "optimizer", "run"))
    add_fields(groups, ReproduceConfig, "reproduce")
    groups["run"].add_argument(
        "--paper",
        action="store_true",
        help="the paper's scale: 50 photos for every style and size, and always all 500 "
        "iterations; superres: 200,000 steps on patches of 288x288",
    )
    parser.set_defaults(run=run)


def make_config(arguments: argparse.Namespace) -> ReproduceConfig:
    """Returns the config that the command line asks for. Explicit options override --paper. Raises
    InputError for values that are not allowed."""
    asked = given(arguments, ReproduceConfig)
    if arguments.paper:
        count = len(asked.get("sizes", ReproduceConfig().sizes))
        asked = {**_PAPER, "images": (50,) * count, "other_images": (50,) * count, **asked}
    return ReproduceConfig(**asked)


def run(arguments: argparse.Namespace) -> None:
    """Runs `reproduce`."""
    made = make_config(arguments)
    for name in made.styles:
        multistyle.find(name, "styles")
    check_folder(made.out, "--out")
    check_folder(made.results, "--results")
    from jaxpercept.evaluation.reproduce.report import reproduce
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    say(f"report: {reproduce(made, say)}")
