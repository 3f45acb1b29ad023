"""Compares style nets in the browser (WebAssembly, 1 and 2 threads) with ONNX Runtime and JAX, and
measures the page: the time to its first painting, the bytes that it loads, and its camera.

    python -m benchmarks.web --json docs/results/web.json

The nets have random weights, since speed does not depend on their values. The contenders take
turns; times are elapsed seconds, medians over the rounds, and ratios are medians of the rounds'
ratios to JAX. Run it without `nice`: Chromium sets its own priority. Needs the `export` extra, and
what `pytest -m browser` needs: Node.js, playwright-core in a folder of $NODE_PATH, and Chromium
($CHROMIUM, or one on the PATH).
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks import command
from benchmarks.machine import describe, load
from jaxpercept import config
from jaxpercept.errors import reporting
from jaxpercept.inference.model import load_model
from jaxpercept.interop.web import packages, serve, site
from jaxpercept.nets import net_file, shipped, transform_net

JAX = "jax"
SCRIPT = Path(__file__).with_suffix(".mjs")
CAMERA = (("udnie", 192), ("wave", 192), ("wave", 256), ("udnie", 256))  # light: wave
STEPS = ("downloadMs", "netMs", "compileMs", "photoMs", "runMs", "totalMs")


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Callable[..., Any]]:
    """Yields `ask(task, **given)` of web.mjs, for a site in `folder`."""
    server = serve.server(folder, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    environment = {"CHROMIUM": next(found, ""), **os.environ}
    command = ["node", SCRIPT, f"http://localhost:{server.server_address[1]}/"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:

        def ask(task: str, **given: Any) -> Any:
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps({"task": task, **given}) + "\n")
            process.stdin.flush()
            if not (line := process.stdout.readline()):
                raise SystemExit("the browser ended; see the lines above")
            return json.loads(line)

        yield ask
        assert process.stdin
        process.stdin.close()
    server.shutdown()


def written_site(folder: Path, widths: list[float], package: str | None) -> dict[float, Path]:
    """Writes a site of untrained nets, and returns their weights files by width."""
    nets = {}
    for width in widths:
        net = config.NET_PRESETS["resize"].scaled(width)
        params, stats = transform_net.init(net, seed=0)
        nets[width] = folder / f"width-{width:g}.safetensors"
        net_file.save(nets[width], net, params, stats, {"task": "style"})
    site.write(folder / "site", [str(path) for path in nets.values()], package=package)
    return nets


def contenders(
    path: Path, onnx: Path, size: int, ask: Callable[..., Any]
) -> dict[str, Callable[[], float]]:
    """Returns functions that run one net once on a square photo of `size` and return seconds."""
    photo = (np.arange(size * size * 3) % 251 / 250).astype(np.float32).reshape(1, size, size, 3)
    model = load_model(path)
    calls: dict[str, Callable[[], Any]] = {JAX: lambda: np.asarray(model(photo))}
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        calls[f"onnxruntime, {threads}"] = partial(session.run, None, {"image": photo})

    def timed(call: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            begun = time.perf_counter()
            call()
            return time.perf_counter() - begun

        call()
        return run

    found = {name: timed(call) for name, call in calls.items()}
    for threads in (1, 2):
        given = {"threads": threads, "net": path.stem, "size": size}
        found[f"webassembly, {threads}"] = lambda given=given: ask("run", **given) / 1000
    return found


def measure(calls: dict[str, Callable[[], float]], rounds: int) -> dict[str, dict[str, float]]:
    """Returns medians of seconds, and of the ratio to JAX in the same round, in turns."""
    names, seen = list(calls), {name: [] for name in calls}
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            seconds = calls[name]()
            if number:  # the first round is a warm-up
                seen[name].append(seconds)
    return {
        name: {
            "seconds": statistics.median(times),
            "ratio": statistics.median(a / b for a, b in zip(times, seen[JAX], strict=True)),
        }
        for name, times in seen.items()
    }


def shipped_site(
    count: int, seconds: float, package: str | None, styles: Sequence[str] | None
) -> dict[str, Any]:
    """Returns what the site of the shipped styles measures: the milliseconds of each step to the
    first painting, medians over `count` visits; the bytes that the first visit loads, plain and
    with gzip; and the pictures per second of the camera after so many `seconds`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site.write(folder, styles or [*shipped.singles(), "multi"], package=package)
        with browser(folder) as ask:
            visits = [ask("first") for _ in range(count)]
            camera = {
                f"{style}, {size}": ask("camera", style=style, size=size, seconds=seconds)
                for style, size in (CAMERA if seconds else ())
            }
        paths = [folder / (name or "index.html") for name in visits[0][0]["loaded"]]
        sizes = {"all files": [sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())]}
        for kind in ("page", "nets", "runtime"):
            mine = [p for p in paths if p.is_file() and _kind(p, folder) == kind]
            sizes[kind] = _bytes(mine)
        sizes["runtime, WebGPU"] = _bytes(
            [folder / "runtime" / f for f in packages.BACKENDS["webgpu"]]
        )
    found: dict[str, Any] = {
        label: {
            step: statistics.median(visit[i].get(step, 0) for visit in visits) for step in STEPS
        }
        for i, label in enumerate(("first visit", "second visit"))
    }
    return found | {"bytes, and with gzip": sizes, "camera, pictures/s": camera}


