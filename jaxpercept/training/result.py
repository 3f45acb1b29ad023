"""Writes a run's result: `model.safetensors`, with a header that records the training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxpercept import data
from jaxpercept.config import to_dict
from jaxpercept.errors import InputError, counted
from jaxpercept.inference.model import TRAINED_GRAIN
from jaxpercept.nets import multistyle, net_file, weights_file
from jaxpercept.training import style_plan
from jaxpercept.training.start import Start
from jaxpercept.training.step import TrainState

FILE = weights_file.OF_A_RUN


def check_free(folder: Path) -> None:
    """Raises InputError if a new run in this folder would replace a net, for example its --init or
    that of an earlier run whose checkpoints are gone."""
    if (path := folder / FILE).exists():
        raise InputError(
            f"{path}: is a net without checkpoints to go on from, and a new run would replace it; "
            "give another --out, or move it away"
        )


def write(start: Start, state: TrainState, last: dict[str, float], stream: data.Batches) -> Path:
    """Writes the weights file. `last` holds the last step's values, and `stream` knows which images
    were left out."""
    config = start.config
    path = Path(config.out) / FILE
    header = _header(start, int(state.step), last, stream)
    net_file.save(path, config.net, state.params, state.stats, header, dtype=start.dtype)
    return path


def _header(
    start: Start, step: int, last: dict[str, float], stream: data.Batches
) -> dict[str, Any]:
    config, earlier = start.config, start.earlier.get("training", {})
    left_out = {"broken": len(stream.problems), "too_small": len(stream.too_small)}
    training = {
        "steps": step + earlier.get("steps", 0),
        "images": step * config.batch_size + earlier.get("images", 0),
        "config": {k: v for k, v in to_dict(config).items() if k not in ("out", "init")},
        "terms": start.hashes["terms"],
        "data": {**start.about_data, **left_out},
        "last": last,
    }
    header: dict[str, Any] = {
        "kind": "transform_net",
        "task": config.task,
        "net": to_dict(config.net),
        "training": training,
    }
    if "style image" in start.hashes:
        file = Path(config.style_images[0]).name
        header["style"] = {"file": file, "sha256": start.hashes["style image"]}
    if config.net.scale == 1:
        header["grain"] = TRAINED_GRAIN
    if start.styles:
        header["styles"] = [dataclasses.asdict(style) for style in _trained(start, step)]
    return header


def _trained(start: Start, step: int) -> list[multistyle.Style]:
    """Returns the styles, with the steps and images of this run added."""
    config, rows = start.config, start.config.trained_rows
    drawn = style_plan.drawn(config.seed, step, config.batch_size, len(rows))
    styles = list(start.styles)
    for row, count in zip(rows, drawn, strict=True):
        style = styles[row]
        steps = style.steps + round(count / config.batch_size)
        styles[row] = dataclasses.replace(style, images=style.images + count, steps=steps)
    return styles


def in_words(start: Start, first: int, step: int, stream: data.Batches) -> str:
    """Returns how the run ended, in words. `first` is the step it continued from."""
    config = start.config
    if first == step >= config.steps:
        more = (
            "--init continues from its weights"
            if config.schedule == "cosine"
            else "more --steps continue it"
        )
        said = f"this run had already finished at step {step}; nothing is left to do ({more})"
    elif step >= config.steps:
        said = counted(step, "step")
    else:
        said = f"stopped at step {step}; the same command resumes"
    if names := list(stream.problems):
        said += f"; left out: {counted(len(names), 'broken image')}, such as {names[0]}"
    if small := stream.too_small:
        what = f"{counted(len(small), 'image')} smaller than {config.image_size} pixels"
        said += f"; left out: {what}, such as {min(small)}"
    return said
