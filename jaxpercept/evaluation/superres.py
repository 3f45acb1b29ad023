"""Measures super-resolution as in the literature's tables: PSNR and SSIM on luma, on inputs made by
downsampling.

Pictures are cropped to a multiple of the scale, inputs and outputs are rounded to 8 bits as in
files, and `scale` pixels of border do not count. Luma is Y of BT.601 in 16-235. For a file with one
grey channel it is the grey value, and the mean of an output's RGB. MATCHED marks outputs with a
histogram matched to the input's (Johnson et al. 2016, section 4.2).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from jaxpercept import images, losses
from jaxpercept.config import DEGRADATIONS, SCALES, VGG_LAYERS, choose, superres_net
from jaxpercept.errors import InputError
from jaxpercept.evaluation import metrics, superres_report
from jaxpercept.images import resampling
from jaxpercept.inference import tiles, upscaling
from jaxpercept.inference.model import Model
from jaxpercept.nets import vgg

MATCHED = "+histogram"
LEAST_INPUT = superres_net(4).least_side  # in pixels, the same at every scale
Upscaler = Callable[[images.Float], NDArray[Any]]  # (h, w, 3) in [0, 1] to (scale·h, scale·w, 3)


def evaluate_superres(
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    scale: int,
    models: Sequence[str | os.PathLike[str]] | None = None,
    *,
    degradation: str = "bicubic",
    match: Sequence[bool] = (False, True),
    features: Sequence[str] = (),
    sheet: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Scores nearest, bicubic, Lanczos and `models` (default: see `trained_for`) on the
    images in `data`.

    degradation: see `resampling.degrade`.
    match: scores each net without and with histogram matching.
    features: VGG layers for which the feature distance to the original (ℓ_feat, equation 2) is also
    reported.
    sheet: the path of a contact sheet of crops.
    Returns {"models": {NAME: {"psnr", "ssim", …, "images": {FILE: {"psnr", "ssim", …}}}}, "scale",
    "degradation", "failed", "warnings"}. A bad image, or a sheet that cannot be written, is
    recorded in "failed", and the rest is still done. Raises InputError for a bad scale, model,
    layer or suffix, or if no image is usable."""
    choose("scale", scale, SCALES)
    choose("degradation", degradation, DEGRADATIONS)
    for layer in features:
        choose("VGG-16 layer", layer, VGG_LAYERS)
    if sheet is not None:
        images.check_writable_name(sheet)
    chosen = trained_for(degradation, scale) if models is None else models
    nets = [upscaling.load_upscaler(m, scale) for m in chosen]
    upscalers = _upscalers(scale, nets)
    warnings = [_disagreement(net, degradation) for net in nets]
    distance = feature_distance(tuple(features)) if features else None
    found = images.list_images(data)
    root = os.path.commonpath([p.absolute().parent for p in found])
    result: dict[str, Any] = {
        "models": {
            name + (MATCHED if m else ""): {"images": {}} for name in upscalers for m in match
        },
        "scale": scale,
        "degradation": degradation,
        "failed": [],
        "warnings": [w for w in warnings if w],
    }
    for line in result["warnings"]:
        progress(f"warning: {line}")
    rows: list[tuple[str, list[NDArray[Any]]]] = []
    for path in found:
        name = path.absolute().relative_to(root).as_posix()
        try:
            target, grey = _target(path, scale), images.is_grey(path)
        except InputError as e:
            result["failed"].append(e.with_flags({}))  # `evaluate superres` has no such options
            progress(f"error: {result['failed'][-1]}")
            continue
        small = resampling.degrade(target, scale, degradation)
        details: list[NDArray[Any]] = []
        where = None
        for entry, output in _outputs(upscalers, small, match):
            scores = score(output, target, scale, grey=grey)
            if distance is not None:
                scores |= distance(output, target)
            result["models"][entry]["images"][name] = scores
            if (
                sheet is not None
                and not entry.endswith(MATCHED)
                and len(rows) < superres_report.SHEET_ROWS
            ):
                where = superres_report.busiest(output, target) if where is None else where
                details.append(output[where])
        if details and where is not None:
            rows.append((name, [target, target[where], *details]))
        progress(
            f"{name}: "
            + ", ".join(f"{e} {r['images'][name]['psnr']:.2f}" for e, r in result["models"].items())
        )
    if len(result["failed"]) == len(found):
        raise InputError(
            f"none of the {len(found)} images could be used, the first: {result['failed'][0]}"
        )
    for entry in result["models"].values():
        keys = next(iter(entry["images"].values()))
        entry |= {
            key: float(np.mean([scores[key] for scores in entry["images"].values()]))
            for key in keys
        }
    if sheet is not None:
        try:
            images.save_image(sheet, superres_report.sheet(rows, result, list(upscalers)))
        except InputError as e:  # a full disk must not cost the scores
            result["failed"].append(str(e))
            progress(f"error: {e}")
    return result


