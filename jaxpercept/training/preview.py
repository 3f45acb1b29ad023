"""Shows the net's output for sample photos during training."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from jaxpercept import files, images
from jaxpercept.config import TrainConfig
from jaxpercept.images import resampling, samples
from jaxpercept.inference.model import Model
from jaxpercept.nets import transform_net
from jaxpercept.training import directory


def path(folder: Path, step: int) -> Path:
    """Returns the file of a step's preview in a run's directory."""
    return folder / "previews" / f"{step:08d}.jpg"


def drop_after(folder: Path, step: int) -> None:
    """Removes the previews of later steps."""
    for found in (folder / "previews").glob("*.jpg"):
        number = int(found.stem) if found.stem.isdecimal() else 0
        if number > step and found == path(folder, number):
            with files.reported(found, directory.RESUMES):
                found.unlink()


@functools.cache
def _photos(size: int) -> images.Float:
    """Returns three sample photos, (3, size, size, 3)."""
    photos = list(samples.sample_photos().values())[:3]
    return np.stack([images.square(photo, size) for photo in photos])


def sheet(
    config: TrainConfig, params: transform_net.Variables, stats: transform_net.Variables
) -> images.Float:
    """Returns one image (H, W, 3) with sample photos above and the net's outputs below, in a row
    per style in training. In super-resolution the photos are degraded first, and their bicubic
    enlargement stands between."""
    size, scale = config.image_size, config.net.scale
    size = size if scale == 1 else max(size, 288)
    photos = _photos(size)
    small = photos
    if scale > 1:
        small = images.to_float(
            resampling.degrade(images.to_uint8(photos), scale, config.degradation)
        )
    rows = np.eye(config.net.styles, dtype=np.float32)[:, None]
    mixes = [rows[i] for i in config.trained_rows] or [None]
    nets = [Model("preview", config.net, params, stats, {}, mix=mix) for mix in mixes]
    shown = [photos, *([resampling.upscale(small, scale)] if scale > 1 else [])]
    shown += [np.asarray(net(small)) for net in nets]
    return np.clip(np.concatenate([np.concatenate(list(row), 1) for row in shown], 0), 0, 1)
