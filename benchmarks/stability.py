"""Measures what each part of --stability's second view gives.

    python -m benchmarks.stability --data photos/ --style-image starry_night.jpg \\
        --init starry_night --clips phone_dog.mp4 bee.mp4 flower.mp4 --from 0 0.668 1.335 \\
        --held-out content/ --json stability.json

Fine-tunes the net with the same steps, photos and schedule: without the term, with noise and
brightness alone, with motion alone, with both, and with both for a term that compares features of
VGG-16 instead of pixels. --kinds leaves some out. Scores each on films, as `evaluate video` does,
and by the objective on photos that it has not seen. --out keeps the runs; the same command
continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks import command, machine
from jaxpercept import config, images
from jaxpercept.cli.film_files import seconds
from jaxpercept.errors import reporting
from jaxpercept.evaluation import video
from jaxpercept.evaluation.styles import held_out_objective
from jaxpercept.losses import motion, objective
from jaxpercept.losses.terms import LossInputs, LossTerm
from jaxpercept.nets import net_file, vgg, weights_file
from jaxpercept.runtime import compilation_cache
from jaxpercept.training import loop
from jaxpercept.training.views import USUAL, Ranges

UNAIDED = "none"  # trains without the term
FEATURES = "features"
KINDS = {
    UNAIDED: USUAL,
    "noise": Ranges(whole=0, shift=0.0, zoom=0.0, turn=0.0, field=0.0),
    "motion": Ranges(noise=0.0, gain=0.0),
    "both": USUAL,
    FEATURES: USUAL,
}
LAYER = "relu2_2"
SIZE = 256
MEASURES = ("lag1", "shift1", "shift4")


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="D", help="training photos")
    parser.add_argument("--style-image", required=True, metavar="FILE", help="the painting")
    parser.add_argument("--init", required=True, metavar="FILE", help="a net or a shipped name")
    parser.add_argument("--clips", nargs="+", required=True, metavar="FILE", help="films to score")
    parser.add_argument(
        "--from", dest="start", nargs="+", default=["0"], metavar="S", help="seconds, per clip"
    )
    parser.add_argument("--held-out", nargs="+", required=True, metavar="D", help="photos to score")
    parser.add_argument(
        "--weight",
        type=command.number(float, least=0),
        default=250,
        metavar="W",
        help="(default: 250)",
    )
    parser.add_argument(
        "--feature-weight",
        type=command.number(float, least=0),
        default=1,
        metavar="W",
        help="of features (default: 1)",
    )
    parser.add_argument(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="K", help="(default: all)"
    )
    parser.add_argument(
        "--steps", type=command.COUNT, default=300, metavar="N", help="(default: 300)"
    )
    parser.add_argument(
        "--out", default="outputs/stability", metavar="DIR", help="(default: outputs/stability)"
    )
    command.add_json(parser)
    given = parser.parse_args()
    if len(given.start) not in (1, len(given.clips)):
        parser.error("--from takes one value, or one for each of --clips")
    compilation_cache.enable()
    starts = [seconds("--from", text) or Fraction(0) for text in given.start]
    init = weights_file.resolve(given.init, "styles")
    photos = images.load_squares(images.list_images(given.held_out), SIZE)
    nets = {"before": init}
    for kind in given.kinds:
        made = _config(given, str(init), kind)
        terms = None
        if kind == FEATURES:
            own = feature_term(given.feature_weight)
            terms = (*objective.make_terms(made.objective), own)
        nets[kind] = loop.train_whole(made, terms, KINDS[kind])
    clips = video.evaluate_video(
        given.clips,
        [str(net) for net in nets.values()],
        start=starts if len(starts) > 1 else starts[0],
        lags=(1,),
    )["clips"]
    unaided = _config(given, str(init), UNAIDED)
    rows: dict[str, Any] = {}
    for kind, net in nets.items():
        rows[kind] = {"objective": held_out_objective(unaided, net, photos)}
        for clip, errors in clips.items():
            rows[kind][Path(clip).stem] = {k: errors[str(net)][k] for k in MEASURES}
        print(kind, json.dumps(rows[kind]), flush=True)
    about = {"steps": given.steps, "weight": given.weight, "photos": len(photos)}
    command.keep(given.json, {**about, "machine": machine.describe(), "nets": rows})


def feature_term(weight: float) -> LossTerm:
    """Returns the mean square difference of the features of two views' pictures, of which one is
    moved along the flow, where that leads inside."""
    phi = vgg.load_vgg16()

    def fn(inputs: LossInputs) -> Array:
        second = inputs.second
        assert second is not None
        moved = motion.warped(inputs.output, second.flow)
        ours, theirs = (vgg.vgg_features(phi, x, LAYER)[LAYER] for x in (second.output, moved))
        seen = motion.inside(second.flow)
        seen = jax.image.resize(seen, (*ours.shape[:3], 1), "nearest")
        return (seen * jnp.square(ours - theirs)).mean((1, 2, 3))

    return LossTerm("feature_stability", fn, weight, second_view=True)


def _config(given: argparse.Namespace, init: str, kind: str) -> config.TrainConfig:
    stability = 0.0 if kind in (UNAIDED, FEATURES) else given.weight
    weights = config.DEFAULT_WEIGHTS["reference"] | {"tv": 1e-5, "stability": stability}
    return config.TrainConfig(
        data=tuple(given.data),
        style_images=(given.style_image,),
        style_size=384,
        net=net_file.load(init)[0],
        init=init,
        objective=config.ObjectiveConfig(weights=weights),
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


if __name__ == "__main__":
    reporting(main)
