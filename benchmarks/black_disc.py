"""Measures whether style nets keep large black areas dark.

    python -m benchmarks.black_disc --data photos/ --style wave starry_night --json black_disc.json

Draws a black disc into the middle of each photo. Reports the mean luma (0 to 1) of the net's
picture inside the disc, away from its edge, and outside. With --style-images, it also optimises the
first photo by L-BFGS on each net's own objective, from noise. That shows whether a pale disc is the
net's choice or the objective's.
"""

from __future__ import annotations

import json
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks import command, machine
from jaxpercept import images
from jaxpercept.errors import reporting
from jaxpercept.evaluation.reproduce import lab, measure
from jaxpercept.images import Float
from jaxpercept.inference.model import load_model
from jaxpercept.losses import functions as losses
from jaxpercept.nets import vgg
from jaxpercept.runtime import compilation_cache
from jaxpercept.synthesis.run import score, synthesize

RADIUS, INSIDE = 0.29, 0.23  # of the photo's side: the disc, and the part that is measured


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="D", help="photos or folders")
    parser.add_argument(
        "--style", nargs="+", required=True, metavar="S", help="shipped names or weights files"
    )
    parser.add_argument(
        "--style-images", nargs="+", default=[], metavar="D", help="paintings, to optimise as well"
    )
    parser.add_argument(
        "--size", type=command.SIDE, default=256, metavar="N", help="(default: 256)"
    )
    parser.add_argument(
        "--iterations", type=command.COUNT, default=50, metavar="N", help="(default: 50)"
    )
    command.add_json(parser)
    given = parser.parse_args()
    compilation_cache.enable()
    squares = images.load_squares(images.list_images(given.data), given.size)
    photos = [with_disc(photo) for photo in squares]
    rows: dict[str, Any] = {}
    for name in given.style:
        net = load_model(name)
        lumas = [luma(np.asarray(net(photo[None]))[0]) for photo in photos]
        rows[name] = dict(zip(("inside", "outside"), np.mean(lumas, 0).tolist(), strict=True))
        if given.style_images:
            rows[name] |= optimised(name, tuple(given.style_images), photos[0], given.iterations)
        print(name, json.dumps(rows[name]), flush=True)
    about = {"size": given.size, "photos": len(photos), "machine": machine.describe()}
    command.keep(given.json, {**about, "styles": rows})


def with_disc(photo: Float) -> Float:
    """Returns the photo with a black disc in its middle."""
    return np.where(_from_middle(photo)[..., None] < RADIUS, np.float32(0), photo)


def luma(picture: Float) -> tuple[float, float]:
    """Returns the mean luma inside and outside the disc."""
    values, apart = _luma(picture), _from_middle(picture)
    return float(values[apart < INSIDE].mean()), float(values[apart > RADIUS].mean())


def optimised(name: str, folders: tuple[str, ...], photo: Float, iterations: int) -> dict[str, Any]:
    """Returns the luma of the optimised picture, and the objective of three pictures: the net's,
    the optimised one, and the net's with a disc in the darkest colour of the painting (the mean of
    its darkest hundredth)."""
    style = lab.trained_style(name, folders)
    phi = vgg.load_vgg16(style.vgg)
    made = measure.optimisation(style, iterations, init="noise", clip=True, seed=0)
    picture = synthesize(made, [photo], [style.image], vgg_params=phi).images[0]
    net = np.asarray(style.model(photo[None]))[0]
    shades = style.image.reshape(-1, 3)
    dark = shades[_luma(shades).argsort()[: len(shades) // 100]].mean(0)
    darkened = np.where((_from_middle(net) < RADIUS)[..., None], dark, net)
    terms = score(made, [net, picture, darkened], [photo] * 3, [style.image], vgg_params=phi)
    inside, outside = luma(picture)
    return {
        "optimised": {"inside": inside, "outside": outside, "iterations": iterations},
        "objective": dict(
            zip(("net", "optimised", "darkened"), map(float, terms["loss"]), strict=True)
        ),
    }


def _luma(rgb: Float) -> Float:
    return np.asarray(losses.luma(jnp.asarray(rgb)))[..., 0]


def _from_middle(photo: Float) -> Float:
    """Returns each pixel's distance from the middle, as a share of the side."""
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.hypot(rows / height - 0.5, columns / width - 0.5)


if __name__ == "__main__":
    reporting(main)
