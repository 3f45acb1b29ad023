"""The `train superres` command: trains a super-resolution net for one scale and loss."""

from __future__ import annotations

import argparse
import dataclasses

from jaxpercept import config
from jaxpercept.cli import options, train_options

_SUPERRES = """Train one net that enlarges images by a scale (Johnson et al. 2016, section 4.2).

The net learns from patches of your photos and from small versions of them, which
it makes itself. The directory RUN holds config.json, metrics.jsonl, previews/ (a
photo, its bicubic enlargement, the net's), checkpoints/, model.safetensors and,
at the end, index.html: a page with previews, loss curves and settings. `infer.py
upscale --model` and `jaxpercept evaluate superres --model` take the weights file.
Give the same command again to resume the run exactly where it stopped."""

_EPILOG = """presets (--preset); options that you give override them:
  best    ours, the default: residual blocks at low resolution on top of a bicubic
          enlargement, bicubic inputs, cosine schedule, and 8 patches per step, of
          24 pixels per side before they are enlarged. --loss pixel is L1: 40,000
          steps from 1e-3. --loss feature adds L1 and hatch to relu2_2: 10,000
          steps from 2e-4; start it from a trained pixel net (--init).
  gated   ours: best with a ninth block and an attention gate in each block.
          --init takes a trained best net too.
          With --init, both also start from a net of another scale.
  paper   the paper's net: 200,000 steps of 4 patches of 288x288, Adam 1e-3, blurred
          inputs. --loss pixel is the mean square, --loss feature relu2_2 alone.

examples:
  python train.py superres --scale 4 --loss pixel --data photos/ more/ \\
      --out runs/x4-pixel
  python train.py superres --scale 4 --loss feature --data photos/ \\
      --init runs/x4-pixel/model.safetensors
  python train.py superres --scale 8 --loss feature --data photos/ --preset paper \\
      --weights.pixel 0.01"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `superres` command."""
    parser = commands.add_parser(
        "superres", help="train one net that enlarges images", description=_SUPERRES, epilog=_EPILOG
    )
    presets, scales = options.either(config.SUPERRES_PRESETS), options.either(config.SCALES)
    groups = train_options.add(
        parser, f"the recipe to start from, {presets}, see below (default: best)"
    )
    groups["net"].add_argument(
        "--scale", type=int, required=True, metavar="N", help=f"how many times larger: {scales}"
    )
    groups["objective"].add_argument(
        "--loss",
        required=True,
        metavar="NAME",
        help="feature or pixel; --weights.NAME adds a term to it",
    )
    by_preset = config.superres_recipe(4, "best").keys() | config.superres_recipe(4, "paper")
    shown = dict.fromkeys(by_preset, train_options.BY_PRESET) | {"out": "runs/superres-xSCALE-LOSS"}
    leave_out = ("losses", "style_layers")
    train_options.add_configs(groups, "superres", shown, None, leave_out, without=["style"])
    parser.set_defaults(run=run)


def make_config(arguments: argparse.Namespace) -> config.TrainConfig:
    """Returns the recipe, overridden by the given options. Raises InputError for values that are
    not allowed."""
    recipe = config.superres_recipe(arguments.scale, arguments.preset or "best", arguments.loss)
    net, objective = recipe["net"], recipe["objective"]
    weights = options.given_weights(arguments)
    recipe |= {
        "net": net if arguments.width is None else net.scaled(arguments.width),
        "objective": dataclasses.replace(
            objective,
            **options.given(arguments, config.ObjectiveConfig),
            weights=objective.weights | weights,
        ),
    }
    return config.TrainConfig(**recipe | train_options.given_fields(arguments, "superres"))


def run(arguments: argparse.Namespace) -> None:
    """Runs `train superres`."""
    made, together = make_config(arguments), train_options.joined(arguments)
    from jaxpercept.training import loop

    with together:
        loop.train(made)
