"""Make single images by optimising their pixels.

This is slow, but reaches the lowest loss; a trained net only comes close to it.
The losses are the same as in training. Images of one size are optimised together.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path

from jaxpercept import config
from jaxpercept.cli import optimize_job
from jaxpercept.cli.options import (
    Groups,
    add_fields,
    add_groups,
    add_weights,
    given,
    given_weights,
)
from jaxpercept.cli.outputs import add_written
from jaxpercept.errors import InputError, Name
from jaxpercept.synthesis.settings import SynthesisConfig

_GROUPS = ("data", "objective", "optimizer", "run")

EPILOG = """examples:
  jaxpercept optimize style --content photo.jpg --style wave.jpg -o out.jpg
  jaxpercept optimize style --content photo.jpg --style wave.jpg candy.jpg \\
      --style-weights 2 1 --sizes 256 512 1024 --iterations 300 150 75 \\
      --preserve-color -o out.jpg
  jaxpercept optimize invert --content photo.jpg --layer relu3_3 -o inverted.png
  jaxpercept optimize texture --style wave.jpg --layers relu1_2 relu2_2 -o out.png

a film of the optimisation (frames are numbered 1, 2, 3, ...):
  jaxpercept optimize style --content photo.jpg --style wave.jpg \\
      --save-every 5 -o film.jpg
  ffmpeg -i film_frames/film_%05d.jpg film.mp4

Ctrl-C, SIGTERM and SIGHUP stop within --report-every iterations and save the image as it
is then; --skip-existing does not finish it.

Exit status: 0 all done, 1 some images failed, 2 all failed."""

STYLE = """Style transfer of single images by optimisation (Gatys et al. 2016; equation 5 of
Johnson et al. 2016).

Minimises the weighted sum of content, style and total-variation losses over the
pixels. By default, L-BFGS starts from the content image and makes 500 iterations.
An iteration needs one or two evaluations, each a forward and backward pass through
the loss network."""

INVERT = """Feature reconstruction: find an image with the content's activations at --layer
(figure 3 of Johnson et al. 2016).

The image starts as grey with a little noise, never as the content. Shallow layers
give the photo back. Deep layers keep what is shown and where, but not its colours
and textures. The paper shows relu2_2, relu3_3, relu4_3, relu5_1 and relu5_3."""

TEXTURE = """Style reconstruction: find an image with the style's Gram matrices at --layers
(figure 4 of Johnson et al. 2016).

The image starts as noise. Deeper layers bring larger structures. The paper shows
relu1_2 alone, then with relu2_2, relu3_3 and relu4_3 added one by one."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `optimize` command."""
    optimize = commands.add_parser(
        "optimize",
        help="make single images by optimisation: style, invert or texture",
        description=__doc__,
        epilog=EPILOG,
    )
    kinds = optimize.add_subparsers(
        metavar="KIND", required=True, title="kinds", parser_class=type(optimize)
    )
    style = kinds.add_parser(
        "style", help="paint a photo in a style", description=STYLE, epilog=EPILOG
    )
    groups = add_groups(style, _GROUPS)
    _add_contents(groups)
    _add_styles(groups)
    _add_common(groups, "style")
    groups["data"].add_argument(
        "--preserve-color",
        action="store_true",
        help="combine the result's luminance with the content's colours",
    )
    style.set_defaults(run=run_style, default_weights=None)

    invert = kinds.add_parser(
        "invert", help="make an image from a photo's features", description=INVERT, epilog=EPILOG
    )
    groups = add_groups(invert, _GROUPS)
    _add_contents(groups)
    groups["objective"].add_argument(
        "--layer",
        dest="content_layers",
        default="relu2_2",
        metavar="L",
        help="VGG-16 layer (default: relu2_2)",
    )
    weights = {"content": 1.0, "style": 0.0, "tv": 0.0}
    _add_common(groups, "invert", "grey", weights, ("content_layers", "style_layers"), ["style"])
    invert.set_defaults(run=run_invert, default_weights=weights)

    texture = kinds.add_parser(
        "texture", help="make an image from a style", description=TEXTURE, epilog=EPILOG
    )
    groups = add_groups(texture, _GROUPS)
    _add_styles(groups)
    groups["objective"].add_argument(
        "--layers",
        dest="style_layers",
        nargs="+",
        action="extend",
        metavar="L",
        help=f"VGG-16 layers (default: {' '.join(config.STYLE_LAYERS)})",
    )
    weights = {"content": 0.0, "style": 5.0, "tv": 0.0}
    of_content = [name for name in config.TERM_NAMES if name not in ("style", "tv")]
    _add_common(groups, "texture", "noise", weights, ("content_layers", "style_layers"), of_content)
    texture.set_defaults(run=run_texture, default_weights=weights)