def score(
    output: NDArray[np.uint8], target: NDArray[np.uint8], scale: int, *, grey: bool = False
) -> dict[str, float]:
    """Returns PSNR and SSIM of uint8 RGB (H, W, 3), measured as the module describes."""
    a, b = (
        metrics.crop_border(x.mean(-1, dtype=np.float64) if grey else metrics.luma(x / 255), scale)
        for x in (output, target)
    )
    return {"psnr": metrics.psnr(a, b, data_range=255), "ssim": metrics.ssim(a, b, data_range=255)}


def _target(path: Path, scale: int) -> NDArray[np.uint8]:
    whole = images.load_uint8(path)
    image = resampling.modcrop(whole, scale)
    if min(image.shape[:2]) < (least := LEAST_INPUT * scale):
        raise InputError(
            f"{path}: {whole.shape[1]}x{whole.shape[0]} is too small for ×{scale}; at least"
            f" {least} pixels per side"
        )
    return image


def _upscalers(scale: int, nets: Sequence[Model]) -> dict[str, Upscaler]:
    def plain(method: str) -> Upscaler:
        return lambda small: resampling.upscale(small, scale, method)

    def network(net: Model) -> Upscaler:
        return lambda small: tiles.run(net, small)

    made = {method: plain(method) for method in ("nearest", "bicubic", "lanczos")}
    for net in nets:
        name, number = net.name, 2
        while name in made:
            name, number = f"{net.name}-{number}", number + 1
        made[name] = network(net)
    return made


def _outputs(
    upscalers: dict[str, Upscaler], small: NDArray[np.uint8], match: Sequence[bool]
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    low = images.to_float(small)
    for name, upscale in upscalers.items():
        output = images.to_uint8(upscale(low))
        for matched in match:
            if matched:
                yield (
                    name + MATCHED,
                    images.to_uint8(images.match_histogram(images.to_float(output), low)),
                )
            else:
                yield name, output


def trained_for(degradation: str, scale: int) -> list[str]:
    """Returns the shipped nets of a scale that were trained on such inputs, or all of that scale if
    there is none."""
    found = upscaling.shipped(scale)
    return [n for n, header in found.items() if _inputs(header) == degradation] or list(found)


def _inputs(header: dict[str, Any]) -> str | None:
    """Returns the degradation that a net was trained on, if its header tells."""
    return header.get("training", {}).get("config", {}).get("degradation")


def _disagreement(net: Model, degradation: str) -> str | None:
    trained = _inputs(net.header)
    if trained in (None, degradation):
        return None
    return (
        f"{net.name} was trained on {trained} inputs and is measured on {degradation} ones; see "
        "--degradation"
    )


@lru_cache(maxsize=1)
def feature_distance(
    layers: tuple[str, ...],
) -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], dict[str, float]]:
    """Returns `distance(output, target)` for uint8 RGB (H, W, 3): ℓ_feat (equation 2) by layer of
    the shipped VGG-16."""
    params = vgg.prepared(vgg.load_vgg16(), layers)

    @jax.jit
    def distance(params: vgg.Params, pair: jax.Array) -> dict[str, jax.Array]:
        found = vgg.vgg_features(params, pair, layers)
        return {name: losses.feature_loss(f[:1], f[1:])[0] for name, f in found.items()}

    def measured(output: NDArray[np.uint8], target: NDArray[np.uint8]) -> dict[str, float]:
        pair = images.to_float(np.stack([output, target]))
        return {name: float(value) for name, value in distance(params, pair).items()}

    return measured
