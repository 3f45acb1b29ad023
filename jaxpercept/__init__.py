"""Perceptual losses for real-time style transfer and super-resolution (Johnson, Alahi, Fei-Fei
2016) in JAX and Flax.

The public names below are imported on first use, so that `import jaxpercept` is instant.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "load_image": "images",
    "save_image": "images",
    "load_vgg16": "nets.vgg",
    "vgg_features": "nets.vgg",
    "feature_loss": "losses",
    "gram_matrix": "losses",
    "style_loss": "losses",
    "pixel_loss": "losses",
    "total_variation": "losses",
    "LossInputs": "losses.terms",
    "LossTerm": "losses.terms",
    "load_model": "inference.model",
    "TrainConfig": "config",
    "train": "training.loop",
    "SynthesisConfig": "synthesis.settings",
    "synthesize": "synthesis.run",
    "psnr": "evaluation.metrics",
    "ssim": "evaluation.metrics",
    "InputError": "errors",
}
__all__ = list(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(
            f"module 'jaxpercept' has no attribute {name!r}; it has {', '.join(_HOME)}"
        )
    return getattr(import_module(f"jaxpercept.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
