"""Turns gradients into updates: Adam, as in the paper (section 4.1), or Muon, which gets further in
few steps.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) makes the momentum of every
matrix orthogonal, so that directions of small gradient move as far as the others. A convolution is
the matrix (kh kw in, out). Scales, shifts and biases take Adam with the same Nesterov momentum.
Muon's updates are scaled to the size of Adam's (0.2 RMS, https://arxiv.org/abs/2502.16982), so that
one learning rate serves both.
"""

from __future__ import annotations

from typing import Any

import jax
import optax
from optax.contrib import MuonDimensionNumbers, muon

from jaxpercept.config import TrainConfig

_RMS = 0.2
# The learning rate of the scales and shifts of a multi-style net, in units of the kernels' rate.
# Scales are about 1 and kernels about 0.05, so at the kernels' rate scales would hardly move. 10
# did better than 1 and 5, and 30 as well as 10.
_STYLES = 20.0


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Returns the config's optimizer and schedule."""
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        rate = optax.cosine_decay_schedule(rate, config.steps)
    if config.optimizer == "adam":
        return optax.adam(rate)
    made = muon(
        rate, adam_learning_rate=rate, consistent_rms=_RMS, muon_weight_dimension_numbers=_matrices
    )
    return (
        optax.chain(made, optax.masked(optax.scale(_STYLES), _rows))
        if config.task == "multistyle"
        else made
    )


def _matrices(params: Any) -> Any:
    kernel = MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=3)
    return jax.tree.map(lambda p: kernel if p.ndim == 4 else None, params)


def _rows(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim == 2, params)
