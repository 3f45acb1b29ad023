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
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import config, errors, images
from jaxpercept.errors import InputError
from jaxpercept.evaluation.styles import held_out_objective
from jaxpercept.images import samples
from jaxpercept.nets import multistyle, shipped, weights_file
from jaxpercept.runtime import allocator, stopping
from jaxpercept.training import loop

# In order of priority: the name and the file of the style image ("" is drawn).
STYLES = {
    "starry_night": "starry_night.jpg",
    "wave": "wave.jpg",
    "stained_glass": "",
    "composition_vii": "composition_vii.jpg",
    "the_scream": "the_scream.jpg",
    "udnie": "udnie.jpg",
}
MULTI = "multi"
STARTS = ("best", "own", MULTI)  # or a weights file
FOLDER = Path(__file__).resolve().parent / "styles"


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


def judges(held_out: list[str] | None) -> np.ndarray:
    """Returns the photos to judge by, (N, 256, 256, 3): the given files and folders, or the sample
    photos."""
    if held_out:
        return images.load_squares(images.list_images(held_out), 256)
    return np.stack([images.square(photo, 256) for photo in samples.sample_photos().values()])


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


def start(
    name: str, made: config.TrainConfig, photos: np.ndarray, which: str = "best"
) -> str | None:
    """Returns what the training starts from, as `--init` takes it. A resumed training keeps its
    start. `which`: see `--start`."""
    if (begun := Path(made.out) / "config.json").exists():
        return json.loads(begun.read_text())["init"]
    if which not in STARTS:
        return which
    own, multi = FOLDER / f"{name}.safetensors", FOLDER / f"{MULTI}.safetensors"
    if name == MULTI:
        found = [
            path for path in (own, FOLDER / f"{next(iter(STYLES))}.safetensors") if path.exists()
        ]
        return str(found[0]) if found else None
    starts: dict[str, float] = {}
    if own.exists() and which != MULTI:
        starts[str(own)] = held_out_objective(made, own, photos)
    if (
        multi.exists()
        and which != "own"
        and name in (known := multistyle.names(weights_file.read_header(multi)))
    ):
        starts[f"{multi}:{name}"] = held_out_objective(
            made, multi, photos, multistyle.row({name: 1.0}, known)
        )
    if which == MULTI and not starts:
        raise InputError(
            f"--start {MULTI}: {multi} has no style {name}; train {MULTI} first, or give --start "
            "best"
        )
    print(
        f"{name}: "
        + ", ".join(f"{value:.4g} by {Path(file).name}" for file, value in starts.items()),
        flush=True,
    )
    return min(starts, key=lambda file: starts[file]) if starts else None


def _painting(name: str, given: argparse.Namespace) -> str:
    if file := STYLES[name]:
        return str(Path(given.paintings) / file)
    drawn = Path(given.out) / f"{name}.png"
    if not drawn.exists():
        images.save_image(drawn, samples.drawn_style())
    return str(drawn)


def judge(made: config.TrainConfig, weights: Path, photos: np.ndarray) -> float:
    """Returns the objective on the photos. For several styles it is the geometric mean, and each is
    printed."""
    if made.task != "multistyle":
        return held_out_objective(made, weights, photos)
    names = multistyle.names(weights_file.read_header(weights))
    found = []
    for name, file in zip(STYLES, made.style_images, strict=True):
        alone = dataclasses.replace(made, task="style", style_image=file, style_images=())
        found.append(held_out_objective(alone, weights, photos, multistyle.row({name: 1.0}, names)))
        single = FOLDER / f"{name}.safetensors"
        beside = (
            f", {held_out_objective(alone, single, photos):.4g} by its own net"
            if single.exists()
            else ""
        )
        print(f"{weights.name}: {name} {found[-1]:.4g}{beside}", flush=True)
    return float(np.exp(np.mean(np.log(found))))


def ship(
    name: str, made: config.TrainConfig, trained: Path, photos: np.ndarray, gain: float
) -> None:
    """Replaces the shipped net by the trained one if the objective on the photos is lower by the
    share `gain`."""
    current = FOLDER / f"{name}.safetensors"
    now = judge(made, trained, photos)
    before = judge(made, current, photos) if current.exists() else float("inf")
    print(f"{name}: {now:.4g} on photos not trained on, {before:.4g} as shipped", flush=True)
    if now > before * (1 - gain):
        print(f"{name}: the shipped net stays; the new one is {trained}", flush=True)
        return
    arrays, header = weights_file.read_weights(trained)
    if set(header["training"]["config"]["objective"]["style_layers"]) != set(config.STYLE_LAYERS):
        print(
            f"{name}: not trained on all style layers, so not shipped; finish it: --start "
            f"{trained}",
            flush=True,
        )
        return
    weights_file.write_weights(current, arrays, _public(header))
    print(
        f"{name}: shipped; sha256 {weights_file.sha256(current)}, for weights/README.md", flush=True
    )


def _public(header: dict[str, Any]) -> dict[str, Any]:
    """Returns a header without this machine's paths: files and folders by their own name."""
    about = header["training"]
    made = dict(about["config"])
    made |= {key: Path(made[key]).name for key in ("init", "out") if made.get(key)}
    made["style_images"] = [Path(file).name for file in made.get("style_images", ())]
    made["data"] = ["photos"]
    return header | {
        "training": about | {"config": made, "data": about["data"] | {"sources": ["photos"]}}
    }


if __name__ == "__main__":
    errors.reporting(main)
