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
import jax.numpy as jnp
import optax
from optax.contrib import MuonDimensionNumbers, muon

from jaxpercept.config import TrainConfig
from jaxpercept.nets import transform_net

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
    return MAKERS[config.optimizer](rate, config)


def _adam(rate: Any, config: TrainConfig) -> optax.GradientTransformation:
    decay = config.weight_decay
    return optax.adamw(rate, weight_decay=decay, mask=_kernels) if decay else optax.adam(rate)


def muon_of(rate: Any, weight_decay: float = 0) -> optax.GradientTransformation:
    """Returns Muon for the parameters of a net, or for a part of them."""
    return _together(
        muon(
            rate,
            adam_learning_rate=rate,
            consistent_rms=_RMS,
            weight_decay=weight_decay,
            muon_weight_dimension_numbers=_matrices,
        )
    )


def _muon(rate: Any, config: TrainConfig) -> optax.GradientTransformation:
    made = muon_of(rate, config.weight_decay)
    return (
        optax.chain(made, optax.masked(optax.scale(_STYLES), _rows))
        if config.task == "multistyle"
        else made
    )


# By the names in `TrainConfig.optimizer`.
MAKERS = {"adam": _adam, "muon": _muon}


def _together(made: optax.GradientTransformation) -> optax.GradientTransformation:
    """Updates kernels of equal shape as one array (count, kh, kw, in, out), in a fifth less
    processor time and, on an accelerator, in a tenth as many products. Between steps the state is
    that of `made`, kernel by kernel."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        groups = _groups(updates)
        joined = (_joined(groups, tree) for tree in (updates, state, params))
        moved, after = made.update(*joined)
        return _parted(groups, moved), _parted(groups, after)

    return optax.GradientTransformation(made.init, update)


Groups = dict[str, list[str]]


def _groups(params: transform_net.Variables) -> Groups:
    """Returns the names of the kernels of each shape that several kernels have, by the name of the
    array that holds them together."""
    found: Groups = {}
    for name, value in params.items():
        if not isinstance(value, optax.MaskedNode) and value.ndim == 4:
            found.setdefault(f"all {value.shape}", []).append(name)
    return {shape: names for shape, names in found.items() if len(names) > 1}


def _joined(groups: Groups, tree: Any) -> Any:
    """Returns the tree with each group of kernels as one array, in every dict that has them."""

    def join(node: Any) -> Any:
        if not has(node):
            return node
        node = dict(node)
        for shape, names in groups.items():
            values = [node.pop(name) for name in names]
            masked = isinstance(values[0], optax.MaskedNode)
            node[shape] = values[0] if masked else jnp.stack(values)
        return node

    def has(node: Any) -> bool:
        return isinstance(node, dict) and any(names[0] in node for names in groups.values())

    return jax.tree.map(join, tree, is_leaf=has)


def _parted(groups: Groups, tree: Any) -> Any:
    """Inverts `_joined`."""

    def part(node: Any) -> Any:
        if not has(node):
            return node
        node = dict(node)
        for shape, names in groups.items():
            value = node.pop(shape)
            masked = isinstance(value, optax.MaskedNode)
            node |= {name: value if masked else value[i] for i, name in enumerate(names)}
        return node

    def has(node: Any) -> bool:
        return isinstance(node, dict) and any(shape in node for shape in groups)

    return jax.tree.map(part, tree, is_leaf=has)


def _kernels(params: Any) -> Any:
    """Returns which parameters decay: convolutions do; scales, shifts and biases do not."""
    return jax.tree.map(lambda p: p.ndim >= 4, params)


def _matrices(params: Any) -> Any:
    def kernel(p: Any) -> MuonDimensionNumbers | None:
        """Returns the axes of (kh, kw, in, out), or of an array of several such kernels."""
        if p.ndim < 4:
            return None
        return MuonDimensionNumbers(tuple(range(p.ndim - 4, p.ndim - 1)), p.ndim - 1)

    return jax.tree.map(kernel, params)


def _rows(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim == 2, params)
