"""Measures what each part of --stability's second view gives.

    python -m benchmarks.stability --data photos/ --style-image starry_night.jpg \\
        --init starry_night --clips phone_dog.mp4 bee.mp4 flower.mp4 --from 0 0.668 1.335 \\
        --held-out content/ --json stability.json

Fine-tunes the net with the same steps, photos and schedule: without the term, with noise and
brightness alone, with motion alone, and with both. Scores each on films, as `evaluate video` does,
and by the objective on photos that it has not seen. --out keeps the runs; the same command
continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks import machine
from jaxpercept import config, images
from jaxpercept.evaluation import video
from jaxpercept.evaluation.styles import held_out_objective
from jaxpercept.nets import net_file, weights_file
from jaxpercept.runtime import compilation_cache
from jaxpercept.training import loop, views

STILL = {"WHOLE": 0, "SHIFT": 0.0, "ZOOM": 0.0, "TURN": 0.0, "FIELD": 0.0}
CLEAN = {"NOISE": 0.0, "GAIN": 0.0}
# The constants of `views` that each kind sets; None trains without the term.
KINDS: dict[str, Mapping[str, float] | None] = {
    "none": None,
    "noise": STILL,
    "motion": CLEAN,
    "both": {"NOISE": views.NOISE},  # as it is
}
SIZE = 256


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", required=True, metavar="D", help="training photos")
    parser.add_argument("--style-image", required=True, metavar="FILE", help="the painting")
    parser.add_argument("--init", required=True, metavar="FILE", help="a net or a shipped name")
    parser.add_argument("--clips", nargs="+", required=True, metavar="FILE", help="films to score")
    parser.add_argument(
        "--from", dest="start", nargs="+", default=["0"], metavar="S", help="seconds, per clip"
    )
    parser.add_argument("--held-out", nargs="+", required=True, metavar="D", help="photos to score")
    parser.add_argument("--weight", type=float, default=250, metavar="W", help="(default: 250)")
    parser.add_argument("--steps", type=int, default=300, metavar="N", help="(default: 300)")
    parser.add_argument(
        "--out", default="outputs/stability", metavar="DIR", help="(default: outputs/stability)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results here as well")
    given = parser.parse_args()
    if len(given.start) not in (1, len(given.clips)):
        parser.error("--from takes one value, or one for each of --clips")
    compilation_cache.enable()
    init = weights_file.resolve(given.init, "styles")
    photos = np.stack(
        [images.square(images.load_image(p), SIZE) for p in images.list_images(given.held_out)]
    )
    rows = {"before": _scores(given, init, photos)}
    for kind, changed in KINDS.items():
        made = _config(given, str(init), kind, given.weight if changed is not None else 0)
        with mock.patch.multiple(views, **dict(changed or KINDS["both"] or {})):
            rows[kind] = _scores(given, loop.train_whole(made), photos)
        print(kind, json.dumps(rows[kind]), flush=True)
    if given.json:
        about = {"steps": given.steps, "weight": given.weight, "photos": len(photos)}
        about |= {"machine": machine.describe()}
        Path(given.json).write_text(json.dumps({**about, "nets": rows}, indent=1) + "\n")


def _config(given: argparse.Namespace, init: str, kind: str, weight: float) -> config.TrainConfig:
    weights = {"content": 1.0, "style": 5.0, "tv": 1e-5}
    return config.TrainConfig(
        data=tuple(given.data),
        style_images=(given.style_image,),
        style_size=384,
        net=net_file.load(init)[0],
        init=init,
        objective=config.ObjectiveConfig(
            weights=weights | ({"stability": weight} if weight else {})
        ),
        steps=given.steps,
        batch_size=1,
        optimizer="muon",
        learning_rate=1e-3,
        schedule="cosine",
        average="geometric",
        clip=True,
        augment=True,
        seed=41,
        out=f"{given.out}/{kind}",
    )


def _scores(given: argparse.Namespace, net: Path, photos: images.Float) -> dict[str, Any]:
    """Returns the objective on the photos, and the errors on each clip."""
    starts = given.start * (len(given.clips) // len(given.start))
    row: dict[str, Any] = {}
    for clip, start in zip(given.clips, starts, strict=True):
        found = video.evaluate_video([clip], [str(net)], start=Fraction(start), lags=(1,))
        (errors,) = found["clips"].values()
        (name,) = (n for n in errors if n != "input")
        row[Path(clip).stem] = {k: errors[name][k] for k in ("lag1", "shift1", "shift4")}
    made = _config(given, str(net), "objective", 0)
    return {"objective": held_out_objective(made, net, photos), **row}


if __name__ == "__main__":
    main()
