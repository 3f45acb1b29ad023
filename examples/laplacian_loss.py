"""A new loss in one function: keeps the content's edges with a Laplacian term, and trains with it.

`python examples/laplacian_loss.py [STEPS] [OUT]` trains two small nets on the sample photos,
without and with the term, and writes a strip: photo | without | with. Laplacian loss: Li et al.
2017, https://arxiv.org/abs/1707.01253.
"""

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxpercept as jp
from jaxpercept import config, images
from jaxpercept.images import samples
from jaxpercept.losses import objective
from jaxpercept.training import loop


def laplacian(inputs: jp.LossInputs) -> jax.Array:
    """Returns the mean square difference of the two images' Laplacians, per image (N,), in 0-255
    units."""

    def edges(x: jax.Array) -> jax.Array:
        grey = 255 * x.mean(-1)
        around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
        return around - 4 * grey[:, 1:-1, 1:-1]

    return jnp.square(edges(inputs.output) - edges(inputs.target)).mean((1, 2))


def main(steps: int = 150, out: Path = Path("outputs/laplacian"), size: int = 128) -> Path:
    photos = samples.sample_photos()
    for name, photo in photos.items():
        images.save_image(out / "photos" / f"{name}.png", photo)
    images.save_image(out / "style.png", samples.drawn_style(size=256))
    strip = [images.resize(photos["chelsea"], (size, size))]
    for name, weight in {"without": 0.0, "with": 50.0}.items():
        run = config.TrainConfig(
            out=str(out / name),
            data=(str(out / "photos"),),
            style_image=str(out / "style.png"),
            net=config.NET_PRESETS["resize"].scaled(0.25),
            steps=steps,
            batch_size=jax.device_count(),
            image_size=size,
            preview_every=steps,
        )
        terms = [*objective.make_terms(run.objective), jp.LossTerm("laplacian", laplacian, weight)]
        model = jp.load_model(loop.train(run, terms=terms))
        strip.append(np.asarray(model(strip[0][None]))[0])
    return images.save_image(out / "strip.png", np.concatenate(strip, 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="?", type=int, help="of each training")
    parser.add_argument("out", nargs="?", type=Path, help="folder of runs and strip")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    try:
        print("wrote", main(**given))
    except jp.InputError as e:
        sys.exit(f"error: {e}")
