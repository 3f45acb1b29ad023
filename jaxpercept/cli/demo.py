"""Runs `python train.py` without arguments: a short, real training that a person can watch from
start to end.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path

from jaxpercept import config, files
from jaxpercept.cli.outputs import say
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file

OUT = Path("runs/demo")


def run(arguments: argparse.Namespace, out: Path = OUT, steps: int = 400, size: int = 128) -> None:
    """Trains a half-width net on random crops of the sample photos, with the stained glass that the
    project draws as its style. Then stylizes a photo with it."""
    import jax

    from jaxpercept import images
    from jaxpercept.images import samples
    from jaxpercept.inference.model import load_model
    from jaxpercept.runtime import compilation_cache
    from jaxpercept.training import loop

    compilation_cache.enable()
    begun = time.monotonic()
    made = config.TrainConfig(
        out=str(out),
        data=(str(out / "photos"),),
        style_image=str(out / "style.png"),
        style_size=256,
        net=config.NET_PRESETS["resize"].scaled(0.5),
        objective=config.ObjectiveConfig(weights={"content": 1.0, "style": 4.0, "tv": 1e-5}),
        steps=steps,
        batch_size=-(-2 // jax.device_count()) * jax.device_count(),
        image_size=size,
        optimizer="muon",
        schedule="cosine",
        cache="host",  # "auto" would not equal the run's choice, in `_check_earlier`
        checkpoint_every=100,
        preview_every=100,
    )
    _check_earlier(out, made)
    photos = samples.sample_photos()
    for name, photo in photos.items():
        images.save_image(out / "photos" / f"{name}.png", photo)
    images.save_image(out / "style.png", samples.drawn_style(size=512))
    say(f"A short training: {steps} steps on the sample photos, {out / 'style.png'} as the style.")
    weights = loop.train(made)
    if (
        weights_file.read_weights(weights)[1]["training"]["steps"] < steps
    ):  # after Ctrl-C, which has printed its line
        return
    result = images.save_image(out / "chelsea.jpg", load_model(weights)(photos["chelsea"][None])[0])
    say(f"Done in {time.monotonic() - begun:.0f} s. A photo in the new style: {result}")
    style = shlex.quote(str(weights))
    say(f"On your own:  python infer.py stylize PHOTO.jpg --style {style} -o OUT.jpg")


def _check_earlier(out: Path, made: config.TrainConfig) -> None:
    """Raises InputError if `out` holds another version's trial, which this one cannot continue."""
    try:
        earlier = json.loads(files.regular(out / "config.json", "settings").read_text())
    except (OSError, ValueError):
        return
    if earlier != json.loads(json.dumps(config.to_dict(made))):
        raise InputError(
            f"{out} holds a trial with other settings; delete it or move it away, then run this "
            "again"
        )
