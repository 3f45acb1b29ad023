"""Stylizes a folder of JPEG photos of mixed sizes to JPEG, and measures its rate as a share of the
net's alone.

`python -m benchmarks.folder [--data D …] [--images 500]`; without `--data`, the sample photos in
four sizes. Two contenders take turns, part by part: the whole command from files to files, and the
net on the same images in memory, in the same batches. With `--runtime openvino --precision
bfloat16`, the whole command in that runtime is a third. Everything is compiled before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from jaxpercept import images
from jaxpercept.config import PRECISIONS, RUNTIMES
from jaxpercept.errors import reporting
from jaxpercept.images import samples
from jaxpercept.inference.batches import run_batches
from jaxpercept.inference.flow import Task, process
from jaxpercept.inference.model import Net, load_model
from jaxpercept.inference.treatment import Treatment
from jaxpercept.interop import exported_net
from jaxpercept.runtime import allocator, compilation_cache

SIZES = ((256, 256), (240, 320), (384, 256), (300, 400))


def make(folder: Path, count: int) -> list[Path]:
    """Writes `count` JPEG files of the sample photos, in each of SIZES."""
    photos = list(samples.sample_photos().values())
    kinds = [images.resize(photo, size) for photo in photos for size in SIZES]
    first = [images.save_image(folder / f"{i}.jpg", kind) for i, kind in enumerate(kinds[:count])]
    for i in range(len(first), count):
        shutil.copy(first[i % len(first)], folder / f"{i}.jpg")
    return sorted(folder.iterdir())


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--data", nargs="+", metavar="D", help="photos, as infer.py takes them")
    parser.add_argument(
        "--images", type=command.COUNT, default=500, metavar="N", help="at most (default: 500)"
    )
    parser.add_argument(
        "--parts",
        type=command.COUNT,
        default=5,
        metavar="N",
        help="turns of each side (default: 5)",
    )
    parser.add_argument(
        "--style", default="starry_night", metavar="STYLE", help="(default: starry_night)"
    )
    parser.add_argument(
        "--runtime", choices=[r for r in RUNTIMES if r != "jax"], help="another runtime to compare"
    )
    parser.add_argument(
        "--precision", default="float32", choices=PRECISIONS, help="of --runtime (default: float32)"
    )
    command.add_json(parser)
    given = parser.parse_args()
    allocator.keep_freed_memory()
    compilation_cache.enable()
    model = load_model(given.style)
    other = exported_net.nets([model], given.runtime, given.precision) if given.runtime else []
    with tempfile.TemporaryDirectory() as made:
        source, out = Path(made) / "in", Path(made) / "out"
        source.mkdir()

        def name_output(path: Path, style: str) -> Path:
            return out / f"{path.stem}_{style}.jpg"

        paths = (images.list_images(given.data) if given.data else make(source, given.images))[
            : given.images
        ]
        ratios, faster = [], []
        for number, part in enumerate([paths, *np.array_split(np.array(paths), given.parts)]):
            files = [Path(path) for path in part]
            decoded = [(i, images.load_image(path)) for i, path in enumerate(files)]

            def alone(decoded: list[tuple[int, np.ndarray]] = decoded) -> None:
                for _ in run_batches(model, iter(decoded), 4):
                    pass

            def whole(net: Net = model, files: list[Path] = files) -> None:
                tasks = [Task(f, str(f), name_output(f, given.style)) for f in files]
                job = process(tasks, Treatment(grain=0.0), net, batch_size=4)
                assert len(job.written) == len(files), job.failed

            sides = {"net": alone, "folder": whole}
            sides |= {f"folder in {net.loaded.about}": partial(whole, net) for net in other}
            first = number % len(sides)
            order = [*sides][first:] + [*sides][:first]
            seconds = {}
            for name in order if number else [name for name in sides if name != "folder"]:
                begun = time.perf_counter()
                sides[name]()
                seconds[name] = time.perf_counter() - begun
            if number:  # the first run compiles
                ratios.append(seconds["net"] / seconds["folder"])
                faster += [seconds["folder"] / seconds[name] for name in [*sides][2:]]
                rates = ", ".join(f"{name} {len(files) / seconds[name]:.2f}" for name in sides)
                print(f"{len(files)} images: {rates} images/s, share {ratios[-1]:.3f}", flush=True)
        sizes = len({image.shape for _, image in ((p, images.load_image(p)) for p in paths)})
        print(f"{len(paths)} images of {sizes} sizes: median share {np.median(ratios):.3f}")
        if other:
            print(f"{[*sides][2]}: median {np.median(faster):.2f} times the folder's rate")
        if given.json:
            kept: dict[str, Any] = {
                "style": given.style,
                "images": len(paths),
                "sizes": sizes,
                "cores": os.cpu_count(),
                "shares": ratios,
                "median": float(np.median(ratios)),
            }
            if other:
                kept |= {"other": other[0].loaded.about, "faster": faster}
                kept |= {"median_faster": float(np.median(faster))}
            command.keep(given.json, kept)


if __name__ == "__main__":
    reporting(main)
