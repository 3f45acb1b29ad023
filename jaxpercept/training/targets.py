"""The content targets of a few photos that are seen again and again, computed once for each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import vgg

MOST = 32  # photos whose targets are kept, 8 MB each at 256²


class Targets:
    """Returns the activations of φ that `loss_terms` compare a net's output with. Those of the
    first `most` photos are kept."""

    def __init__(self, loss_terms: Sequence[LossTerm], most: int = MOST):
        self._terms, self._most = loss_terms, most
        self._program: Any = jax.jit(self._computed)
        self._kept: dict[bytes, vgg.Features] = {}

    def _computed(self, vgg_params: vgg.Params, photo: Array) -> vgg.Features:
        target = photo.astype(jnp.float32) / 255
        return objective.content_targets(self._terms, vgg_params, target)

    def compile(self, vgg_params: Any, photo: jax.ShapeDtypeStruct) -> Any:
        """Compiles from shapes alone, for photos (1, S, S, 3). Returns the shapes of a result."""
        self._program = jax.jit(self._computed).lower(vgg_params, photo).compile()
        return jax.eval_shape(self._computed, vgg_params, photo)

    def of(self, vgg_params: vgg.Params, batch: np.ndarray) -> tuple[vgg.Features, ...]:
        """Returns the targets of each photo of a batch, uint8 (N, S, S, 3). `vgg_params` must be
        the same at every call."""
        return tuple(self._one(vgg_params, photo[None]) for photo in batch)

    def _one(self, vgg_params: vgg.Params, photo: np.ndarray) -> vgg.Features:
        key = hashlib.sha256(photo.tobytes()).digest()
        if (found := self._kept.get(key)) is None:
            found = self._program(vgg_params, photo)
            if len(self._kept) < self._most:
                self._kept[key] = found
        return found
