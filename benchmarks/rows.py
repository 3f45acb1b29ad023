"""The rows that are timed. Weights are random, of full width, seed 0, since speed does not depend
on their values.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jaxpercept import config


@dataclass(frozen=True)
class Row:
    """`kind` is a net's output ("style", "superres"), φ's features ("vgg"), the objective's value
    and gradient at an image ("gradient", an evaluation of the optimiser), or a whole training step
    ("train-style", "train-superres"). `size` is the side of the square input, or in training of the
    square target."""

    kind: str
    size: int
    batch: int = 1

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.size}-b{self.batch}"

    @property
    def training(self) -> bool:
        return self.kind.startswith("train")

    @property
    def upscales(self) -> bool:
        return self.kind.endswith("superres")


ROWS = {
    row.name: row
    for row in (
        *(Row("style", size, batch) for batch in (1, 4) for size in (256, 512, 1024)),
        Row("superres", 128),
        Row("vgg", 256),
        Row("gradient", 256),
        Row("train-style", 256, 1),
        Row("train-style", 256, 4),
        Row("train-superres", 96, 8),
    )
}
SCALE = 4


def named(name: str) -> Row:
    """Returns the row of that name, also one that is not in ROWS, such as "style-512-b32". Raises
    ValueError for any other text."""
    kinds = "|".join(dict.fromkeys(row.kind for row in ROWS.values()))
    found = re.fullmatch(rf"({kinds})-([1-9]\d*)-b([1-9]\d*)", name)
    if not found:
        raise ValueError(
            f"{name!r} is no row; give KIND-SIZE-bBATCH, as {next(iter(ROWS))}; kinds: {kinds}"
        )
    return Row(found[1], int(found[2]), int(found[3]))


def add_option(parser: argparse.ArgumentParser, rows: list[str]) -> None:
    """Adds `--rows`, with these by default."""

    def known(name: str) -> str:
        try:
            return named(name).name
        except ValueError as e:
            raise argparse.ArgumentTypeError(str(e)) from e

    parser.add_argument(
        "--rows",
        nargs="+",
        type=known,
        metavar="R",
        default=rows,
        help=f"KIND-SIZE-bBATCH (default: {', '.join(rows)})",
    )


def net(row: Row) -> config.TransformNetConfig:
    """Returns the full-width default net of the task."""
    return config.superres_net(SCALE) if row.upscales else config.NET_PRESETS["resize"]


def train_config(row: Row, precision: str = "float32") -> config.TrainConfig:
    """Returns the default training of the task, at the row's size and batch."""
    own = {
        "net": net(row),
        "out": "-",
        "batch_size": row.batch,
        "image_size": row.size,
        "precision": precision,
    }
    if row.upscales:
        return config.TrainConfig(**(config.superres_recipe(SCALE, "best", "pixel") | own))
    return replace(config.TrainConfig(style_image="-", **own))


def inputs(row: Row) -> dict[str, np.ndarray]:
    """Returns what a contender gets: "x" (N, S, S, 3) uint8; "style" (1, 256, 256, 3), and "small"
    inputs of training."""
    rng = np.random.default_rng(0)
    made = {"x": (row.batch, row.size, row.size, 3), "style": (1, 256, 256, 3)}
    drawn = {k: rng.integers(0, 256, shape, np.uint8) for k, shape in made.items()}
    return drawn | {"small": drawn["x"][:, ::SCALE, ::SCALE]}


def write_weights(row: Row, path: Path) -> None:
    """Writes an ordinary weights file of the row's net with random weights."""
    from jaxpercept.nets import net_file, transform_net

    params, stats = transform_net.init(net(row), seed=0)
    about = {"task": "superres" if row.upscales else "style"}
    net_file.save(path, net(row), params, stats, about)
