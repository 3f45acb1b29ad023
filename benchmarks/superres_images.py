"""Measures how the PSNR of a super-resolution net grows with the number of its training images.

    python -m benchmarks.superres_images --data photos/ --test Set5/ Set14/ --json images.json

Trains a fresh ×4 pixel net on the first 1, 10, 50, 100 and 305 photos of a shuffled list, so that
each set contains the smaller ones. All trainings have the same steps, batches and schedule. The
score on the training images themselves shows how far a net has learned them by heart. --out keeps
the runs; the same command continues where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command, machine
from jaxpercept import config, images
from jaxpercept.errors import reporting
from jaxpercept.evaluation import superres
from jaxpercept.training import loop

SCALE = 4
SEEN = 10  # training images on which a net is scored


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="D", help="folders of training photos"
    )
    parser.add_argument(
        "--test", nargs="+", required=True, metavar="D", help="folders of test images"
    )
    parser.add_argument(
        "--images",
        nargs="+",
        type=command.COUNT,
        default=[1, 10, 50, 100, 305],
        metavar="N",
        help="numbers of training images (default: 1 10 50 100 305)",
    )
    parser.add_argument(
        "--steps",
        type=command.COUNT,
        default=2000,
        metavar="N",
        help="of each training (default: 2000)",
    )
    parser.add_argument("--seed", type=command.SEED, default=0, metavar="N", help="(default: 0)")
    parser.add_argument(
        "--out",
        default="outputs/superres-images",
        metavar="DIR",
        help="folder of the runs (default: outputs/superres-images)",
    )
    command.add_json(parser)
    given = parser.parse_args()
    photos = images.list_images(given.data)
    if len(photos) < max(given.images):
        parser.error(f"--data has {len(photos)} photos; {max(given.images)} are needed")
    order = np.random.default_rng(given.seed).permutation(len(photos))
    rows = []
    for count in given.images:
        seen = [photos[i] for i in order[:count]]
        net = _trained(given, count, seen)
        row: dict[str, Any] = {"images": count, "training": _psnr(net, seen[:SEEN])}
        row |= {Path(folder).name: _psnr(net, [folder]) for folder in given.test}
        rows.append(row)
        scores = (
            f"{k} {v['psnr']:.2f} ({v['gain']:+.2f})" for k, v in row.items() if k != "images"
        )
        print(f"{count} images: {', '.join(scores)}", flush=True)
    about = {
        "steps": given.steps,
        "photos": len(photos),
        "seed": given.seed,
        "machine": machine.describe(),
    }
    command.keep(given.json, {**about, "psnr": rows})


def _trained(given: argparse.Namespace, count: int, photos: Sequence[Path]) -> Path:
    """Returns the weights file of the net that was trained on these photos."""
    folder = Path(given.out) / f"{count}-photos"
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        link = folder / f"{photo.parent.name}-{photo.name}"
        if not link.is_symlink():
            link.symlink_to(photo.absolute())
    made = config.TrainConfig(
        **config.superres_recipe(SCALE, "gated", "pixel")
        | {
            "data": (str(folder),),
            "steps": given.steps,
            "optimizer": "muon",
            "weight_decay": 0.1,
            "learning_rate": 3e-3,
            "seed": given.seed,
            "out": f"{given.out}/{count}",
        }
    )
    return loop.train_whole(made)


def _psnr(net: Path, photos: Sequence[str | Path]) -> dict[str, float]:
    """Returns the mean PSNR of the net, and its gain over bicubic interpolation."""
    found = superres.evaluate_superres(photos, SCALE, [net], match=[False])["models"]
    net_psnr, bicubic = (found[name]["psnr"] for name in (net.stem, "bicubic"))
    return {"psnr": net_psnr, "gain": net_psnr - bicubic}


if __name__ == "__main__":
    reporting(main)
