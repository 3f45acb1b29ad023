"""Shows a large photo in one style: with larger strokes, enlarged by our net or by bicubic
interpolation, and with the net's own strokes. The top row is at screen size, the bottom at 100 %.

    python examples/compare_strokes.py photo.jpg -o strokes.jpg --style wave --at 0.5 0.4
"""

import argparse
from pathlib import Path

import numpy as np

from jaxpercept import images
from jaxpercept.config.options import Option, check
from jaxpercept.errors import InputError, reporting
from jaxpercept.inference import strokes, tiles
from jaxpercept.inference.model import load_model


def painted(photo, model):
    """Returns what the net makes of the photo (H, W, 3), uint8: three pictures of its size, by
    name."""
    height, width = photo.shape[:2]
    least = model.config.least_side
    seen = strokes.reduced(photo, strokes.seen_size(None, height, width, least))
    output = tiles.run(model, images.grain(seen, model.grain))
    return {
        "--stroke auto": strokes.to_size(output, height, width),
        "the same, enlarged by bicubic": images.resize(output, (height, width), method="bicubic"),
        "--stroke 1": tiles.run(model, images.grain(photo, model.grain)),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", help="the photo")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the sheet")
    parser.add_argument("--style", default="wave", help="(default: wave)")
    parser.add_argument("--side", type=int, default=360, help="width of each picture in pixels")
    parser.add_argument(
        "--at",
        type=float,
        nargs=2,
        default=(0.5, 0.5),
        metavar=("X", "Y"),
        help="middle of the part",
    )
    given = parser.parse_args(arguments)
    check("--side", given.side, Option(least=1))
    for share in given.at:
        check("--at", share, Option(least=0, most=1))
    photo, model = images.load_uint8(given.photo), load_model(given.style)
    height, width = photo.shape[:2]
    if min(height, width) < (least := model.config.least_side):
        raise InputError(
            f"{given.photo}: {width}x{height} is too small; give at least {least} pixels per side"
        )
    pictures = painted(photo, model)
    side = min(given.side, height, width)
    left, top = (
        int(min(max(share * size - side / 2, 0), size - side))
        for share, size in zip(given.at, (width, height), strict=True)
    )
    part = np.s_[top : top + side, left : left + side]
    shown = [images.resize(x, round(side * height / width), "short") for x in pictures.values()]
    rows = [shown, [x[part] for x in pictures.values()]]
    sheet = images.contact_sheet(rows, column_labels=list(pictures))
    print(images.save_image(given.out, sheet, quality=85))


if __name__ == "__main__":
    reporting(main)
