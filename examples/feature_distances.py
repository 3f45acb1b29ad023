"""What is "near" in feature space? Reconstructs a photo from its relu3_3 by three distances: L2
(the paper's), Smooth L1, cosine.

`python examples/feature_distances.py [ITERATIONS] [OUT]` writes a strip: photo | L2 | Smooth L1 |
cosine, each started from grey, and prints the PSNR of each. A distance is one function of
`LossInputs`. It needs no registration and no subclass.
"""

import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import optax

import jaxpercept as jp
from jaxpercept import images
from jaxpercept.config import ObjectiveConfig
from jaxpercept.images import samples

LAYER = "relu3_3"


def l2(inputs: jp.LossInputs) -> jax.Array:
    """Returns the squared distance of equation 2."""
    return jp.feature_loss(inputs.features[LAYER], inputs.target_features[LAYER])


def smooth_l1(inputs: jp.LossInputs) -> jax.Array:
    """Returns squares up to 10 (activations reach thousands) and absolute values beyond."""
    return optax.huber_loss(inputs.features[LAYER], inputs.target_features[LAYER], delta=10.0).mean(
        (1, 2, 3)
    )


def cosine(inputs: jp.LossInputs) -> jax.Array:
    """Returns 1 - cos between the two vectors of channels at each place, which ignores how strong
    the activations are."""
    distance = optax.cosine_distance(
        inputs.features[LAYER], inputs.target_features[LAYER], epsilon=1.0
    )
    return 1e4 * distance.mean((1, 2))


def main(
    iterations: int = 100, out: Path = Path("outputs/feature-distances"), size: int = 192
) -> Path:
    photo = images.square(samples.sample_photos()["chelsea"], size)
    job = jp.SynthesisConfig(
        objective=ObjectiveConfig(weights={"content": 1.0}, content_layers=(LAYER,)),
        iterations=(iterations,),
        init="grey",
        clip=True,
    )
    strip = [photo]
    for distance in (l2, smooth_l1, cosine):
        term = jp.LossTerm(distance.__name__, distance, features=(LAYER,), target_features=(LAYER,))
        rebuilt = jp.synthesize(job, [photo], terms=[term]).images[0]
        print(f"{distance.__name__}: PSNR {jp.psnr(rebuilt, photo):.2f} dB")
        strip.append(rebuilt)
    return images.save_image(out / "strip.png", np.concatenate(strip, 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("iterations", nargs="?", type=int, help="of L-BFGS, each distance")
    parser.add_argument("out", nargs="?", type=Path, help="folder of the strip")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    try:
        print("wrote", main(**given))
    except jp.InputError as e:
        sys.exit(f"error: {e}")
