"""Apply trained styles to images: files, folders and patterns, several styles at once.

Every image keeps its size and orientation. If OUT has an image suffix, it is the output file.
Otherwise it is a folder, in which each output is named IMAGE_STYLE with the input's suffix, in the
same subfolder as its input. If the output's suffix differs from the input's, both stay in the name:
x.gif_STYLE.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpercept.cli import options, runtimes, samples, style_sheets, styles
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
from jaxpercept.config import BATCH, MAX_PIXELS
from jaxpercept.config.options import Option
from jaxpercept.errors import InputError
from jaxpercept.nets import shipped

if TYPE_CHECKING:
    from jaxpercept.inference.treatment import Treatment

LIMITS = {
    "size": Option(least=16),
    "max_pixels": Option(least=1, most=2**63 - 1),
    "batch_size": Option(least=1),
    "tile": Option(least=64, zero="none"),
}

EPILOG = """examples:
  python infer.py stylize photo.jpg --style starry_night -o out.jpg
  python infer.py stylize photos/ 'more/*.png' -o styled/ \\
      --style starry_night runs/mine/model.safetensors
  python infer.py stylize photo.jpg --style multi:wave=0.6,starry_night=0.4 -o out.jpg
  python infer.py stylize photo.jpg --style multi:all -o styled/
  python infer.py stylize photo.jpg --style starry_night -o gentle.jpg \\
      --strength 0.6 --preserve-color
  python infer.py stylize --list-styles

Each new image size has to be compiled, which takes time: --size makes a folder of
many sizes cheap. Exit status: 0 all done, 1 some images failed, 2 all failed."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `stylize` command."""
    parser = commands.add_parser(
        "stylize", help="apply trained styles to images", description=__doc__, epilog=EPILOG
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="image files, folders (searched, nested), patterns, or - for standard input",
    )
    add_controls(parser)
    parser.add_argument(
        "--list-styles",
        action="store_true",
        help="print the shipped styles and the works that they follow",
    )
    add_written(parser)
    parser.set_defaults(run=run)


def add_controls(parser: argparse.ArgumentParser) -> None:
    """Adds the options of how images are stylized."""
    parser.add_argument(
        "--style",
        nargs="+",
        action="extend",
        metavar="STYLE",
        help="shipped names or weights files; for a net of several styles FILE:NAME, a blend "
        "FILE:NAME=WEIGHT,NAME=WEIGHT (weights are divided by their sum), or FILE:all, which "
        "applies every style and adds a sheet per image (default: the first of --list-styles)",
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        metavar="S",
        help="share of the style in a mixture with the photo, 0 to 1 (default: 1)",
    )
    parser.add_argument(
        "--preserve-color",
        action="store_true",
        help="keep the photo's colours and change only its luminance",
    )
    parser.add_argument(
        "--grain",
        type=float,
        metavar="X",
        help="noise under the photo, 0 to 1; it gives strokes to surfaces of one colour (default: "
        "the net's own: 0.01, too faint to see, for nets trained here, otherwise 0)",
    )
    add_sizes(parser)
    parser.add_argument(
        "--batch-size",
        type=int,
        default=BATCH,
        metavar="N",
        help="number of images of equal size processed at once (default: %(default)s)",
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PX",
        help="work in tiles of this side in pixels, with the whole image's statistics; the "
        "picture is the same and needs little memory, but takes several times as long (default: "
        "tiles of 768 if memory is short; 0: never)",
    )
    runtimes.add(parser)


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Adds the options that decide how many pixels are read and made, which errors name."""
    parser.add_argument(
        "--stroke",
        default="auto",
        metavar="F",
        help="size of the strokes: auto, as on a picture of 800 pixels; or a factor from 1 (the "
        "net's own size) to 32 (default: auto)",
    )
    parser.add_argument(
        "--size", type=int, metavar="N", help="scale the image to this longer side first"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help="refuse images with more pixels, in the file or on the way to the result: a --stroke "
        "a little above 1 makes the image up to four times as long first (default: %(default)s)",
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises InputError for a value of these options that is not allowed."""
    options.check(arguments, **LIMITS)
    runtimes.check(arguments)


def treatment(arguments: argparse.Namespace) -> Treatment:
    """Returns what these options do to an image before and after the net."""
    from jaxpercept.inference import strokes
    from jaxpercept.inference.treatment import Treatment

    return Treatment(
        size=arguments.size,
        stroke=strokes.wanted(arguments.stroke),
        max_pixels=arguments.max_pixels,
        grain=arguments.grain,
        tile=arguments.tile,
        strength=arguments.strength,
        keep_color=arguments.preserve_color,
        quality=arguments.quality,
        strip=arguments.strip,
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs `stylize`. Returns 0, or 1 if some of several images failed. Raises InputError if all
    failed."""
    if arguments.list_styles:
        return samples.list_styles()
    check(arguments)
    if not arguments.inputs:
        raise InputError(
            "no input image; give files, folders or patterns, as in: stylize photo.jpg -o out.jpg"
        )
    given = styles.chosen(arguments.style, shipped.styles()[:1])
    keyed = styles.expanded(given)
    how = treatment(arguments)
    suffix = chosen_suffix(arguments)
    missing: list[str] = []
    sources = find(arguments.inputs, missing, Path(arguments.out))
    name_output = namer([*sources], len(keyed), Path(arguments.out), suffix)
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import process
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    models = styles.loaded([*keyed.values()], arguments.precision)
    named = dict(zip(keyed, (model.name for model in models), strict=True))
    sheets = style_sheets.labels(given, named)
    inputs = settled(sources, [*named.values(), *sheets], name_output)
    job = Job(len(inputs) * len(models), say, arguments.flags)
    for model in runtimes.chosen(arguments, models):
        process(
            tasks(sources, inputs, model.name, name_output, suffix),
            how,
            model,
            job,
            batch_size=arguments.batch_size,
            skip_existing=arguments.skip_existing,
        )
    for label, chosen in sheets.items():
        finished = {found: sources[found] for found in inputs}
        style_sheets.write(finished, chosen, arguments.max_pixels, name_output, label, job)
    return ending(job, missing, len(missing) + len(inputs))
