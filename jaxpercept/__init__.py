"""Perceptual losses for real-time style transfer and super-resolution (Johnson, Alahi, Fei-Fei
2016) in JAX and Flax.

The public names below are imported on first use, so that `import jaxpercept` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; a test keeps it equal to the table below
    from jaxpercept.config import TrainConfig as TrainConfig
    from jaxpercept.errors import InputError as InputError
    from jaxpercept.evaluation.metrics import psnr as psnr
    from jaxpercept.evaluation.metrics import ssim as ssim
    from jaxpercept.images import load_image as load_image
    from jaxpercept.images import save_image as save_image
    from jaxpercept.inference.model import load_model as load_model
    from jaxpercept.losses import feature_loss as feature_loss
    from jaxpercept.losses import gram_matrix as gram_matrix
    from jaxpercept.losses import pixel_loss as pixel_loss
    from jaxpercept.losses import style_loss as style_loss
    from jaxpercept.losses import total_variation as total_variation
    from jaxpercept.losses.terms import LossInputs as LossInputs
    from jaxpercept.losses.terms import LossTerm as LossTerm
    from jaxpercept.nets.vgg import load_vgg16 as load_vgg16
    from jaxpercept.nets.vgg import vgg_features as vgg_features
    from jaxpercept.synthesis.run import synthesize as synthesize
    from jaxpercept.synthesis.settings import SynthesisConfig as SynthesisConfig
    from jaxpercept.training.loop import train as train

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
