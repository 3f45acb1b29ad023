"""The `gallery` command: writes a page of photos × styles."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from jaxpercept.cli import options, styles, stylize
from jaxpercept.cli.outputs import ending, say
from jaxpercept.cli.writable import check_folder
from jaxpercept.errors import counted
from jaxpercept.nets import shipped

DESCRIPTION = """Write a page that shows every photo in every style.

Pictures are small on the page, with the full size behind a link. They hold no camera,
place or date, so that the page can be published. It needs no server."""

EPILOG = """examples:
  python -m jaxpercept gallery photos/ -o gallery/
  python -m jaxpercept gallery photos/ -o gallery/ --style runs/mine/model.safetensors --size 800"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `gallery` command."""
    parser = commands.add_parser(
        "gallery",
        help="make a page that shows photos in styles",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTO", help="image files, folders (searched) or patterns"
    )
    parser.add_argument(
        "-o", "--out", default="gallery", metavar="OUT", help="folder to write (default: gallery)"
    )
    parser.add_argument(
        "--style",
        nargs="+",
        action="extend",
        metavar="STYLE",
        help="as in `stylize` (default: the shipped nets of one style)",
    )
    stylize.add_sizes(parser)
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="S", help="as in `stylize` (default: 1)"
    )
    parser.add_argument(
        "--preserve-color",
        action="store_true",
        help="keep the photo's colours and change only its luminance",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs `gallery`. Returns 0, or 1 if some photos failed. Raises InputError if all failed."""
    options.check(arguments, **{name: stylize.LIMITS[name] for name in ("size", "max_pixels")})
    keyed = styles.expanded(styles.chosen(arguments.style, shipped.singles()))
    out = Path(arguments.out)
    check_folder(out)
    from jaxpercept import images
    from jaxpercept.inference import strokes
    from jaxpercept.inference.treatment import Treatment

    how = Treatment(
        size=arguments.size,
        stroke=strokes.wanted(arguments.stroke),
        max_pixels=arguments.max_pixels,
        strength=arguments.strength,
        keep_color=arguments.preserve_color,
    )
    missing: list[str] = []
    left_out: Counter[str] = Counter()
    written = [out, out / "pictures", out / "small"]
    found = images.find_images(arguments.photos, missing, left_out, written)
    photos = [one.path for one in found]
    if left_line := images.left_out_line(left_out):
        say(left_line)
    for line in missing:
        say(f"error: {line}")
    from jaxpercept.interop.web import gallery
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    models = styles.loaded([*keyed.values()])
    job = gallery.write(out, photos, models, how=how, progress=say, flags=arguments.flags)
    status = ending(job, missing, len(missing) + len(photos))
    say(f"{out / 'index.html'}: {counted(len(models), 'style')}")
    return status
