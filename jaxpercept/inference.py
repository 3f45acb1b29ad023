"""Trained transform nets at work: one image or many, through one compiled function per size.

Instance-norm statistics see every pixel, so an image is never padded to share a size with another: images of exactly
equal size share a batch, and a batch cut short is filled up with copies.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxpercept import images, transform_net, weights_file
from jaxpercept.config import TransformNetConfig, choose
from jaxpercept.errors import InputError

BATCH_PIXELS = 4_000_000  # a batch is cut to this many, so that large images do not multiply their memory
WAITING_PIXELS = 32_000_000  # of images that wait for more of their size (12 bytes each)


@dataclass(frozen=True)
class Model:
    """A trained transform net. `model(x)`: (N, H, W, 3) in [0, 1] to the same size (times `config.scale`), clipped to
    [0, 1]; compiled once a shape."""

    name: str
    config: TransformNetConfig
    params: transform_net.Variables
    stats: transform_net.Variables
    header: dict[str, Any]
    dtype: Any = None

    @cached_property
    def _apply(self) -> Callable[..., Array]:
        @jax.jit
        def apply(params: transform_net.Variables, stats: transform_net.Variables, x: Array) -> Array:
            return jnp.clip(transform_net.apply(self.config, params, stats, x, dtype=self.dtype)[0], 0, 1)

        return apply

    def __call__(self, x: Float[Any, "n h w 3"]) -> Float[Array, "n h2 w2 3"]:
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"expected images in [0, 1] as floats, got {x.dtype}; divide by 255")
        return self._apply(self.params, self.stats, x.astype(jnp.float32))


def load_model(name_or_file: str | os.PathLike[str], *, kind: str | None = None, precision: str = "float32") -> Model:
    """A shipped net by name, or any weights file. `kind`: "styles" or "superres" for names of that kind only.
    `precision`: what it computes in, "float32" or "bfloat16".

    Raises InputError for an unknown name (listing the known) or a file that is no transform net's."""
    choose("precision", precision, ("float32", "bfloat16"))
    if kind is None:
        kind = "superres" if str(name_or_file) in weights_file.available("superres") else "styles"
    path = weights_file.resolve(name_or_file, kind)
    config, params, stats, header = transform_net.load(path)
    return Model(path.stem, config, params, stats, header, jnp.bfloat16 if precision == "bfloat16" else None)


def run_batches(
    model: Model, items: Iterator[tuple[Any, np.ndarray]], batch_size: int
) -> Iterator[tuple[Any, np.ndarray]]:
    """(key, image) pairs in, (key, output) pairs out, images of equal size together: as soon as a batch is full, or
    when too much waits, that of the size which has waited longest. Each size has one batch length, set by its first."""
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


@dataclass
class Job:
    """What `stylize_files` did: files written, and one line for every image that could not be done."""

    written: list[Path]
    failed: list[str]


def stylize_files(
    inputs: Sequence[Path],
    models: Sequence[Model],
    name_output: Callable[[Path, str], Path],
    *,
    size: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    batch_size: int = 4,
    finish: Callable[[images.Float, images.Float], images.Float] = lambda output, content: output,
    progress: Callable[[str], None] = lambda line: None,
) -> Job:
    """Every image in every style. `name_output(image, style)` says where to; `size`: the longer side to scale to
    first; `finish(output, content)`: what is saved. A bad image is noted and the rest is done."""
    job = Job([], [])
    total = len(inputs) * len(models)

    def fail(line: str) -> None:
        if line not in job.failed:
            job.failed.append(line)
            if total > 1:  # of a single image, the caller reports it
                progress(f"error: {line}")

    def load(model: Model) -> Iterator[tuple[tuple[Path, np.ndarray], np.ndarray]]:
        for path in inputs:
            try:
                image = images.load_image(path, max_pixels=max_pixels)
                if size:
                    h, w = images.fit(image.shape[0], image.shape[1], size, "long")
                    if h * w > max_pixels:
                        raise InputError(
                            f"{path}: --size {size} makes it {w}x{h}, {h * w:,} pixels, more than the limit of "
                            f"{max_pixels:,}; give a smaller --size or raise --max-pixels"
                        )
                image = images.resize(image, size, "long") if size else image
                if min(image.shape[:2]) < transform_net.MIN_SIDE:
                    raise InputError(
                        f"{path}: {image.shape[1]}x{image.shape[0]} is too small; at least "
                        f"{transform_net.MIN_SIDE} pixels a side, larger with --size"
                    )
            except InputError as e:
                fail(str(e))
            else:
                yield (path, image), image

    for model in models:
        for (path, content), output in run_batches(model, load(model), batch_size):
            try:
                job.written.append(images.save_image(name_output(path, model.name), finish(output, content)))
            except InputError as e:
                fail(str(e))
            else:
                progress(f"[{len(job.written)}/{total}] {job.written[-1]}")
    return job
