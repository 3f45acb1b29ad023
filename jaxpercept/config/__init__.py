"""Frozen configurations and presets: the choices, their defaults, and the source of every number.

Imports no jax, so that `--help` and argument errors are instant. An option is a field declared
with `options.option`. Sources stand beside the numbers:
  [P]  Johnson, Alahi, Fei-Fei 2016, https://arxiv.org/abs/1603.08155, and its supplementary
       material (layer tables)
  [L]  the authors' Lua code, https://github.com/jcjohnson/fast-neural-style (train.lua,
       fast_neural_style/*.lua)
  [ours] chosen by this project, with the reason
"""

from __future__ import annotations

from jaxpercept.config.applying import BATCH, EXPORTED, MAX_PIXELS, QUALITY, RUNTIMES
from jaxpercept.config.net import TransformNetConfig, net_from_dict
from jaxpercept.config.objective import (
    CONVENTIONS,
    DEFAULT_WEIGHTS,
    RESERVED,
    STYLE_LAYERS,
    TERM_NAMES,
    TERMS,
    TIMING,
    VGG_BLOCKS,
    VGG_LAYERS,
    Convention,
    ObjectiveConfig,
    TermSpec,
)
from jaxpercept.config.presets import (
    DEFAULT_SCALE,
    NET_HELP,
    NET_PRESETS,
    SCALES,
    SUPERRES_PRESETS,
    superres_net,
)
from jaxpercept.config.recipes import RECIPES, SUPERRES_LOSSES, superres_recipe
from jaxpercept.config.stored import objective_from_dict, to_dict, train_config_from_dict
from jaxpercept.config.training import (
    DEGRADATIONS,
    PRECISIONS,
    TrainConfig,
)
from jaxpercept.errors import choose

__all__ = [
    "BATCH",
    "CONVENTIONS",
    "DEFAULT_SCALE",
    "DEFAULT_WEIGHTS",
    "DEGRADATIONS",
    "EXPORTED",
    "MAX_PIXELS",
    "NET_HELP",
    "NET_PRESETS",
    "PRECISIONS",
    "QUALITY",
    "RECIPES",
    "RESERVED",
    "RUNTIMES",
    "SCALES",
    "STYLE_LAYERS",
    "SUPERRES_LOSSES",
    "SUPERRES_PRESETS",
    "TERMS",
    "TERM_NAMES",
    "TIMING",
    "VGG_BLOCKS",
    "VGG_LAYERS",
    "Convention",
    "ObjectiveConfig",
    "TermSpec",
    "TrainConfig",
    "TransformNetConfig",
    "choose",
    "net_from_dict",
    "objective_from_dict",
    "superres_net",
    "superres_recipe",
    "to_dict",
    "train_config_from_dict",
]
