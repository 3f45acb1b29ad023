"""Trained transform nets at work: one image or many, through one compiled function per size.

Instance-norm statistics see every pixel, so an image is never padded to share a size with another:
images of exactly equal size share a batch, and a batch cut short is filled up with copies.
"""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxpercept.config import PRECISIONS, TransformNetConfig, choose
from jaxpercept.nets import multistyle, transform_net, weights_file

BATCH_PIXELS = (
    4_000_000  # a batch is cut to this many, so that large images do not multiply their memory
)
WAITING_PIXELS = 32_000_000  # of images that wait for more of their size (12 bytes each)


@dataclass(
    frozen=True, eq=False
)  # equal to itself alone, so that it has a hash and jax.jit takes it
class Model:
    """A trained transform net. `model(x)`: (N, H, W, 3) in [0, 1] to the same size (times
    `config.scale`), clipped to [0, 1]; compiled once a shape for all nets of one config, and all
    blends.

    `mix`: in a net of several styles, their weights, (1, styles); None until `blend` is called on a
    net loaded with `any_blend`. `source`: the name or file,
    without a blend."""

    name: str
    config: TransformNetConfig
    params: transform_net.Variables
    stats: transform_net.Variables
    header: dict[str, Any]
    dtype: Any = None
    mix: Any = None
    source: str = ""

    @property
    def styles(self) -> tuple[str, ...]:
        """The names in a net of several styles."""
        return multistyle.names(self.header)

    def blend(self, text: str) -> Model:
        """This net of several styles with another blend, "wave=0.6,starry_night=0.4"; compiles
        nothing. InputError for what `load_model` would not take."""
        weights = multistyle.parse(self.source, text, self.styles)
        chosen = [s for s in self.header["styles"] if s["name"] in weights]
        header = self.header if len(chosen) > 1 else {**self.header, "style": chosen[0]}
        return dataclasses.replace(
            self,
            name=f"{Path(self.source).stem}-{multistyle.label(weights)}",
            header=header,
            mix=jnp.asarray(multistyle.row(weights, self.styles)),
        )

    def single_style(self) -> transform_net.Variables:
        """The parameters of a net of one style: of several, those of the chosen one or blend."""
        if self.mix is None:
            return dict(self.params)
        return transform_net.single_style(self.config, self.params, self.mix)

    def __call__(self, x: Float[Any, "n h w 3"]) -> Float[Array, "n h2 w2 3"]:
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"expected images in [0, 1] as floats, got {x.dtype}; divide by 255")
        return _compiled(self.config, self.dtype)(
            self.params, self.stats, x.astype(jnp.float32), self.mix
        )


@lru_cache(maxsize=64)
def _compiled(config: TransformNetConfig, dtype: Any) -> Callable[..., Array]:
    @jax.jit
    def apply(
        params: transform_net.Variables, stats: transform_net.Variables, x: Array, mix: Array | None
    ) -> Array:
        return jnp.clip(
            transform_net.apply(config, params, stats, x, dtype=dtype, mix=mix)[0], 0, 1
        )

    return apply


def load_model(
    name_or_file: str | os.PathLike[str],
    *,
    kind: str | None = None,
    precision: str = "float32",
    any_blend: bool = False,
) -> Model:
    """A shipped net by name, or any weights file; of a net of several styles one, "multi:wave", or
    a blend, "multi:wave=0.6,starry_night=0.4" (see `multistyle`). `kind`: "styles" or "superres"
    for names of that kind only. `precision`: what it computes in, "float32" or "bfloat16".
    `any_blend`: a net of several styles may be given without a blend, to choose it later.

    Raises InputError for an unknown name (listing the known), a file that is no transform net's, or
    a wrong blend."""
    choose("precision", precision, PRECISIONS)
    file, blend = multistyle.split(name_or_file)
    if kind is None:
        kind = "superres" if file in weights_file.available("superres") else "styles"
    path = weights_file.resolve(file, kind)
    config, params, stats, header = transform_net.load(path)
    multistyle.check(header, file)
    dtype = jnp.bfloat16 if precision == "bfloat16" else None
    model = Model(path.stem, config, params, stats, header, dtype, source=file)
    if not (any_blend and model.styles and blend is None):
        multistyle.parse(file, blend, model.styles)
    return model.blend(blend) if blend else model


def run_batches(
    model: Model, items: Iterator[tuple[Any, np.ndarray]], batch_size: int
) -> Iterator[tuple[Any, np.ndarray]]:
    """(key, image) pairs in, (key, output) pairs out, images of equal size together: as soon as a
    batch is full, or when too much waits, that of the size which has waited longest. Each size has
    one batch length, set by its first."""
    waiting: dict[tuple[int, ...], list[tuple[Any, np.ndarray]]] = defaultdict(list)
    compiled: dict[tuple[int, ...], int] = {}

    def pixels(shape: tuple[int, ...]) -> int:
        return shape[0] * shape[1]

    def flush(shape: tuple[int, ...]) -> Iterator[tuple[Any, np.ndarray]]:
        group = waiting.pop(shape)
        count = compiled.setdefault(shape, len(group))
        batch = [image for _, image in group]
        outputs = np.asarray(model(np.stack(batch + batch[:1] * (count - len(group)))))
        yield from zip([key for key, _ in group], outputs, strict=False)

    for key, image in items:
        shape = image.shape
        waiting[shape].append((key, image))
        full = compiled.get(shape, max(1, min(batch_size, BATCH_PIXELS // pixels(shape))))
        if len(waiting[shape]) == full:
            yield from flush(shape)
        while sum(len(group) * pixels(shape) for shape, group in waiting.items()) > WAITING_PIXELS:
            yield from flush(next(iter(waiting)))
    for shape in list(waiting):
        yield from flush(shape)
