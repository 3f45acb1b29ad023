"""Train a transform net.

Without a command: a short, real training on the sample photos with a style image that the project draws itself.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from jaxpercept import config
from jaxpercept.cli import train_superres
from jaxpercept.cli.train_options import (
    add_data,
    add_distributed,
    add_fields,
    add_losses,
    given_fields,
    given_weights,
    joined,
)

EPILOG = """examples:
  python train.py                                   two or three minutes: see it work
  python train.py style --style-image wave.jpg --data photos/ --out runs/wave
  python train.py style --style-image candy.jpg --data photos/ --out runs/candy --preset candy
  python train.py superres --scale 4 --loss pixel --data photos/ --out runs/x4
  python train.py style --help                      every option of style transfer; superres has its own

The same command again resumes. Ctrl-C saves and stops."""

STYLE = """Train one net on one style image (Johnson et al. 2016, section 4.1).

Defaults: the `resize` net, the authors' loss conventions (`reference`) with content 1, style 5, TV 1e-6, content at
relu2_2, Adam 1e-3, 40,000 steps of batch 4 at 256x256. RUN gets config.json, metrics.jsonl, previews/, checkpoints/ and
model.safetensors, which `infer.py stylize --style` takes. The same command again resumes, exactly."""

STYLE_EPILOG = """presets (--preset), each overridden by explicit options:
  resize             ours (default): reflection padding, nearest x2 + convolution, linear output
  paper              the paper's net and losses: batch norm, transposed convolutions, scaled tanh
  reference          the authors' code: instance norm, 150 tanh in VGG's space, content at relu3_3
  candy composition_vii feathers la_muse mosaic starry_night the_scream the_wave udnie
                     the authors' published styles: their weights, style image size, steps and width

examples:
  python train.py style --style-image wave.jpg --data photos/ --out runs/wave
  python train.py style --style-image wave.jpg --data tfds:coco/2014 --out runs/wave --preset paper
  python train.py style --style-image wave.jpg --data photos/ --out runs/w2 --init runs/wave/model.safetensors \\
      --weights.style 8 --width 0.5"""

_OWN: tuple[tuple[str, str, Any, str], ...] = (
    ("--image-size", "image_size", int, "training images are cropped to this many pixels a side"),
    ("--style-size", "style_size", int, "longer side of the style image; 0: as it is"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Fills the `train` command."""
    from jaxpercept.cli import demo

    parser.set_defaults(run=demo.run)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=type(parser))
    style = commands.add_parser("style", help="one net for one style image", description=STYLE, epilog=STYLE_EPILOG)
    style.add_argument("--style-image", required=True, metavar="S", help="the style: an image file")
    add_data(style, "runs/style")
    style.add_argument("--preset", metavar="NAME", help="a whole recipe: see below (default: resize)")
    style.add_argument("--net", metavar="NAME", help="the net alone: resize, paper or reference")
    add_fields(style, _OWN)
    add_distributed(style)
    losses = add_losses(style, config.DEFAULT_WEIGHTS["reference"])
    losses.add_argument("--losses", metavar="X", help="convention: paper or reference (default: reference)")
    losses.add_argument(
        "--style-layers", nargs="+", action="extend", metavar="L", help=f"(default: {' '.join(config.STYLE_LAYERS)})"
    )
    style.set_defaults(run=run_style)
    train_superres.add(commands)


def make_config(arguments: argparse.Namespace) -> config.TrainConfig:
    """The preset, overridden by what was given. Raises InputError for what is not allowed."""
    preset = arguments.preset or "resize"
    config.choose("preset", preset, config.RECIPES)
    values = dict(config.RECIPES[preset])
    base = config.TrainConfig(**values | given_fields(arguments, _OWN))
    net = base.net
    if arguments.net is not None:
        config.choose("net", arguments.net, config.NET_PRESETS)
        net = config.NET_PRESETS[arguments.net]
    if arguments.width is not None:
        full = config.NET_PRESETS[net.preset]
        net = dataclasses.replace(full.scaled(arguments.width), norm=net.norm)
    return dataclasses.replace(
        base, net=net, objective=_objective(arguments, base.objective), data=tuple(arguments.data),
        exclude=tuple(arguments.exclude), out=arguments.out or base.out,
    )  # fmt: skip


def _objective(arguments: argparse.Namespace, base: config.ObjectiveConfig) -> config.ObjectiveConfig:
    losses = arguments.losses or base.losses
    config.choose("losses", losses, config.CONVENTIONS)
    weights = dict(base.weights if losses == base.losses else config.DEFAULT_WEIGHTS[losses])
    return config.ObjectiveConfig(
        losses=losses,
        weights=weights | given_weights(arguments),
        content_layers=tuple(arguments.content_layers or base.content_layers),
        style_layers=tuple(arguments.style_layers or base.style_layers),
    )


def run_style(arguments: argparse.Namespace) -> None:
    """`train style`."""
    made = dataclasses.replace(make_config(arguments), task="style", style_image=arguments.style_image)
    together = joined(arguments)
    from jaxpercept import images, training

    images.load_image(arguments.style_image)  # the commonest mistakes, before anything is compiled
    with together:
        training.train(made)
