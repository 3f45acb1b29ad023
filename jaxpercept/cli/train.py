"""Train a net that applies a style, or one that enlarges images.

Without a command, this trains on the sample photos for two or three minutes, on
a style image that the program draws itself, and stylizes a photo.
"""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from typing import Any

from jaxpercept import config
from jaxpercept.cli import learn, options, train_options, train_superres
from jaxpercept.errors import InputError, Name
from jaxpercept.nets import multistyle, weights_file
from jaxpercept.training import style_plan

EPILOG = """examples:
  python train.py
      see a training from start to end, in two or three minutes
  python train.py style --style-image wave.jpg --data photos/ --out runs/wave
  python train.py style --style-image candy.jpg --data photos/ --out runs/candy --preset candy
  python train.py multistyle --style-image wave.jpg candy.jpg --data photos/
  python train.py superres --scale 4 --loss pixel --data photos/ --out runs/x4
  python train.py style --help
      list every option of style transfer; each command has its own list

Give the same command again to resume a run. Ctrl-C saves a checkpoint and stops."""

STYLE = """Train one net on one style image (Johnson et al. 2016, section 4.1).

By default, the `resize` net is trained for 40,000 steps of 4 photos, cropped to
256x256, with Adam. The loss follows the authors' code: content 1 at relu2_2,
style 5, total variation 1e-6.

The directory RUN holds config.json, metrics.jsonl, previews/, checkpoints/,
model.safetensors and, at the end, index.html: a page with the previews, the loss
curves and the settings. `infer.py stylize --style RUN/model.safetensors` applies
the net. Give the same command again to resume the run exactly where it stopped.

With --init, the net's shape comes from that file, unless --preset, --net or
--width is given."""


def _presets() -> str:
    """Returns the recipes of `--preset` for the help."""
    published = ", ".join(name for name in config.RECIPES if name not in config.NET_PRESETS)
    about = {
        **config.NET_HELP,
        textwrap.fill(published, 78): "the authors' published styles: their loss weights, style "
        "image size, number of steps and width",
    }
    rows = []
    for name, text in about.items():
        lines = textwrap.wrap(text, 66)
        rows += [f"{name:<11} {lines.pop(0)}"] if len(name) < 12 else [*name.splitlines()]
        rows += [f"{'':<12}{line}" for line in lines]
    return "presets (--preset); options that you give override them:\n" + textwrap.indent(
        "\n".join(rows), "  "
    )


STYLE_EPILOG = f"""{_presets()}

examples:
  python train.py style --style-image wave.jpg --data photos/ --out runs/wave
  python train.py style --style-image wave.jpg --data tfds:coco/2014 \\
      --preset paper --out runs/wave

  half an hour without a GPU:
  python train.py style --style-image wave.jpg --data photos/ --out runs/soon \\
      --width 0.5 --optimizer muon --schedule cosine --batch-size 1 --steps 2000

  start from a trained net, or from one style of a net of several (FILE:STYLE):
  python train.py style --style-image wave.jpg --data photos/ --out runs/w2 \\
      --init runs/wave/model.safetensors --weights.style 8

  a small net that learns the pictures of a large one, without a loss network:
  python train.py style --style-image wave.jpg --data photos/ --out runs/light \\
      --width 0.25 --teacher wave --weights.l1 1 --weights.content 0 \\
      --weights.style 0 --weights.tv 0 --optimizer muon --schedule cosine"""

MULTISTYLE = """Train one net on several style images (Dumoulin et al. 2017, arXiv 1610.07629).

The net is that of `train.py style` with instance norm. Each style has its own
scales and shifts in every norm; the styles share all other weights. Each photo
of a batch is trained towards one style, and all styles get equally many photos.
Because a style sees only its part of the photos, give more --steps than for one
style, or start from a trained net with --init.

To blend styles: infer.py stylize --style RUN/model.safetensors:wave=0.6,candy=0.4

With --init, the net's shape comes from that file, unless --preset, --net or
--width is given. If the file holds one style, every style starts as a copy of
it. If it holds several, known styles start from their own scales and shifts and
new styles from the mean. Training only the new styles (--only-new) takes few
steps; with Adam, raise --learning-rate to 0.01 to 0.03."""

MULTISTYLE_EPILOG = """presets: see `python train.py style --help`; presets with
batch norm do not fit

examples:
  python train.py multistyle --style-image wave.jpg candy.jpg udnie.jpg \\
      --data photos/ --out runs/multi
  python train.py multistyle --style-image wave.jpg candy.jpg --data photos/ \\
      --init runs/candy/model.safetensors
  python train.py multistyle --style-image mosaic.jpg --data photos/ --only-new \\
      --init runs/multi/model.safetensors --learning-rate 0.01 --steps 4000 \\
      --out runs/multi-mosaic"""
