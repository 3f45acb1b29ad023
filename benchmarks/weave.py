"""Measures the weave of super-resolution nets: fine stripes along the axes that a net draws on
smooth surfaces from the last bits of its input.

    python -m benchmarks.weave --data Set5/ Set14/ --scale 4 \\
        --json docs/results/superres_weave_x4.json

Pictures are those of `evaluate superres`: cropped to a multiple of the scale, inputs by MATLAB's
bicubic, outputs rounded to 8 bits. Luma is Y of BT.601 in 16-235. Windows have 32x32 pixels and
begin at every eighth row and column, from the top left corner as far as they fit. A window counts
if the standard deviation of the original's luma in it is below 3. Its mean is subtracted, it is
multiplied by a Hann window and Fourier transformed. The X-band holds periods of 2.3 to 3.6 pixels
along one axis and at least 8 (or infinite) along the other. The diagonal holds 2.3 to 3.6 along
both. The results, over all windows of all pictures, are

    x_band   the root of the mean power in the X-band, in grey values: noise of deviation 1 has 0.42
    aniso    the mean power per frequency in the X-band over that in the diagonal: noise has 1

The noise probe is a grey of 128 plus Gaussian noise of deviation 1, rounded, of 64x64 pixels: a net
without the weave enlarges it to a smooth surface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import command
from jaxpercept import images
from jaxpercept.config import SCALES
from jaxpercept.errors import InputError, reporting
from jaxpercept.evaluation import metrics
from jaxpercept.evaluation import superres as evaluation
from jaxpercept.images import resampling
from jaxpercept.inference import tiles, upscaling

SIDE, STRIDE = 32, 8  # pixels of a window, and between two windows
SMOOTH = 3.0  # windows with a smaller deviation of the original's luma count
SHORT, LONG = (2.3, 3.6), 8.0  # periods in pixels
Pair = tuple[NDArray[Any], NDArray[Any]]  # the output and the original, uint8 (H, W, 3)


def bands() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns the X-band and the diagonal as masks of a window's spectrum."""
    frequency = np.abs(np.fft.fftfreq(SIDE))
    fine = (frequency >= 1 / SHORT[1]) & (frequency <= 1 / SHORT[0])
    coarse = frequency <= 1 / LONG
    across = fine[:, None] & coarse
    return across | across.T, fine[:, None] & fine


def spectra(output: NDArray[Any], original: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the power of the output's windows that count, (windows, 32, 32). Its sum over a
    window is the mean square of the window weighted by Hann."""
    y, y0 = (_windows(metrics.luma(x / 255)) for x in (output, original))
    y = y[y0.std((1, 2)) < SMOOTH]
    hann = np.hanning(SIDE + 1)[:-1]
    weights = hann[:, None] * hann
    transformed = np.fft.fft2((y - y.mean((1, 2), keepdims=True)) * weights)
    return np.abs(transformed) ** 2 / (SIDE**2 * np.square(weights).sum())


def _windows(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    every = np.lib.stride_tricks.sliding_window_view(luma, (SIDE, SIDE))
    return every[::STRIDE, ::STRIDE].reshape(-1, SIDE, SIDE)


def weave(pairs: Iterator[Pair] | list[Pair]) -> dict[str, float]:
    """Returns {"x_band", "aniso", "windows"} over all pairs. Raises InputError if no window is
    smooth."""
    power = np.concatenate([spectra(*pair) for pair in pairs])
    if not len(power):
        raise InputError("no window of the originals is smooth enough to count")
    across, diagonal = bands()
    mean = power.mean(0)
    return {
        "x_band": float(np.sqrt(mean[across].sum())),
        "aniso": float(mean[across].mean() / mean[diagonal].mean()),
        "windows": len(power),
    }


def probe(upscale: Callable[[images.Float], NDArray[Any]], scale: int) -> dict[str, float]:
    """Returns the weave of the noise probe."""
    noise = np.random.default_rng(0).normal(128, 1, (64, 64, 1)).repeat(3, -1)
    output = images.to_uint8(upscale(images.to_float(np.rint(noise).astype(np.uint8))))
    return weave([(output, np.full((64 * scale, 64 * scale, 3), 128, np.uint8))])


def measure(
    paths: list[Path], scale: int, upscale: Callable[[images.Float], Any]
) -> Iterator[Pair]:
    """Yields output and original of each file."""
    for path in paths:
        target = resampling.modcrop(images.load_uint8(path), scale)
        small = images.to_float(resampling.degrade(target, scale))
        yield images.to_uint8(upscale(small)), target


def main() -> None:
    """Prints a table; `--json` stores it."""
    parser = command.parser(__doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--scale", type=int, choices=SCALES, default=4, metavar="N")
    parser.add_argument(
        "--model", nargs="+", metavar="M", help="default: the shipped for bicubic inputs"
    )
    command.add_json(parser)
    given = parser.parse_args()
    nets = [
        upscaling.load_upscaler(m, given.scale)
        for m in given.model or evaluation.trained_for("bicubic", given.scale)
    ]
    result: dict[str, Any] = {}

    def found(place: str, name: str, row: dict[str, float]) -> None:
        result.setdefault(place, {})[name] = row
        print(
            f"{place:12} {name:24} x_band {row['x_band']:.2f}  aniso {row['aniso']:5.1f}  "
            f"{row['windows']} windows",
            flush=True,
        )

    for folder in given.data:
        paths, place = images.list_images(folder), Path(folder).name
        originals = [(t, t) for _, t in measure(paths, given.scale, lambda x: x)]
        found(place, "original", weave(originals))
        for net in nets:
            pairs = measure(paths, given.scale, lambda x, n=net: tiles.run(n, x))
            found(place, net.name, weave(pairs))
    for net in nets:
        row = probe(lambda x, n=net: tiles.run(n, x), given.scale)
        found("noise probe", net.name, row)
    command.keep(given.json, result)


if __name__ == "__main__":
    reporting(main)
