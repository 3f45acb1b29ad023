"""Stylizes a film of 640x360 pixels, and measures the rate of `video` as a share of the rate of the
net alone.

`python -m benchmarks.film [--frames 24]`; the film is a sample photo that moves. Two contenders
take turns: the whole command from file to file, and the net on the same frames in memory, in the
same batches. Everything is compiled before. Then each part of the work is done alone, for its
processor seconds per frame, in all threads.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from benchmarks.machine import describe, load
from jaxpercept import images
from jaxpercept.errors import reporting
from jaxpercept.images import samples
from jaxpercept.images.frames import Cut, Film, Frame
from jaxpercept.inference import encoding, film_frames, films, muxing, smoothing
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.flow import Task
from jaxpercept.inference.model import Model, load_model
from jaxpercept.inference.treatment import Treatment
from jaxpercept.runtime import allocator, compilation_cache

HEIGHT, WIDTH, BATCH = 360, 640, 4


def make(path: Path, count: int) -> Path:
    """Writes a film of a photo that moves by 2 pixels per frame, with a little noise."""
    photo = next(iter(samples.sample_photos().values()))
    wide = images.resize(photo, (HEIGHT, WIDTH + 2 * count))
    random = np.random.default_rng(0)
    film = Film(path, rate=Fraction(25), time_base=Fraction(1, 12800), loop=0)  # so without sound
    frames = []
    for i in range(count):
        part = wide[:, 2 * i : 2 * i + WIDTH]
        noisy = images.to_uint8(part + random.normal(0, 0.01, part.shape).astype(np.float32))
        frames.append(Frame(noisy, Fraction(i, 25), Fraction(1, 25)))
    write(path, frames, film)
    return path


def write(path: Path, frames: list[Frame], film: Film) -> None:
    """Encodes and writes frames as `video` does."""
    encoder = encoding.Encoder(".mp4", frames[0], film, encoding.Encoding())
    for frame in frames:
        encoder.add(frame)
    muxing.write(str(path), ".mp4", [encoder.finish()], film, encoding.Encoding(), Cut())


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Returns the seconds and the processor seconds of a call."""
    begun, worked = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - begun, time.process_time() - worked


def parts(clip: Path, model: Model, count: int) -> dict[str, float]:
    """Returns the processor seconds per frame of each part of the work, done alone."""
    found: dict[str, float] = {}

    def part(name: str, call: Callable[[], Any]) -> Any:
        kept: list[Any] = []
        found[name] = timed(lambda: kept.append(call()))[1] / count
        return kept[0]

    read = part("decode", lambda: list(itertools.islice(films.open_film(clip).frames, count)))
    pixels = part("to RGB", lambda: [frame.pixels for frame in read])
    film = films.open_film(clip)
    batches = [pixels[i : i + BATCH] for i in range(0, count, BATCH)]
    seen = part("to floats", lambda: [np.stack([images.to_float(x) for x in b]) for b in batches])
    outputs = part("net", lambda: [np.asarray(model(x)) for x in seen])
    flat = list(itertools.chain.from_iterable(outputs))
    how = Treatment(grain=0.0)
    made = part(
        "finish", lambda: [film_frames.finish(f, y, how) for f, y in zip(read, flat, strict=True)]
    )
    encoder = encoding.Encoder(".mp4", made[0], film, encoding.Encoding())
    yuv = part("to YUV", lambda: [encoder.converted(frame) for frame in made])

    def encode() -> None:
        for frame in yuv:
            encoder.take(frame)
        encoder.finish()

    part("encode", encode)
    film.close()
    return found


def main() -> None:
    parser = command.parser(__doc__)
    option = parser.add_argument
    option("--frames", type=command.COUNT, default=24, metavar="N", help="per turn (default: 24)")
    option("--turns", type=command.COUNT, default=5, metavar="N", help="of each side (default: 5)")
    option("--style", default="starry_night", metavar="STYLE", help="(default: starry_night)")
    option(
        "--steady",
        type=command.number(float, least=0, most=smoothing.MOST),
        default=0.0,
        metavar="X",
        help="that of video (default: 0)",
    )
    command.add_json(parser)
    given = parser.parse_args()
    allocator.keep_freed_memory()
    compilation_cache.enable()
    model = load_model(given.style)
    with tempfile.TemporaryDirectory() as folder:
        clip, out = make(Path(folder) / "a.mp4", given.frames), Path(folder) / "b.mp4"
        known = [images.to_float(frame.pixels) for frame in films.open_film(clip).frames]
        batches = [np.stack(known[i : i + BATCH]) for i in range(0, given.frames, BATCH)]

        def alone() -> None:
            for batch in batches:
                np.asarray(model(batch))

        def whole() -> None:
            making = film_frames.Making(batch=BATCH, steady=given.steady)
            job = films.process(
                [Task(clip, "clip", out)], Treatment(grain=0.0), model, Job(1), making
            )
            assert job.written, job.failed

        sides = {"net": alone, "video": whole}
        np.asarray(model(batches[0]))  # compiles
        turns = []
        for turn in range(given.turns):
            order = itertools.islice(itertools.cycle(sides), turn % 2, turn % 2 + 2)
            seconds = {name: timed(sides[name]) for name in order}
            turns.append({name: seconds[name] for name in sides})
            shares = [seconds["net"][i] / seconds["video"][i] for i in (0, 1)]
            rates = ", ".join(f"{n} {given.frames / seconds[n][0]:.2f}" for n in sides)
            print(f"{rates} frames/s, share {shares[0]:.3f}, of work {shares[1]:.3f}", flush=True)
        share, work = (
            statistics.median(turn["net"][i] / turn["video"][i] for turn in turns) for i in (0, 1)
        )
        print(f"median share {share:.3f}, of the processor seconds {work:.3f}")
        each = parts(clip, model, given.frames)
    for name, value in each.items():
        print(f"{name:10} {1000 * value:7.2f} ms of processor time per frame")
    if given.json:
        kept = {
            "machine": describe(),
            "load": load(),
            "cores used": len(os.sched_getaffinity(0)),
            "style": given.style,
            "size": f"{WIDTH}x{HEIGHT}",
            "frames": given.frames,
            "seconds": turns,
            "share": share,
            "share of processor seconds": work,
            "processor seconds per frame": each,
        }
        command.keep(given.json, kept)


if __name__ == "__main__":
    reporting(main)
