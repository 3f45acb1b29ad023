"""Super-resolution nets at work: images enlarged whole or in tiles, and the shipped nets by scale.

Images are (H, W, 3) in [0, 1]; outputs are uint8 (scale·H, scale·W, 3), rounded as in a file. A net
without instance norm or stride-2 layers sees a fixed neighbourhood, so tiles that overlap by it are
equal to the whole. After the net, each channel's histogram is matched to the input's (Johnson et
al. 2016, section 4.2).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept import images
from jaxpercept.config import TransformNetConfig, net_from_dict
from jaxpercept.errors import InputError
from jaxpercept.images import resampling
from jaxpercept.inference.file_jobs import Job, ahead, overlapping
from jaxpercept.inference.model import Model, load_model
from jaxpercept.nets import weights_file

MIN_INPUT = 8  # pixels a side
TILE_OUTPUT = 1024  # pixels a side of a tile's output; images of more than four such tiles are cut by themselves


def shipped(scale: int) -> list[str]:
    """The shipped super-resolution nets of a scale, by their files' headers."""
    found = []
    for name in weights_file.available("superres"):
        path = weights_file.resolve(name, "superres")
        _, header = weights_file.read_weights(path)
        if "net" in header and net_from_dict(header["net"], str(path)).scale == scale:
            found.append(name)
    return found


def default_model(scale: int) -> str:
    """The first shipped net of a scale. InputError when there is none, with what there is and how
    to train one."""
    if found := shipped(scale):
        return found[0]
    raise InputError(
        f"no net of scale {scale} is shipped (there is: "
        f"{', '.join(weights_file.available('superres')) or 'none'}); "
        f"train one: python train.py superres --scale {scale} --loss pixel --data PHOTOS/ --out "
        "RUN, "
        "then give --model RUN/model.safetensors"
    )


def load_upscaler(
    name_or_file: str | os.PathLike[str], scale: int | None = None, *, precision: str = "float32"
) -> Model:
    """A super-resolution net, shipped or from a file, of `scale` if given. InputError when it is of
    another, naming those that fit, or no super-resolution net."""
    model = load_model(name_or_file, kind="superres", precision=precision)
    if model.config.scale == 1:
        raise InputError(
            f"{name_or_file}: a net of scale 1, a style's; give a super-resolution net"
        )
    if scale not in (None, model.config.scale):
        fitting = ", ".join(shipped(scale)) or "none is shipped"
        raise InputError(
            f"{name_or_file}: a net of scale {model.config.scale}, not {scale}; of scale {scale}: "
            f"{fitting}"
        )
    return model


def reach(config: TransformNetConfig) -> int | None:
    """How many input pixels around one its output depends on; None when that is all of them
    (instance norm), or when it moves with the position (stride-2 layers, start padding)."""
    if config.norm == "instance" or config.down or config.start_padding:
        return None
    pixels = config.head_size // 2
    for _ in config.up:
        pixels = math.ceil(pixels / 2) + 1  # a 3×3 convolution at every doubling
    pixels += config.stem_size // 2 + 2 * config.blocks
    return max(pixels, 2 if config.skip == "bicubic" else 0)


def run(model: Model, x: images.Float, *, tile: int | None = None) -> NDArray[np.uint8]:
    """The net's output for one image (h, w, 3): uint8 (scale·h, scale·w, 3).

    tile: input pixels a side of the tiles, 0 for none; None: tiles for large images. Equal to the
    whole within rounding. InputError for a net that cannot be tiled."""
    scale, overlap = model.config.scale, reach(model.config)
    h, w = x.shape[:2]
    if tile is None:
        side = TILE_OUTPUT // scale
        tile = side if overlap is not None and h * w > 4 * side**2 else 0
    if not tile or max(h, w) <= tile:
        return images.to_uint8(np.asarray(model(x[None]))[0])
    if overlap is None:
        raise InputError(
            f"{model.name}: its norm sees the whole image, so it cannot work in tiles; leave out "
            "--tile"
        )
    out = np.empty((scale * h, scale * w, 3), np.uint8)
    for top, bottom, row, rows in _tiles(h, tile, overlap):
        for left, right, column, columns in _tiles(w, tile, overlap):
            part = np.asarray(model(x[None, row : row + rows, column : column + columns]))[0]
            part = part[
                scale * (top - row) : scale * (bottom - row),
                scale * (left - column) : scale * (right - column),
            ]
            out[scale * top : scale * bottom, scale * left : scale * right] = images.to_uint8(part)
    return out