def _kind(path: Path, folder: Path) -> str:
    return first if (first := path.relative_to(folder).parts[0]) in ("nets", "runtime") else "page"


def _bytes(paths: Sequence[Path]) -> list[int]:
    data = [path.read_bytes() for path in paths]
    return [sum(map(len, data)), sum(len(gzip.compress(one, 6)) for one in data)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__, prog="python -m benchmarks.web")
    parser.add_argument("--sizes", type=command.SIDE, nargs="*", default=[256, 512], metavar="N")
    parser.add_argument(
        "--widths",
        type=command.number(float, above=0, most=8),
        nargs="*",
        default=[1.0, 0.5, 0.25],
        metavar="W",
    )
    parser.add_argument(
        "--rounds", type=command.COUNT, default=5, metavar="N", help="after a warm-up (default: 5)"
    )
    parser.add_argument(
        "--visits",
        type=command.number(int, least=0),
        default=3,
        metavar="N",
        help="first visits, each with a second one (default: 3)",
    )
    parser.add_argument(
        "--seconds",
        type=command.number(float, least=0),
        default=20,
        metavar="S",
        help="of each camera; 0 leaves them out (default: 20)",
    )
    parser.add_argument(
        "--styles", nargs="+", metavar="NAME", help="of the site (default: all shipped)"
    )
    parser.add_argument("--runtime", metavar="FOLDER", help="as of `jaxpercept web`")
    parser.add_argument(
        "--json", required=True, metavar="FILE", help="rows measured before are kept"
    )
    given = parser.parse_args(arguments)
    found = command.kept(given.json, {}, {"rows": []}) | {"machine": describe()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nets = written_site(folder, given.widths, given.runtime)
        with browser(folder / "site") as ask:
            for size in given.sizes:
                for width, path in nets.items():
                    onnx = folder / "site" / "nets" / f"{path.stem}.onnx"
                    row = {"size": size, "width": width, "rounds": given.rounds, "load": load()}
                    row |= measure(contenders(path, onnx, size, ask), given.rounds)
                    kept = [r for r in found["rows"] if (r["size"], r["width"]) != (size, width)]
                    found["rows"] = [*kept, row]
                    command.keep(given.json, found)
                    print(row, flush=True)
    if given.visits:
        found |= shipped_site(given.visits, given.seconds, given.runtime, given.styles)
    command.keep(given.json, found)


if __name__ == "__main__":
    reporting(main)
