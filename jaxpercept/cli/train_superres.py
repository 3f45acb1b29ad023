"""`train superres`: one super-resolution net for one scale and loss."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from jaxpercept import config
from jaxpercept.cli.train_options import (
    add_data,
    add_distributed,
    add_fields,
    add_losses,
    given_fields,
    given_weights,
    joined,
)
from jaxpercept.errors import InputError

_SUPERRES = """Train one net that enlarges images by a scale (Johnson et al. 2016, section 4.2).

Low-resolution inputs are made from patches of the training images. RUN gets config.json, metrics.jsonl, previews/
(photos, their bicubic enlargement, the net's), checkpoints/ and model.safetensors, which `infer.py upscale --model` and
`python -m jaxpercept evaluate superres --model` take; its header keeps scale, degradation and data. The same command
again resumes, exactly."""

_EPILOG = """presets (--preset):
  best    ours (default): residual blocks at low resolution over a bicubic upsample, small patches, cosine schedule,
          plain bicubic inputs; --loss pixel is L1, --loss feature adds L1 and hatch to relu2_2 and is meant to
          go on from a trained pixel net (--init)
  paper   the paper's net, 200,000 steps of batch 4, 288x288 patches, Adam 1e-3, blurred inputs; --loss pixel is the
          mean square, --loss feature relu2_2 alone

examples:
  python train.py superres --scale 4 --loss pixel --data photos/ more/ --out runs/x4-pixel
  python train.py superres --scale 4 --loss feature --data photos/ --init runs/x4-pixel/model.safetensors
  python train.py superres --scale 8 --loss feature --preset paper --data photos/ --weights.pixel 0.01"""

_OWN: tuple[tuple[str, str, Any, str], ...] = (
    (
        "--patch-size",
        "image_size",
        int,
        "pixels a side of the high-resolution patches; smaller images are left out",
    ),
    (
        "--degradation",
        "degradation",
        str,
        "inputs: bicubic, or blur (Gaussian of 1 pixel, then bicubic: the paper's)",
    ),
)
_BY_PRESET = ("image_size", "degradation", "steps", "batch_size", "learning_rate", "schedule")


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `superres` command."""
    parser = commands.add_parser(
        "superres", help="one net for one upscale factor", description=_SUPERRES, epilog=_EPILOG
    )
    parser.add_argument("--scale", type=int, required=True, metavar="N", help="2, 4 or 8")
    parser.add_argument(
        "--loss", required=True, metavar="NAME", help="feature or pixel; --weights.NAME adds to it"
    )
    add_data(parser, "runs/superres-xSCALE-LOSS")
    parser.add_argument(
        "--preset", default="best", metavar="NAME", help="best or paper: see below (default: best)"
    )
    add_fields(parser, _OWN, _BY_PRESET)
    add_distributed(parser)
    add_losses(parser, None)
    parser.set_defaults(run=run)


def make_config(arguments: argparse.Namespace) -> config.TrainConfig:
    """The recipe, overridden by what was given. Raises InputError for what is not allowed."""
    recipe = config.superres_recipe(arguments.scale, arguments.preset, arguments.loss)
    net, objective = recipe["net"], recipe["objective"]
    weights = given_weights(arguments)
    if weights.get("style"):
        terms = ", ".join(n for n in config.TERM_NAMES if n != "style")
        raise InputError(
            f"--weights.style {weights['style']:g}: super-resolution has no style image; mix "
            f"{terms}"
        )
    recipe |= {
        "net": net if arguments.width is None else net.scaled(arguments.width),
        "objective": dataclasses.replace(
            objective,
            weights=objective.weights | weights,
            content_layers=tuple(arguments.content_layers or objective.content_layers),
        ),
        "data": tuple(arguments.data),
        "exclude": tuple(arguments.exclude),
        "out": arguments.out or recipe["out"],
    }
    return config.TrainConfig(**recipe | given_fields(arguments, _OWN, "superres"))


def run(arguments: argparse.Namespace) -> None:
    """`train superres`."""
    made, together = make_config(arguments), joined(arguments)
    from jaxpercept.training import loop

    with together:
        loop.train(made)