def _tiles(size: int, tile: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    """(first, end) of what each tile is good for along one axis, and (start, length) of what the
    net sees for it: of one length, so that it is compiled once."""
    length = min(size, tile + 2 * overlap)
    for first in range(0, size, tile):
        yield first, min(first + tile, size), min(max(first - overlap, 0), size - length), length


def upscale_image(
    model: Model,
    path: str | os.PathLike[str],
    *,
    match: bool = True,
    tile: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
) -> tuple[NDArray[np.uint8], images.Float | None]:
    """An image file enlarged: uint8 (scale·H, scale·W, 3), and its transparency (scale·H, scale·W)
    by bicubic interpolation, None for an opaque one. A grey file stays grey. `match`: the
    histogram, to the input's.

    InputError for a broken or too small file, or a result of more than `max_pixels`."""
    _check_size(path, model.config.scale, max_pixels)
    source = images.read(path, max_pixels=max_pixels)
    finished = _finished(source, run(model, source.pixels, tile=tile), match)
    return finished.pixels, finished.alpha


def _check_size(path: str | os.PathLike[str], scale: int, max_pixels: int) -> int:
    """The pixels of the result. InputError for too few or too many."""
    h, w = images.size_of(path, max_pixels=max_pixels)
    if min(h, w) < MIN_INPUT:
        raise InputError(f"{path}: {w}x{h} is too small; at least {MIN_INPUT} pixels a side")
    if (count := h * w * scale**2) > max_pixels:
        raise InputError(
            f"{path}: {w}x{h} would become {w * scale}x{h * scale}, {count:,} pixels, more than "
            "the limit of "
            f"{max_pixels:,}; shrink it or raise --max-pixels"
        )
    return count


def _finished(source: images.Picture, output: NDArray[np.uint8], match: bool) -> images.Picture:
    """The net's output, with all that the file has besides its colours."""
    rgb, alpha = source.pixels, source.alpha
    scale = output.shape[0] // rgb.shape[0]
    if source.grey:
        output = np.repeat(
            images.to_uint8(images.to_float(output).mean(-1, keepdims=True)), 3, axis=-1
        )
    if match:
        output = images.to_uint8(images.match_histogram(output, images.to_uint8(rgb)))
    if alpha is not None:
        alpha = np.clip(resampling.upscale(alpha[..., None], scale)[..., 0], 0, 1)
    return source.replaced(output, alpha)


def upscale_files(
    inputs: Sequence[Path],
    model: Model,
    name_output: Callable[[Path], Path],
    *,
    match: bool = True,
    tile: int | None = None,
    max_pixels: int = images.MAX_PIXELS,
    skip_existing: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Job:
    """Every image, to where `name_output` says; an output that exists is left alone with
    `skip_existing`. A bad image is noted and the rest is done."""
    job = Job(len(inputs), progress)
    named = [(path, name_output(path)) for path in inputs]
    todo = [(path, target) for path, target in named if not (skip_existing and job.skip(target))]

    def work() -> Iterator[tuple[Path, Callable[[], Any], int]]:
        for path, target in todo:
            try:
                cost = _check_size(path, model.config.scale, max_pixels)
            except InputError as e:
                job.fail(e)
            else:
                yield target, partial(images.read, path, max_pixels=max_pixels), cost

    def save(target: Path, source: images.Picture, output: NDArray[np.uint8]) -> Path:
        return images.save(target, _finished(source, output, match))

    with overlapping(job) as (readers, writer):
        for target, future in ahead(readers, work()):
            try:
                source = future.result()
                output = run(model, source.pixels, tile=tile)
            except InputError as e:
                job.fail(e)
            else:
                writer.write(
                    partial(save, target, source, output), output.shape[0] * output.shape[1]
                )
    return job
