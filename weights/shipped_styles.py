"""The shipped styles: how nets are judged, which one a training starts from, and which replaces
another.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import config, images
from jaxpercept.errors import InputError
from jaxpercept.evaluation.styles import held_out_objective
from jaxpercept.images import samples
from jaxpercept.nets import multistyle, weights_file

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


def judges(held_out: list[str] | None) -> np.ndarray:
    """Returns the photos to judge by, (N, 256, 256, 3): the given files and folders, or the sample
    photos."""
    if held_out:
        return images.load_squares(images.list_images(held_out), 256)
    return np.stack([images.square(photo, 256) for photo in samples.sample_photos().values()])


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
