"""Enlarge images by a trained super-resolution net: files, folders and patterns.

Outputs are exactly N times as large, transparency is kept, and each channel's histogram is matched
to the input's, as in the paper. -o with an image suffix names the one file; else it is a folder,
and each output is called IMAGE_MODEL with the input's suffix. Large images are done in overlapping
tiles, with the same result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxpercept.cli import runtimes
from jaxpercept.cli.outputs import add_written, chosen_suffix, ending, find, namer, say, title
from jaxpercept.config import PRECISIONS, SCALES, choose
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file

EPILOG = """examples:
  python infer.py upscale small.png --scale 4 -o large.png
  python infer.py upscale photos/ 'more/*.png' --model runs/x4/model.safetensors -o enlarged/

Exit status: 0 all done, 1 some images failed, 2 nothing could be done."""
_DEFAULT_SCALE = 4


def add(parser: argparse.ArgumentParser) -> None:
    """Fills the `upscale` command."""
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="image files, folders (searched, nested), patterns, or - for standard input",
    )
    parser.add_argument(
        "--scale",
        type=int,
        metavar="N",
        help=f"2, 4 or 8 (default: the model's; {_DEFAULT_SCALE} without --model)",
    )
    parser.add_argument(
        "--model",
        metavar="M",
        help="shipped name or weights file (default: the first of that scale)",
    )
    parser.add_argument(
        "-o",
        "--out",
        default="outputs",
        metavar="OUT",
        help="file or folder, or - for standard output (default: outputs)",
    )
    parser.add_argument(
        "--no-match-histogram",
        dest="match",
        action="store_false",
        help="keep the net's own colours",
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="N",
        help="input pixels a side of tiles, 0 for none (default: by the image's size)",
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=400_000_000,
        metavar="N",
        help="refuse larger results (default: %(default)s)",
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="go on where an earlier run was stopped"
    )
    parser.add_argument(
        "--precision", default="float32", metavar="X", help="float32 or bfloat16 (default: float32)"
    )
    runtimes.add(parser)
    add_written(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """`upscale`: 0, or 1 when some of several images failed. Raises InputError when none could be
    done."""
    scale = arguments.scale
    if scale is not None:
        choose("scale", scale, SCALES)
    choose("--precision", arguments.precision, PRECISIONS)
    runtimes.check(arguments)
    if arguments.tile is not None and arguments.tile < 16 and arguments.tile != 0:
        raise InputError(f"--tile {arguments.tile} is not allowed; at least 16, or 0 for no tiles")
    if arguments.max_pixels < 1:
        raise InputError(f"--max-pixels {arguments.max_pixels} is not allowed; at least 1")
    if not arguments.inputs:
        raise InputError(
            "no input image; give files, folders or patterns, as in: upscale small.png --scale 4"
        )
    if arguments.model is not None:
        weights_file.resolve(arguments.model, "superres")
    suffix = chosen_suffix(arguments)
    missing: list[str] = []
    sources = find(arguments.inputs, missing)
    paths = list(sources)
    name_output = namer(paths, 1, Path(arguments.out), suffix)
    from jaxpercept import images
    from jaxpercept.inference import upscaling
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import Task, process
    from jaxpercept.inference.treatment import Treatment
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    chosen = arguments.model or upscaling.default_model(scale or _DEFAULT_SCALE)
    model = upscaling.load_upscaler(chosen, scale, precision=arguments.precision)
    factor = f"x{model.config.scale}"
    label = model.name if factor in model.name else f"{factor}-{model.name}"
    tasks = [
        Task(source, title(path), name_output(path, label), suffix or images.written_suffix(path))
        for path, source in sources.items()
    ]
    how = Treatment(
        max_pixels=arguments.max_pixels,
        tile=arguments.tile,
        match_histogram=arguments.match,
        keep_grey=True,
        quality=arguments.quality,
        strip=arguments.strip,
    )
    (net,) = runtimes.chosen(arguments, [model])
    job = process(tasks, how, net, Job(len(tasks), say), skip_existing=arguments.skip_existing)
    return ending(job, missing, len(missing) + len(paths))