MULTISTYLE_OUT = "runs/multistyle"


def add(parser: argparse.ArgumentParser) -> None:
    """Fills the `train` command."""
    from jaxpercept.cli import demo

    parser.set_defaults(run=demo.run, trains=True)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=type(parser))
    style = commands.add_parser(
        "style", help="train one net on one style image", description=STYLE, epilog=STYLE_EPILOG
    )
    _add_options(
        style, "style", "runs/style", required=True, metavar="S", help="image file of the style"
    )
    style.set_defaults(run=run_style)
    several = commands.add_parser(
        "multistyle",
        help="train one net on several styles, to blend",
        description=MULTISTYLE,
        epilog=MULTISTYLE_EPILOG,
    )
    _add_options(
        several,
        "multistyle",
        MULTISTYLE_OUT,
        required=True,
        nargs="+",
        action="extend",
        metavar="S",
        help="image files, one per style; a file's name without its suffix names the style",
    )
    several.set_defaults(run=run_multistyle)
    train_superres.add(commands)
    learn.add(commands)


def _add_options(
    parser: argparse.ArgumentParser, command: str, out: str, **style_image: Any
) -> None:
    groups = train_options.add(
        parser,
        "the recipe to start from, see below (default: resize)",
        f"use the net of {options.either(config.NET_PRESETS)} instead of the recipe's",
    )
    groups["data"].add_argument("--style-image", **style_image)
    shown = {"out": out}
    train_options.add_configs(groups, command, shown, config.DEFAULT_WEIGHTS["reference"])


def make_config(arguments: argparse.Namespace) -> config.TrainConfig:
    """Returns the preset, overridden by the given options. Raises InputError for values that are
    not allowed."""
    preset = arguments.preset or "resize"
    config.choose("--preset", preset, config.RECIPES)
    values = dict(config.RECIPES[preset])
    base = config.TrainConfig(**values | train_options.given_fields(arguments, "styles"))
    net = base.net
    if arguments.net is not None:
        config.choose("--net", arguments.net, config.NET_PRESETS)
        net = config.NET_PRESETS[arguments.net]
    if arguments.width is not None:
        full = config.NET_PRESETS[net.preset]
        net = dataclasses.replace(full.scaled(arguments.width), norm=net.norm)
    return dataclasses.replace(base, net=net, objective=_objective(arguments, base.objective))


def _objective(
    arguments: argparse.Namespace, base: config.ObjectiveConfig
) -> config.ObjectiveConfig:
    given = options.given(arguments, config.ObjectiveConfig)
    losses = given.get("losses", base.losses)
    config.choose(Name("losses"), losses, config.CONVENTIONS)
    weights = base.weights if losses == base.losses else config.DEFAULT_WEIGHTS[losses]
    weights = weights | options.given_weights(arguments)
    return dataclasses.replace(base, **given, weights=weights)


def _net(arguments: argparse.Namespace, made: config.TrainConfig) -> config.TransformNetConfig:
    """Returns the net of --init, unless the options name one."""
    if made.init is None or (arguments.preset, arguments.net, arguments.width) != (
        None,
        None,
        None,
    ):
        return made.net
    file, path, _ = multistyle.find(made.init, "styles")
    net = config.net_from_dict(weights_file.read_header(path).get("net", {}), file)
    if net.scale != 1:
        raise InputError(
            f"--init {file} is a super-resolution net; give a style's, or use: train superres"
        )
    return net


def run_style(arguments: argparse.Namespace) -> None:
    """Runs `train style`."""
    made = make_config(arguments)
    net = dataclasses.replace(_net(arguments, made), styles=0)
    made = dataclasses.replace(made, task="style", style_image=arguments.style_image, net=net)
    together = train_options.joined(arguments)
    from jaxpercept.training import loop

    with together:
        loop.train(made)


def run_multistyle(arguments: argparse.Namespace) -> None:
    """Runs `train multistyle`."""
    made, together = make_config(arguments), train_options.joined(arguments)
    files, only_new = tuple(arguments.style_image), bool(arguments.only_new)
    made = dataclasses.replace(
        made,
        task="multistyle",
        style_images=files,
        only_new=only_new,
        net=dataclasses.replace(
            _net(arguments, made), styles=style_plan.count(files, made.init, only_new)
        ),
        out=arguments.out or MULTISTYLE_OUT,
    )
    from jaxpercept.training import loop

    with together:
        loop.train(made)
