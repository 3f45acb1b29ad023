"""Learn a style of your own in a minute, from one picture of it, without data or a GPU.

Only the 1,600 numbers that distinguish one style from another are learned; the shared multi-style
net does not change. RUN/NAME.safetensors holds them (7 kB), and `--style` takes it. With --whole,
all numbers of the net are learned: the pictures are better, above all those of the photos of --on,
and the file has 850 kB. RUN/NAME.jpg shows a photo, the painting, and the net's current output:
open it and watch.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from jaxpercept import files
from jaxpercept.cli import learn_job, options
from jaxpercept.cli.outputs import namer, settled
from jaxpercept.cli.writable import check_folder
from jaxpercept.config.options import Option
from jaxpercept.errors import InputError
from jaxpercept.images.listing import is_inside
from jaxpercept.nets import multistyle, weights_file
from jaxpercept.runtime import stopping

EPILOG = """examples:
  python train.py learn painting.jpg --on photo.jpg             a minute later: the photo, painted
  python train.py learn painting.jpg --whole --on photo.jpg     the best that a minute gives
  python train.py learn painting.jpg --whole --minutes 20 --data photos/   a net for all photos
  python train.py learn drawing.jpg --weights.style 20 --on photo.jpg      more of a faint style
  python train.py learn monet.jpg klee.png --out styles/        one after the other
  python infer.py stylize more/ --style styles/monet.safetensors

Minutes count from the start of the command to the finished pictures. Ctrl-C, SIGTERM and SIGHUP
end the learning early and keep what was learned. A GPU does the same in seconds: give
--minutes 0.2.
Exit status: 0 all done, 1 some photos failed, 2 nothing could be learned."""
_LEAST_SIDE = 32  # pixels of a painting; a style image of 16 has a single value at relu4_3


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `learn` command."""
    parser = commands.add_parser(
        "learn",
        help="learn your own style in a minute, without data",
        description=__doc__,
        epilog=EPILOG,
    )
    parser.add_argument("paintings", nargs="+", metavar="PAINTING", help="pictures of the styles")
    parser.add_argument("--name", help="name of the style (default: the painting's file name)")
    parser.add_argument(
        "--minutes", type=float, default=1.0, metavar="M", help="minutes per painting (default: 1)"
    )
    parser.add_argument(
        "--on",
        nargs="+",
        action="extend",
        default=[],
        metavar="PHOTO",
        help="photos or folders to stylize when the style is learned",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        metavar="DATA",
        help="photos to learn on (default: scikit-image's sample photos and those of --on)",
    )
    parser.add_argument(
        "--out",
        default="runs/learn",
        metavar="RUN",
        help="directory of the run (default: runs/learn)",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="learn all numbers of a net of its own (850 kB), which needs no shared net",
    )
    parser.add_argument(
        "--weights.style",
        dest="style_weight",
        type=float,
        metavar="W",
        help="weight of the style term: more shows more of the painting and less of the photo "
        "(default: that of the shared net; multi has 5)",
    )
    parser.add_argument(
        "--base", default="multi", metavar="NET", help="the shared net (default: multi)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the order of photos (default: 0)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs `learn`. Returns 0, or 1 if some photos could not be stylized. Raises InputError for a
    painting, photo or folder that cannot be used, before any work."""
    options.check(
        arguments,
        minutes=Option(above=0, most=24 * 60),
        style_weight=Option(least=0, most=1e6),
        seed=Option(least=0, most=2**63 - 1),
    )
    if arguments.name is not None and len(arguments.paintings) > 1:
        raise InputError(
            "--name is for a single painting; leave it out, and each style is named after its file"
        )
    base = weights_file.resolve(arguments.base, "styles")
    paintings = [Path(given) for given in arguments.paintings]
    if arguments.name is not None:
        names = [multistyle.style_name(arguments.name, None)]
    else:
        names = [multistyle.style_name(path.stem, path) for path in paintings]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError(f"two paintings would be called {name}; rename one of the files")
    check_folder(arguments.out, "--out")
    from jaxpercept import images

    for path in paintings:
        if min(size := images.size_of(path)) < _LEAST_SIDE:
            raise InputError(
                f"{path}: {size[1]}x{size[0]} is too small to learn a style from; give a picture "
                f"of at least {_LEAST_SIDE} pixels per side"
            )
    out = Path(arguments.out)
    sheets = [out / f"{name}.jpg" for name in names]
    made = [*sheets, *(sheet.with_suffix(weights_file.SUFFIX) for sheet in sheets)]
    _spare(made, [base, *paintings, *map(Path, arguments.data or ())])
    photos = images.find_images(arguments.on, outputs=[out]) if arguments.on else []
    if photos:
        photos = settled(photos, names, namer(photos, len(names), out), sheets)
    with files.reported(out):
        out.mkdir(parents=True, exist_ok=True)  # now, rather than when the time is over
    with stopping.requests("stopping; what was learned is kept") as stopped:
        return learn_job.run(arguments, dict(zip(names, paintings, strict=True)), photos, stopped)


def _spare(made: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raises InputError if a file to be made would replace an input, or a picture in a folder of
    inputs, or if a folder has its name. A picture beside the style of its name is an earlier one of
    ours."""
    given = [os.path.realpath(path) for path in inputs]
    for file in made:
        if file.is_dir():
            raise InputError(
                f"{file} is a folder; give another folder with --out, or another --name"
            )
        place = os.path.realpath(file)
        inside = file.exists() and not file.with_suffix(weights_file.SUFFIX).exists()
        if place in given or (inside and any(is_inside(place, folder) for folder in given)):
            raise InputError(
                f"{file} is an input, and would be replaced by what is learned, or by its picture; "
                "give another folder with --out, or another --name"
            )