def _add_contents(groups: Groups) -> None:
    groups["data"].add_argument(
        "--content",
        nargs="+",
        action="extend",
        required=True,
        metavar="C",
        help="images, folders or patterns",
    )


def _add_styles(groups: Groups) -> None:
    groups["data"].add_argument(
        "--style",
        nargs="+",
        action="extend",
        required=True,
        metavar="S",
        help="style images; several are mixed",
    )
    groups["data"].add_argument(
        "--style-weights",
        nargs="+",
        action="extend",
        type=float,
        metavar="W",
        help="the share of each style image (default: equal)",
    )


def _add_common(
    groups: Groups,
    kind: str,
    init: str = "content",
    weights: dict[str, float] | None = None,
    leave_out: tuple[str, ...] = (),
    without: Collection[str] = (),
) -> None:
    """Adds the options that the kinds share. `leave_out` are fields, and `without` are terms."""
    add_written(groups["run"])
    for made in (SynthesisConfig, config.ObjectiveConfig):
        add_fields(groups, made, kind, shown={"init": init}, leave_out=leave_out)
    groups["objective"].add_argument(
        "--vgg",
        metavar="FILE",
        help="weights of the loss network (default: the shipped VGG-16, trained on ImageNet)",
    )
    shown = weights or config.DEFAULT_WEIGHTS["reference"]
    add_weights(groups["objective"], f"optimize {kind}", shown, leave_out=without)


def make_config(
    arguments: argparse.Namespace, init: str = "content", **layers: Sequence[str]
) -> SynthesisConfig:
    """Returns the config that the command line asks for. `init` is the default start. Raises
    InputError for values that are not allowed."""
    asked = given(arguments, config.ObjectiveConfig) | layers
    losses = asked.get("losses", "reference")
    config.choose(Name("losses"), losses, config.CONVENTIONS)
    weights = arguments.default_weights or config.DEFAULT_WEIGHTS[losses]
    made = config.ObjectiveConfig(**asked, weights=weights | given_weights(arguments))
    return SynthesisConfig(**{"init": init, **given(arguments, SynthesisConfig)}, objective=made)


def run_style(arguments: argparse.Namespace) -> int:
    """Runs `optimize style`."""
    made = make_config(arguments)
    label = "-".join(Path(style).stem for style in arguments.style)
    return optimize_job.run(arguments, made, arguments.content, arguments.style, label)


def run_invert(arguments: argparse.Namespace) -> int:
    """Runs `optimize invert`."""
    if arguments.init == "content":
        raise InputError(
            "--init content would already be the answer; choose grey, noise, or another image"
        )
    made = make_config(arguments, "grey", content_layers=(arguments.content_layers,))
    return optimize_job.run(arguments, made, arguments.content, (), arguments.content_layers)


def run_texture(arguments: argparse.Namespace) -> int:
    """Runs `optimize texture`. The first style image gives the size."""
    made = make_config(
        arguments, "noise", style_layers=arguments.style_layers or config.STYLE_LAYERS
    )
    if made.init == "content":
        raise InputError(
            "--init content: a texture has no content; choose noise, grey, or an image"
        )
    return optimize_job.run(
        arguments,
        made,
        arguments.style[:1],
        arguments.style,
        f"texture-{made.objective.style_layers[-1]}",
        keeps=False,
    )
