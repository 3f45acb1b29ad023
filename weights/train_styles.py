"""Trains the shipped styles one after the other, and ships a net if it is clearly better than the
current one.

These commands train all in order of priority, one, and all with a GPU:
    python -m weights.train_styles --photos photos/ --paintings paintings/
    python -m weights.train_styles --photos photos/ --paintings paintings/ --styles wave
    python -m weights.train_styles --photos photos/ --paintings paintings/ \\
        --steps 40000 --batch-size 4

`multi` is one net of all these styles. It is trained first, so that each style need not learn again
what the styles share. Each style then starts from its shipped net or from `multi`'s, whichever has
the lower objective on photos not trained on (--held-out), so that many short trainings add up. The
same command resumes what Ctrl-C or a crash left. At the end of a style its objective is compared
with the shipped net's, and weights/styles/NAME.safetensors is replaced if it is lower by --gain or
more. The objective of `multi` is the geometric mean over its styles.

weights/README.md names the photos and paintings; this project draws the stained glass. Run it from
the checkout, with or without the `test` extra.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path
from typing import Any

from jaxpercept import config, errors, images
from jaxpercept.config.options import Option, check
from jaxpercept.errors import InputError
from jaxpercept.images import samples
from jaxpercept.nets import multistyle, shipped
from jaxpercept.runtime import allocator, stopping
from jaxpercept.training import loop
from weights.shipped_styles import FOLDER, MULTI, STARTS, STYLES, judge, judges, ship, start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", required=True, metavar="D", help="folder of the training photos"
    )
    parser.add_argument(
        "--paintings", required=True, metavar="D", help="folder of the style images"
    )
    parser.add_argument(
        "--held-out",
        nargs="+",
        metavar="D",
        help="photos to judge by, or their folders; the more, "
        "the smaller a gain can be told from chance (default: the 4 sample photos)",
    )
    parser.add_argument(
        "--styles",
        nargs="+",
        default=[MULTI, *STYLES],
        choices=[MULTI, *STYLES],
        metavar="NAME",
        help=f"of {MULTI}, {', '.join(STYLES)} (default: all)",
    )
    parser.add_argument(
        "--start",
        default="best",
        metavar="X",
        help="what each starts from: own, its shipped net; "
        f"{MULTI}, its row there; best (default), the better; or a weights file",
    )
    parser.add_argument(
        "--style-layers",
        nargs="+",
        default=list(config.STYLE_LAYERS),
        choices=config.STYLE_LAYERS,
        metavar="L",
        help="train on these alone. Without relu4_3, whose share of the objective is "
        "tiny, a step takes a quarter less; what comes out is judged but not shipped: finish it by "
        "--start FILE, a small --learning-rate and a few steps (default: all four)",
    )
    parser.add_argument(
        "--judge",
        action="store_true",
        help="train nothing: print the objectives of the shipped nets, and of their light ones",
    )
    parser.add_argument(
        "--steps", type=int, default=3000, metavar="N", help="of each (default: 3000)"
    )
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-3, metavar="X", help="(default: 0.001)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="another one for another round (default: 0)",
    )
    parser.add_argument(
        "--precision", default="float32", metavar="X", help="float32 (default) or bfloat16"
    )
    parser.add_argument(
        "--gain",
        type=float,
        default=0.02,
        metavar="X",
        help="to replace a shipped net (default: 0.02)",
    )
    parser.add_argument(
        "--out", default="runs/styles", metavar="DIR", help="(default: runs/styles)"
    )
    given = parser.parse_args()
    check("--gain", given.gain, Option(least=0, below=1))  # TrainConfig checks the other numbers
    if given.start not in STARTS and not Path(given.start).is_file():
        raise InputError(
            f"--start {given.start} is not allowed; {', '.join(STARTS)}, or the path of a weights "
            "file"
        )
    allocator.keep_freed_memory()
    for style in STYLES if MULTI in given.styles else given.styles:
        images.load_image(_painting(style, given))  # reports a missing one now, not hours later
    photos = judges(given.held_out)
    for name in given.styles:
        made = recipe(name, given)
        if given.judge:
            for net in filter(None, (name, shipped.light(name))):
                found = judge(made, FOLDER / f"{net}.safetensors", photos)
                print(f"{net}: {found:.4g}", flush=True)
            continue
        part = dataclasses.replace(made.objective, style_layers=tuple(given.style_layers))
        init = _kept(start(name, made, photos, given.start), Path(made.out))
        try:
            trained = loop.train_whole(dataclasses.replace(made, init=init, objective=part))
        except stopping.Interrupted:
            return  # the same command continues
        ship(name, made, trained, photos, given.gain)


def _kept(init: str | None, out: Path) -> str | None:
    """Returns `init` with a copy of its file for the run to resume from, since the shipped one may
    be replaced."""
    if init is None or Path(init).is_relative_to(out):
        return init
    file, style = multistyle.split(init)
    out.mkdir(parents=True, exist_ok=True)
    copy = shutil.copy(file, out / f"start-{Path(file).name}")
    return f"{copy}:{style}" if style else str(copy)


def recipe(name: str, given: argparse.Namespace) -> config.TrainConfig:
    """Returns one style's training, or that of the net of all: half width, style images of 384
    pixels, TV 1e-5, the learning rate down a cosine, the geometric mean over images, the output
    judged as displayed, photos augmented."""
    net = config.NET_PRESETS["resize"].scaled(0.5)
    own: dict[str, Any] = (
        {"net": net, "style_image": _painting(name, given)}
        if name != MULTI
        else {
            "net": dataclasses.replace(net, styles=len(STYLES)),
            "task": "multistyle",
            "style_images": tuple(_painting(style, given) for style in STYLES),
        }
    )
    weights = config.DEFAULT_WEIGHTS["reference"] | {"tv": 1e-5}
    return config.TrainConfig(
        out=f"{given.out}/{name}-{given.seed}",
        data=(given.photos,),
        style_size=384,
        objective=config.ObjectiveConfig(weights=weights),
        steps=given.steps,
        batch_size=given.batch_size,
        seed=given.seed,
        precision=given.precision,
        learning_rate=given.learning_rate,
        optimizer="muon",
        schedule="cosine",
        average="geometric",
        clip=True,
        augment=True,
        checkpoint_every=250,
        preview_every=250,
        log_every=25,
        **own,
    )


def _painting(name: str, given: argparse.Namespace) -> str:
    if file := STYLES[name]:
        return str(Path(given.paintings) / file)
    drawn = Path(given.out) / f"{name}.png"
    if not drawn.exists():
        images.save_image(drawn, samples.drawn_style())
    return str(drawn)


if __name__ == "__main__":
    errors.reporting(main)
