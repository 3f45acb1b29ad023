"""Compares what bfloat16 costs in quality, and what Muon gains, with the effect of another seed:
four short trainings, judged on other photos.

    python -m benchmarks.quality --data photos/ --out quality.json

Trains float32 with seed 0, float32 with seed 1, bfloat16, and float32 with Muon instead of Adam.
For each it prints the objective (the whole weighted loss, in float32) on held-out photos, the mean
loss of the last 50 steps, and both relative to the first run. The first 32 photos in natural order
are held out. Expected: bfloat16 within 2 % and 3 % of float32.
"""

from __future__ import annotations

import glob
import tempfile
from pathlib import Path

import jax
import numpy as np

from benchmarks import command
from jaxpercept import config, images
from jaxpercept.errors import reporting
from jaxpercept.evaluation.styles import held_out_objective
from jaxpercept.images import samples
from jaxpercept.training import loop, runs

HELD_OUT, LAST = 32, 50
RUNS = (
    ("adam", "float32", 0),
    ("adam", "float32", 1),
    ("adam", "bfloat16", 0),
    ("muon", "float32", 0),
)


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--data", required=True, metavar="FOLDER", help=f"photos, more than {HELD_OUT}"
    )
    parser.add_argument(
        "--style-image", metavar="S", help="default: the stained glass that the project draws"
    )
    parser.add_argument(
        "--steps",
        type=command.COUNT,
        default=300,
        metavar="N",
        help="of each training (default: 300)",
    )
    parser.add_argument(
        "--size", type=command.SIDE, default=64, metavar="N", help="pixels per side (default: 64)"
    )
    parser.add_argument(
        "--width",
        type=command.number(float, above=0, most=8),
        default=0.5,
        metavar="W",
        help="factor on the channels (default: 0.5)",
    )
    parser.add_argument(
        "--schedule",
        default="cosine",
        metavar="X",
        help="cosine (default) ends where chance decides less than with constant",
    )
    parser.add_argument(
        "--learning-rate",
        type=command.number(float, above=0, below=1),
        default=1e-3,
        metavar="X",
        help="of all (default: 0.001)",
    )
    parser.add_argument(
        "--init", metavar="FILE", help="start from a weights file, whose net must have --width"
    )
    parser.add_argument(
        "--out", default="quality.json", metavar="FILE", help="(default: quality.json)"
    )
    given = parser.parse_args()
    files = images.walk_images(Path(given.data), (".jpg", ".jpeg", ".png", ".webp"))
    if len(files) <= HELD_OUT:
        parser.error(f"--data {given.data}: {len(files)} photos; more than {HELD_OUT} are needed")
    photos = images.load_squares(files[:HELD_OUT], given.size)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        style = given.style_image or str(
            images.save_image(Path(scratch) / "style.png", samples.drawn_style())
        )
        for optimizer, precision, seed in RUNS:
            made = config.TrainConfig(
                data=(given.data,),
                exclude=tuple(
                    glob.escape(str(f.relative_to(given.data))) for f in files[:HELD_OUT]
                ),
                style_image=style,
                net=config.NET_PRESETS["resize"].scaled(given.width),
                steps=given.steps,
                image_size=given.size,
                seed=seed,
                precision=precision,
                schedule=given.schedule,
                init=given.init,
                optimizer=optimizer,
                learning_rate=given.learning_rate,
                out=f"{scratch}/{optimizer}-{precision}-{seed}",
                log_every=1,
                preview_every=given.steps,
                checkpoint_every=given.steps,
            )
            weights = loop.train_whole(made)
            losses = runs.read_run(made.out).curve("loss")[1][-LAST:]
            rows.append(
                {
                    "optimizer": optimizer,
                    "precision": precision,
                    "seed": seed,
                    "held_out": held_out_objective(made, weights, photos),
                    "last_steps": float(np.mean(losses)),
                }
            )
    print(f"{'':21} {'seed':>4} {'objective on ' + str(HELD_OUT):>16} {f'last {LAST} steps':>16}")
    for row in rows:
        for name in ("held_out", "last_steps"):
            row[f"{name}_difference"] = row[name] / rows[0][name] - 1
        title, held, last = (
            f"{row['optimizer']} {row['precision']}",
            row["held_out"],
            row["last_steps"],
        )
        print(
            f"{title:21} {row['seed']:4} {held:16.1f} {last:16.1f}"
            f"  {row['held_out_difference']:+.2%} {row['last_steps_difference']:+.2%}"
        )
    settings = {
        "steps": given.steps,
        "size": given.size,
        "width": given.width,
        "schedule": given.schedule,
        "learning_rate": given.learning_rate,
        "init": given.init and Path(given.init).name,
        "device": jax.devices()[0].device_kind,
    }
    command.keep(given.out, {**settings, "runs": rows})


if __name__ == "__main__":
    reporting(main)
