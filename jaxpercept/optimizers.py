"""What turns gradients into updates: Adam, as the paper trains (section 4.1), or Muon, which gets further in few steps.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) makes the momentum of every matrix orthogonal, so
that directions of small gradient move as far as the others. A convolution is the matrix (kh kw in, out); scales, shifts
and biases take Adam with the same Nesterov momentum. Muon's updates are scaled to the size of Adam's
(0.2 RMS, https://arxiv.org/abs/2502.16982), so that one learning rate serves both.
"""

from __future__ import annotations

from typing import Any

import jax
import optax
from optax.contrib import MuonDimensionNumbers, muon

from jaxpercept.config import TrainConfig

_RMS = 0.2
# In nets of many styles: what tells one from another, of size 1, would hardly move at the rate of kernels, of size
# 0.05. After 300 steps on six styles at 128x128, the geometric mean of the objectives is 2.2 times lower with 10 or 30
# than with 1; in a net of one style the factor makes no difference beyond chance.
_STYLES = 20.0


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """The config's optimizer and schedule."""
    if config.optimizer == "muon":
        own = _rate(config, _STYLES if config.net.styles else 1.0)
        return muon(_rate(config), adam_learning_rate=own, consistent_rms=_RMS, muon_weight_dimension_numbers=_matrices)
    return optax.adam(_rate(config))


def _rate(config: TrainConfig, factor: float = 1.0) -> Any:
    rate = factor * config.learning_rate
    return optax.cosine_decay_schedule(rate, config.steps) if config.schedule == "cosine" else rate


def _matrices(params: Any) -> Any:
    kernel = MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)
    return jax.tree.map(lambda p: kernel if p.ndim == 4 else None, params)
