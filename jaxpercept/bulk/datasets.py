"""Applies a net as a step of a user's Ray Data pipeline: images in one column, results in
another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import images
from jaxpercept.bulk import cluster, engine, places, recipe
from jaxpercept.bulk.recipe import Recipe
from jaxpercept.config.bulk import BulkConfig
from jaxpercept.errors import InputError
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.flow import Task, process
from jaxpercept.inference.model import Net
from jaxpercept.inference.treatment import Treatment


def stylize(
    dataset: Any,
    *,
    style: str,
    column: str = "image",
    into: str = "stylized",
    how: Treatment | None = None,
    batch_size: int | None = None,
    precision: str = "float32",
    runtime: str = "jax",
    config: BulkConfig | None = None,
) -> Any:
    """Returns the Ray dataset with one more column, `into`: the images of `column` in this style.

    `column` holds arrays (H, W, 3), uint8 or floats in [0, 1]; the bytes of image files; or names
    of files. `into` holds uint8 arrays (H, W, 3). If a row fails, its array has no pixels, and the
    column `error` gives the reason; otherwise `error` is empty. `style`, `how`, `batch_size`,
    `precision` and `runtime` mean what they mean for the command `stylize`. This call evaluates
    nothing; the dataset does when it is read."""
    made = recipe.stylizing(
        style,
        how or Treatment(stroke=None),
        batch_size=batch_size,
        precision=precision,
        runtime=runtime,
    )
    return _mapped(dataset, made, column, into, config or BulkConfig())


def upscale(
    dataset: Any,
    *,
    model: str | None = None,
    column: str = "image",
    into: str = "upscaled",
    how: Treatment | None = None,
    sharpness: float | None = None,
    precision: str = "float32",
    runtime: str = "jax",
    config: BulkConfig | None = None,
) -> Any:
    """Returns the Ray dataset with the enlarged images in the column `into`. `model` and
    `sharpness` mean what they mean for the command `upscale`, and `how.factor` is its `--scale`.
    Everything else is as for `stylize`."""
    how = how or Treatment(keep_grey=True)
    more: dict[str, Any] = {"sharpness": sharpness, "precision": precision, "runtime": runtime}
    made = recipe.upscaling_by(model, how, **more)
    return _mapped(dataset, made, column, into, config or BulkConfig())


def _mapped(dataset: Any, made: Recipe, column: str, into: str, config: BulkConfig) -> Any:
    library = cluster.ray()
    if not library.is_initialized():
        cluster.connect(library, config)
    actors, cpus, gpus = cluster.pool([*cluster.alive(library).values()], config, spare=True)
    return dataset.map_batches(
        Columns,
        fn_constructor_kwargs={
            "recipe": made,
            "column": column,
            "into": into,
            "share": (cpus, gpus),
        },
        batch_size=config.task_size or 16,
        compute=library.data.ActorPoolStrategy(size=actors),
        num_cpus=cpus,
        num_gpus=gpus or None,
    )


class Columns:
    """Takes a batch as a dict of arrays, and returns it with the columns `into` and `error`."""

    def __init__(
        self, recipe: Recipe, column: str, into: str, share: tuple[float, float] | None = None
    ):
        if share is not None:  # the process is an actor's: its CPUs and GPUs
            engine.settle(*share)
        self._recipe, self._column, self._into = recipe, column, into
        self._net: Net | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        if self._column not in batch:
            raise InputError(f"no column {self._column!r}; the columns are {', '.join(batch)}")
        made, errors = self._made(batch[self._column])
        column = np.empty(len(made), object)
        column[:] = made
        return {**batch, self._into: column, "error": np.array(errors, object)}

    def _made(self, sources: Sequence[Any]) -> tuple[list[np.ndarray], list[str]]:
        if self._net is None:
            self._net = self._recipe.load()
        job = _Gathered(len(sources))
        tasks = []
        for number, source in enumerate(sources):
            name = source if isinstance(source, str) else f"row {number} of {self._column}"
            try:
                take = partial(job.take, number)
                tasks.append(Task(_source(source), name, Path(name), ".png", take, number))
            except InputError as error:
                job.fail(error, number)
        process(tasks, self._recipe.how, self._net, job, batch_size=self._recipe.batch, alone=True)
        return job.made, job.errors


class _Gathered(Job):
    """Keeps a job's outputs in memory."""

    def __init__(self, count: int):
        super().__init__(count)
        self.made = [np.zeros((0, 0, 3), np.uint8) for _ in range(count)]
        self.errors = [""] * count

    def take(self, number: int, picture: images.Picture) -> None:
        """Keeps an output, with transparency laid on white."""
        self.made[number] = images.to_uint8(picture.over_white())

    def fail(self, error: InputError, key: Any = None) -> None:
        """Keeps the reason why a row failed."""
        self.errors[key] = str(error)


def _source(value: Any) -> images.Source:
    """Returns what the flow can read: for the bytes of a file, a stream of them."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return places.read(value)
    array = np.asarray(value)
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise InputError(f"an array of shape {array.shape}; give images (height, width, 3)")
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"an array of {array.dtype}; give uint8, or floats in [0, 1]")
    if not np.isfinite(array).all():
        raise InputError("an array with values that are not finite; give floats in [0, 1]")
    return images.encode(images.Picture(array, None), ".bmp", strip=True)
