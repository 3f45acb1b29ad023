"""Train a transform net.

Without a command: a short, real training on the sample photos with a style image that the project
draws itself.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from jaxpercept import config
from jaxpercept.cli import learn, train_superres
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
from jaxpercept.nets import multistyle, weights_file

EPILOG = """examples:
  python train.py                                   two or three minutes: see it work
  python train.py style --style-image wave.jpg --data photos/ --out runs/wave
  python train.py style --style-image candy.jpg --data photos/ --out runs/candy --preset candy
  python train.py multistyle --style-image wave.jpg candy.jpg --data photos/ --out runs/multi
  python train.py superres --scale 4 --loss pixel --data photos/ --out runs/x4
  python train.py style --help                      every option of style transfer; the others have their own

The same command again resumes. Ctrl-C saves and stops."""

STYLE = """Train one net on one style image (Johnson et al. 2016, section 4.1).

Defaults: the `resize` net, the authors' loss conventions (`reference`) with content 1, style 5, TV 1e-6, content at
relu2_2, Adam 1e-3, 40,000 steps of batch 4 at 256x256. RUN gets config.json, metrics.jsonl, previews/, checkpoints/ and
model.safetensors, which `infer.py stylize --style` takes. The same command again resumes, exactly.

With --init, the net is that of the file unless --preset, --net or --width is given."""

STYLE_EPILOG = """presets (--preset), each overridden by explicit options:
  resize             ours (default): reflection padding, nearest x2 + convolution, linear output
  paper              the paper's net and losses: batch norm, transposed convolutions, scaled tanh
  reference          the authors' code: instance norm, 150 tanh in VGG's space, content at relu3_3
  candy composition_vii feathers la_muse mosaic starry_night the_scream the_wave udnie
                     the authors' published styles: their weights, style image size, steps and width

examples:
  python train.py style --style-image wave.jpg --data photos/ --out runs/wave
  python train.py style --style-image wave.jpg --data tfds:coco/2014 --out runs/wave --preset paper
  python train.py style --style-image wave.jpg --data photos/ --out runs/soon --width 0.5 \\
      --optimizer muon --schedule cosine --batch-size 1 --steps 2000           # half an hour without an accelerator
  python train.py style --style-image wave.jpg --data photos/ --out runs/w2 --init runs/wave/model.safetensors \\
      --weights.style 8                                    # a net of one style, or one of several: FILE:STYLE"""

MULTISTYLE = """Train one net on many style images (Dumoulin, Shlens, Kudlur 2017, arXiv 1610.07629).

The net is that of `train.py style` with instance norm, whose scales and shifts every style has for itself; all other
weights are shared. Each image of a batch is trained towards one style; every style gets equally many, and counts by the
share of its loss that it gains. So a style sees the images of `--steps` divided by the number of styles: give more
steps, or --init a trained net. RUN is as there, and `infer.py stylize --style
RUN/model.safetensors:NAME=WEIGHT,NAME=WEIGHT` blends the styles.

With --init, the net is that of the file unless --preset, --net or --width is given. From a net of one style every
style starts as a copy of that; from one of several, each from its own scales and shifts, a new one from their mean.
Scales and shifts alone (--only-new) take few steps, and with Adam a larger --learning-rate, 0.01 to 0.03."""

MULTISTYLE_EPILOG = """presets: as in `python train.py style --help`, but for those with batch norm

examples:
  python train.py multistyle --style-image wave.jpg candy.jpg udnie.jpg --data photos/ --out runs/multi
  python train.py multistyle --style-image wave.jpg candy.jpg --data photos/ --init runs/candy/model.safetensors
  python train.py multistyle --style-image mosaic.jpg --data photos/ --init runs/multi/model.safetensors --only-new \\
      --learning-rate 0.01 --steps 4000 --out runs/multi-mosaic"""
MULTISTYLE_OUT = "runs/multistyle"

_OWN: tuple[tuple[str, str, Any, str], ...] = (
    ("--image-size", "image_size", int, "training images are cropped to this many pixels a side"),
    ("--style-size", "style_size", int, "longer side of the style image; 0: as it is"),
    (
        "--augment",
        "augment",
        bool,
        "turn and mirror photos at random, zoom into them by up to 1.15, brighten or darken them; "
        "of few photos, a net "
        "otherwise learns each by heart",
    ),
)


