"""Which layer should hold the content? Optimises the same photo and style with content at four
layers.

`python examples/content_layers.py [ITERATIONS] [OUT]` writes a strip: photo | relu1_2 | relu2_2 |
relu3_3 | relu4_3. Early layers keep every edge and leave the style little room. Late ones keep only
the arrangement (Johnson et al. 2016, figure 3). Each layer's term is scaled to the same starting
value, so that only the layer differs.
"""

import argparse
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import jaxpercept as jp
from jaxpercept import images
from jaxpercept.config import ObjectiveConfig
from jaxpercept.images import samples

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
STRENGTH = 3e5  # the content term at a grey image, for a style weight of 5


def scale(layer: str, photo: np.ndarray) -> float:
    """Returns the feature loss between a grey image and the photo at a layer."""
    pair = jnp.stack([jnp.full_like(photo, 0.5), photo])
    grey, content = jp.vgg_features(jp.load_vgg16(), pair, [layer])[layer][:, None]
    return float(jp.feature_loss(grey, content)[0])


def main(iterations: int = 60, out: Path = Path("outputs/content-layers"), size: int = 192) -> Path:
    photo = images.square(samples.sample_photos()["chelsea"], size)
    style = samples.drawn_style(size=max(size, 64))
    strip = [photo]
    for layer in LAYERS:
        weights = {"content": STRENGTH / scale(layer, photo), "style": 5.0, "tv": 1e-6}
        job = jp.SynthesisConfig(
            objective=ObjectiveConfig(weights=weights, content_layers=(layer,)),
            iterations=(iterations,),
            clip=True,
        )
        result = jp.synthesize(job, [photo], [style])
        print(
            f"content at {layer}: loss {result.losses[0][0, 0]:.4g} to "
            f"{result.losses[0][0, -1]:.4g}"
        )
        strip.append(result.images[0])
    return images.save_image(out / "strip.png", np.concatenate(strip, 1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("iterations", nargs="?", type=int, help="of L-BFGS, each layer")
    parser.add_argument("out", nargs="?", type=Path, help="folder of the strip")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    try:
        print("wrote", main(**given))
    except jp.InputError as e:
        sys.exit(f"error: {e}")
