"""Enlarge images or films with a trained super-resolution net: files, folders and patterns.

Outputs are N times as large, for any N up to 8: the net of the next larger scale enlarges, and
resampling shrinks its output to the size asked for. Transparency is kept. If OUT has an image
suffix, it is the output file. Otherwise it is a folder, in which each output is named IMAGE_MODEL
with the input's suffix, in the same subfolder as its input. If the output's suffix differs from the
input's, both stay in the name: x.gif_MODEL.png. Large images are processed in overlapping tiles,
with the same result. Films (.mp4, .mov, .webm, .mkv and others, with the extra `video`) are given
by name. They are read, written and continued as by the command `video` with its defaults.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpercept.cli import options, runtimes, upscale_films
from jaxpercept.cli.outputs import (
    add_written,
    chosen_suffix,
    ending,
    find,
    namer,
    say,
    settled,
    tasks,
)
from jaxpercept.config import DEFAULT_SCALE, MAX_PIXELS, SCALES
from jaxpercept.config.options import Option
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file

if TYPE_CHECKING:
    from jaxpercept.inference.treatment import Treatment

EPILOG = """examples:
  python infer.py upscale small.png --scale 4 -o large.png
  python infer.py upscale small.png --width 1920 --sharpness 0.5 -o wide.png
  python infer.py upscale clip.mp4 --scale 2 -o large.mp4
  python infer.py upscale photos/ 'more/*.png' --model runs/x4/model.safetensors -o enlarged/

Exit status: 0 all done, 1 some images failed, 2 nothing could be done."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `upscale` command."""
    parser = commands.add_parser(
        "upscale", help="enlarge images or films", description=__doc__, epilog=EPILOG
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="image files, folders (searched, nested), patterns, films, or - for standard input",
    )
    add_controls(parser)
    add_written(parser)
    parser.set_defaults(run=run)


def add_controls(parser: argparse.ArgumentParser) -> None:
    """Adds the options of how images are enlarged."""
    parser.add_argument(
        "--scale",
        type=float,
        metavar="N",
        help=f"how many times larger, such as 4 or 2.5 (default: the model's; {DEFAULT_SCALE} "
        "without --model)",
    )
    parser.add_argument(
        "--width", type=int, metavar="W", help="the result's width in pixels, instead of --scale"
    )
    parser.add_argument(
        "--model",
        metavar="M",
        help="name of a shipped net, or a weights file (default: the first shipped net of that "
        "scale by name, such as x4-feature)",
    )
    parser.add_argument(
        "--sharpness",
        type=float,
        metavar="X",
        help="instead of --model, use a net between the shipped pixel net (0) and feature net (1)",
    )
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="average the net's results for eight turned and mirrored copies, which is slightly "
        "more exact and eight times as slow",
    )
    parser.add_argument(
        "--match-histogram",
        dest="match",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="match each channel's histogram to the input's, as the paper does",
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="N",
        help="side of the tiles in input pixels, 0 for no tiles (default: by the image's size)",
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help="refuse images with more pixels, in the file or as the net makes them, before they "
        "are reduced to --scale or --width (default: %(default)s)",
    )
    runtimes.add(parser)


def check(arguments: argparse.Namespace) -> None:
    """Raises InputError for a value of these options that is not allowed."""
    _check_choices(arguments)
    runtimes.check(arguments)
    if arguments.model is not None:
        weights_file.resolve(arguments.model, "superres")


def treatment(arguments: argparse.Namespace) -> Treatment:
    """Returns what these options do to an image before and after the net."""
    from jaxpercept.inference.treatment import Treatment

    return Treatment(
        max_pixels=arguments.max_pixels,
        tile=arguments.tile,
        match_histogram=arguments.match,
        keep_grey=True,
        factor=arguments.scale,
        width=arguments.width,
        quality=arguments.quality,
        strip=arguments.strip,
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs `upscale`. Returns 0, or 1 if some of several images failed. Raises InputError if all
    failed."""
    check(arguments)
    if not arguments.inputs:
        raise InputError(
            "no input image; give files, folders or patterns, as in: upscale small.png --scale 4"
        )
    suffix = chosen_suffix(arguments)
    if upscale_films.given(arguments.inputs, arguments.out):
        return upscale_films.run(arguments, treatment(arguments))
    missing: list[str] = []
    sources = find(arguments.inputs, missing, Path(arguments.out))
    name_output = namer([*sources], 1, Path(arguments.out), suffix)
    from jaxpercept import images
    from jaxpercept.inference import upscaling
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import process
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    factor = upscaling.factor(
        arguments.scale, arguments.width, list(sources.values()), lambda one: images.size_of(one)[1]
    )
    # A photo that the given --model does not enlarge to --width fails alone.
    wanted = factor if arguments.model is None else arguments.scale
    net = upscale_films.chosen_net(arguments, wanted)
    label = upscaling.label(net, arguments.scale, arguments.width)
    inputs = settled(sources, [label], name_output)
    job = process(
        tasks(sources, inputs, label, name_output, suffix),
        treatment(arguments),
        net,
        Job(len(inputs), say, arguments.flags),
        skip_existing=arguments.skip_existing,
    )
    return ending(job, missing, len(missing) + len(inputs))


def _check_choices(arguments: argparse.Namespace) -> None:
    options.check(
        arguments,
        scale=Option(above=1, most=max(SCALES)),
        width=Option(least=1),
        tile=Option(least=16, zero="no tiles"),
        max_pixels=Option(least=1, most=2**63 - 1),
    )
    if arguments.scale is not None and arguments.width is not None:
        raise InputError("--scale and --width both set the size; give one of them")
    if arguments.sharpness is not None and arguments.model is not None:
        raise InputError("--sharpness chooses the net, and so does --model; give one of them")