def add(parser: argparse.ArgumentParser) -> None:
    """Fills the `train` command."""
    from jaxpercept.cli import demo

    parser.set_defaults(run=demo.run)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=type(parser))
    style = commands.add_parser(
        "style", help="one net for one style image", description=STYLE, epilog=STYLE_EPILOG
    )
    style.add_argument("--style-image", required=True, metavar="S", help="the style: an image file")
    _add_options(style, "runs/style")
    style.set_defaults(run=run_style)
    several = commands.add_parser(
        "multistyle",
        help="one net for many styles, to blend",
        description=MULTISTYLE,
        epilog=MULTISTYLE_EPILOG,
    )
    several.add_argument(
        "--style-image",
        required=True,
        nargs="+",
        action="extend",
        metavar="S",
        help="a style each: image files, whose names without suffix become the styles'",
    )
    several.add_argument(
        "--only-new",
        action="store_true",
        help="train only the scales and shifts of these styles, "
        "which the net of --init does not hold yet; all else of it stays as it is",
    )
    _add_options(several, MULTISTYLE_OUT)
    several.set_defaults(run=run_multistyle)
    train_superres.add(commands)
    learn.add(
        commands.add_parser(
            "learn",
            help="a style of your own in a minute, without data",
            description=learn.__doc__,
            epilog=learn.EPILOG,
        )
    )


def _add_options(parser: argparse.ArgumentParser, out: str) -> None:
    add_data(parser, out)
    parser.add_argument(
        "--preset", metavar="NAME", help="a whole recipe: see below (default: resize)"
    )
    parser.add_argument("--net", metavar="NAME", help="the net alone: resize, paper or reference")
    add_fields(parser, _OWN)
    add_distributed(parser)
    losses = add_losses(parser, config.DEFAULT_WEIGHTS["reference"])
    losses.add_argument(
        "--losses", metavar="X", help="convention: paper or reference (default: reference)"
    )
    losses.add_argument(
        "--style-layers",
        nargs="+",
        action="extend",
        metavar="L",
        help=f"(default: {' '.join(config.STYLE_LAYERS)})",
    )


def make_config(arguments: argparse.Namespace) -> config.TrainConfig:
    """The preset, overridden by what was given. Raises InputError for what is not allowed."""
    preset = arguments.preset or "resize"
    config.choose("preset", preset, config.RECIPES)
    values = dict(config.RECIPES[preset])
    base = config.TrainConfig(**values | given_fields(arguments, _OWN, "styles"))
    net = base.net
    if arguments.net is not None:
        config.choose("net", arguments.net, config.NET_PRESETS)
        net = config.NET_PRESETS[arguments.net]
    if arguments.width is not None:
        full = config.NET_PRESETS[net.preset]
        net = dataclasses.replace(full.scaled(arguments.width), norm=net.norm)
    return dataclasses.replace(
        base,
        net=net,
        objective=_objective(arguments, base.objective),
        data=tuple(arguments.data),
        exclude=tuple(arguments.exclude),
        out=arguments.out or base.out,
    )


def _objective(
    arguments: argparse.Namespace, base: config.ObjectiveConfig
) -> config.ObjectiveConfig:
    losses = arguments.losses or base.losses
    config.choose("losses", losses, config.CONVENTIONS)
    weights = dict(base.weights if losses == base.losses else config.DEFAULT_WEIGHTS[losses])
    return config.ObjectiveConfig(
        losses=losses,
        weights=weights | given_weights(arguments),
        content_layers=tuple(arguments.content_layers or base.content_layers),
        style_layers=tuple(arguments.style_layers or base.style_layers),
    )


def _net(arguments: argparse.Namespace, made: config.TrainConfig) -> config.TransformNetConfig:
    """The net of --init, unless the options name one."""
    if made.init is None or (arguments.preset, arguments.net, arguments.width) != (
        None,
        None,
        None,
    ):
        return made.net
    file, _ = multistyle.split(made.init)
    net = config.net_from_dict(weights_file.read_header(file).get("net", {}), file)
    if net.scale != 1:
        raise InputError(
            f"--init {file} is a super-resolution net; give a style's, or use: train superres"
        )
    return net


def run_style(arguments: argparse.Namespace) -> None:
    """`train style`."""
    made = make_config(arguments)
    net = dataclasses.replace(_net(arguments, made), styles=0)
    made = dataclasses.replace(made, task="style", style_image=arguments.style_image, net=net)
    together = joined(arguments)
    from jaxpercept import images
    from jaxpercept.training import loop

    images.load_image(arguments.style_image)  # the commonest mistakes, before anything is compiled
    with together:
        loop.train(made)


def run_multistyle(arguments: argparse.Namespace) -> None:
    """`train multistyle`."""
    made, together, files = make_config(arguments), joined(arguments), tuple(arguments.style_image)
    styles, _ = multistyle.plan(files, made.init, arguments.only_new)
    made = dataclasses.replace(
        made,
        task="multistyle",
        style_images=files,
        only_new=arguments.only_new,
        net=dataclasses.replace(_net(arguments, made), styles=len(styles)),
        out=arguments.out or MULTISTYLE_OUT,
    )
    from jaxpercept import images
    from jaxpercept.training import loop

    for file in files:
        images.load_image(file)
    with together:
        loop.train(made)
