"""Style nets over image files: every image in every style, whole files only, whatever stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from jaxpercept import images
from jaxpercept.errors import InputError
from jaxpercept.inference import tiles
from jaxpercept.inference.file_jobs import Job, Writer, ahead, overlapping
from jaxpercept.inference.model import Model, run_batches
from jaxpercept.nets import transform_net

Finish = Callable[[images.Float, images.Float], images.Float]


def stylize_files(
    inputs: Sequence[Path],
    models: Sequence[Model],
    name_output: Callable[[Path, str], Path],
    *,
    size: int | None = None,
    tile: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    batch_size: int = 4,
    skip_existing: bool = False,
    grain: float = 0.0,
    finish: Finish = lambda output, content: output,
    progress: Callable[[str], None] = lambda line: None,
) -> Job:
    """`name_output(image, style)` says where to; `size`: the longer side to scale to first; `tile`:
    side of the tiles of `streaming`, 0 for none, None where memory asks for them; `grain`: of
    `images.grain`, for the net alone; `finish(output, content)`: what is saved. An output that
    exists is left alone with `skip_existing`. A bad image is noted and the rest is done."""
    job = Job(len(inputs) * len(models), progress)
    named = [[(path, name_output(path, model.name)) for path in inputs] for model in models]
    with overlapping(job) as (readers, writer):
        for model, files in zip(models, named, strict=True):
            todo = [
                (path, target) for path, target in files if not (skip_existing and job.skip(target))
            ]
            large = partial(
                tiles.stylize_file,
                model,
                size=size,
                max_pixels=max_pixels,
                grain=grain,
                finish=finish,
                progress=progress,
            )
            decoded = _decoded(
                readers, model, todo, size, tile, max_pixels, grain, job, large, writer
            )
            for (target, content), output in run_batches(model, decoded, batch_size):
                writer.write(
                    partial(_save, target, finish, output, content),
                    output.shape[0] * output.shape[1],
                )
    return job


def _decoded(
    pool: ThreadPoolExecutor,
    model: Model,
    files: Sequence[tuple[Path, Path]],
    size: int | None,
    tile: int | None,
    max_pixels: int,
    grain: float,
    job: Job,
    large: Callable[..., np.ndarray],
    writer: Writer,
) -> Iterator[tuple[tuple[Path, images.Float], images.Float]]:
    """Images for `run_batches`, decoded ahead, keyed by target and content; what needs tiles is
    done at its turn."""

    def work() -> Iterator[tuple[Path, Callable[[], tuple[images.Float, images.Float]], int]]:
        for path, target in files:
            try:
                h, w = _checked_size(path, size, max_pixels)
                side = tiles.choose_tile(model, h, w) if tile is None else tile
                if side:
                    output = large(path, tile=side)
            except InputError as e:
                job.fail(e)
                continue
            if side:
                writer.write(partial(images.save_image, target, output), h * w)
            else:
                yield target, partial(_load, path, size, max_pixels, grain), h * w

    for target, future in ahead(pool, work()):
        try:
            content, seen = future.result()
        except InputError as e:
            job.fail(e)
        else:
            yield (target, content), seen


def _load(
    path: Path, size: int | None, max_pixels: int, grain: float
) -> tuple[images.Float, images.Float]:
    """The content, and what the net sees of it."""
    image = images.load_image(path, max_pixels=max_pixels)
    content = images.resize(image, size, "long") if size else image
    return content, images.grain(content, grain)


def _save(target: Path, finish: Finish, output: np.ndarray, content: images.Float) -> Path:
    return images.save_image(target, finish(output, content))


def _checked_size(path: Path, size: int | None, max_pixels: int) -> tuple[int, int]:
    """An image's height and width, at the longer side `size` if given. InputError for too small or
    too large."""
    h, w = images.size_of(path, max_pixels=max_pixels)
    h, w = images.fit(h, w, size, "long") if size else (h, w)
    if h * w > max_pixels:
        raise InputError(
            f"{path}: --size {size} makes it {w}x{h}, {h * w:,} pixels, more than the limit of "
            f"{max_pixels:,}; give a "
            "smaller --size or raise --max-pixels"
        )
    if min(h, w) < transform_net.MIN_SIDE:
        raise InputError(
            f"{path}: {w}x{h} is too small; at least {transform_net.MIN_SIDE} pixels a side, "
            "larger with --size"
        )
    return h, w
