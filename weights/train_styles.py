"""Trains the shipped styles one after the other, and ships a net that is clearly better than the one here.

    python -m weights.train_styles --photos photos/ --paintings paintings/                   # all, in order of priority
    python -m weights.train_styles --photos photos/ --paintings paintings/ --styles wave     # one
    python -m weights.train_styles --photos photos/ --paintings paintings/ --steps 40000 --batch-size 4    # with a GPU

Each style starts from its shipped net, or from the nearest one, so that the steps of many short trainings add up. The
same command resumes what Ctrl-C or a crash left. At the end of a style its objective on the sample photos is compared
with the shipped net's, and weights/styles/NAME.safetensors replaced where it is lower by --gain or more. `multi` is one
net of all these styles; its objective is the geometric mean over them.

Photos and paintings are named in weights/README.md; the stained glass is drawn by this project. Run it from the
checkout, with the `test` extra or without.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import held_out_objective
from jaxpercept import allocator, config, images, multistyle, samples, training, weights_file

# In order of priority: name, file of the style image ("" is drawn), shipped net to start from.
STYLES = {
    "starry_night": ("starry_night.jpg", "starry_night"),
    "wave": ("wave.jpg", "wave"),
    "stained_glass": ("", "starry_night"),
    "composition_vii": ("composition_vii.jpg", "starry_night"),
    "the_scream": ("the_scream.jpg", "starry_night"),
    "udnie": ("udnie.jpg", "wave"),
}
MULTI = "multi"
FOLDER = Path(__file__).resolve().parent / "styles"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, metavar="D", help="folder of the training photos")
    parser.add_argument("--paintings", required=True, metavar="D", help="folder of the style images")
    parser.add_argument("--styles", nargs="+", default=[*STYLES, MULTI], choices=[*STYLES, MULTI], metavar="NAME",
                        help=f"of {', '.join(STYLES)}, {MULTI} (default: all)")  # fmt: skip
    parser.add_argument("--steps", type=int, default=3000, metavar="N", help="of each (default: 3000)")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another one for another round (default: 0)")
    parser.add_argument("--precision", default="float32", metavar="X", help="float32 (default) or bfloat16")
    parser.add_argument(
        "--gain", type=float, default=0.02, metavar="X", help="to replace a shipped net (default: 0.02)"
    )
    parser.add_argument("--out", default="runs/styles", metavar="DIR", help="(default: runs/styles)")
    given = parser.parse_args()
    allocator.keep_freed_memory()
    photos = np.stack([images.square(photo, 256) for photo in samples.sample_photos().values()])
    for name in given.styles:
        made = recipe(name, given)
        trained = training.train(made)
        ship(name, made, trained, photos, given.gain)


def recipe(name: str, given: argparse.Namespace) -> config.TrainConfig:
    """One style's training, or that of the net of all: half width, style images of 384 pixels, TV 1e-5, the learning
    rate down a cosine."""
    start = STYLES[name][1] if name != MULTI else next(iter(STYLES))
    starts = [path for n in (name, start) if (path := FOLDER / f"{n}.safetensors").exists()]
    net = config.NET_PRESETS["resize"].scaled(0.5)
    own: dict[str, Any] = {"net": net, "style_image": _painting(name, given)} if name != MULTI else {
        "net": dataclasses.replace(net, styles=len(STYLES)), "task": "multistyle",
        "style_images": tuple(_painting(style, given) for style in STYLES),
    }  # fmt: skip
    weights = config.DEFAULT_WEIGHTS["reference"] | {"tv": 1e-5}
    return config.TrainConfig(
        out=f"{given.out}/{name}-{given.seed}", data=(given.photos,), style_size=384,
        objective=config.ObjectiveConfig(weights=weights),
        steps=given.steps, batch_size=given.batch_size, seed=given.seed, precision=given.precision,
        optimizer="muon", schedule="cosine", checkpoint_every=250, preview_every=250, log_every=25,
        init=str(starts[0]) if starts else None, **own,
    )  # fmt: skip


def _painting(name: str, given: argparse.Namespace) -> str:
    if file := STYLES[name][0]:
        return str(Path(given.paintings) / file)
    drawn = Path(given.out) / f"{name}.png"
    if not drawn.exists():
        images.save_image(drawn, samples.drawn_style())
    return str(drawn)


def judge(made: config.TrainConfig, weights: Path, photos: np.ndarray) -> float:
    """The objective on the photos; of several styles, the geometric mean, with each printed."""
    if not made.style_images:
        return held_out_objective(made, weights, photos)
    names = multistyle.names(weights_file.read_header(weights))
    found = []
    for name, file in zip(STYLES, made.style_images, strict=True):
        alone = dataclasses.replace(made, task="style", style_image=file, style_images=())
        found.append(held_out_objective(alone, weights, photos, multistyle.row({name: 1.0}, names)))
        single = FOLDER / f"{name}.safetensors"
        beside = f", {held_out_objective(alone, single, photos):.4g} by its own net" if single.exists() else ""
        print(f"{weights}: {name} {found[-1]:.4g}{beside}", flush=True)
    return float(np.exp(np.mean(np.log(found))))


def ship(name: str, made: config.TrainConfig, trained: Path, photos: np.ndarray, gain: float) -> None:
    """Puts the trained net in place of the shipped one if its objective on the photos is lower by the share `gain`."""
    shipped = FOLDER / f"{name}.safetensors"
    now = judge(made, trained, photos)
    before = judge(made, shipped, photos) if shipped.exists() else float("inf")
    print(f"{name}: {now:.4g} on the sample photos, {before:.4g} as shipped", flush=True)
    if now > before * (1 - gain):
        print(f"{name}: the shipped net stays; the new one is {trained}", flush=True)
        return
    arrays, header = weights_file.read_weights(trained)
    weights_file.write_weights(shipped, arrays, _public(header))
    print(f"{name}: shipped; sha256 {weights_file.sha256(shipped)}, for weights/README.md", flush=True)


def _public(header: dict[str, Any]) -> dict[str, Any]:
    """A header without this machine's paths: files and folders by their own name."""
    about = header["training"]
    made = dict(about["config"])
    made |= {key: Path(made[key]).name for key in ("style_image", "init", "out") if made.get(key)}
    made["style_images"] = [Path(file).name for file in made.get("style_images", ())]
    made["data"] = ["photos"]
    return header | {"training": about | {"config": made, "data": about["data"] | {"sources": ["photos"]}}}


if __name__ == "__main__":
    main()
