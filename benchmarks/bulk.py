"""Measures `jaxpercept bulk stylize` beside `infer.py stylize` on the same JPEG photos, whose
longer side is 160 pixels, and on one node and two; and what an image costs besides the net.

`python -m benchmarks.bulk [--images 500] [--rounds 2] [--json FILE]`. The commands take turns, each
in a process of its own. A rate is that of the outputs between the first tenth and the last, by the
times of the files, so that it is free of the start; the seconds of the whole command are given
beside it. On a machine that does other work too, look at the processor's milliseconds per image.
Needs the `ray` extra. The nodes are `ray.cluster_utils.Cluster`'s on this machine, of one CPU each;
an actor on a node of one CPU computes with one thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.folder import make
from jaxpercept import images
from jaxpercept.errors import reporting
from jaxpercept.images import samples

ROOT = Path(__file__).resolve().parent.parent
WORDS = ["--style", "starry_night", "--stroke", "1", "--size", "160"]


def timed(words: list[str], out: Path) -> dict[str, Any]:
    """Runs a command, and returns its seconds, the rate of its outputs, and the processor seconds
    per output of it and all that it started."""
    begun, clock = time.perf_counter(), time.time()
    with open(f"{out}.log", "w+") as log:
        child = subprocess.Popen(
            [sys.executable, *words, "-o", str(out)], cwd=ROOT, stdout=log, stderr=log
        )
        spent: dict[int, float] = {}
        samples = []
        while child.poll() is None:
            spent |= _spent(child.pid)
            samples.append((time.time(), sum(spent.values())))
            time.sleep(0.25)
        seconds = time.perf_counter() - begun
        log.seek(0)
        if child.returncode:
            raise SystemExit(f"{' '.join(words)}: {log.read()[-2000:]}")
    times = sorted(path.stat().st_mtime for path in out.rglob("*.jpg"))
    first, last = times[len(times) // 10], times[-1]
    count = len(times) - 1 - len(times) // 10
    used = _at(samples, last) - _at(samples, first)
    return {
        "seconds": round(seconds, 1),
        "first_output": round(times[0] - clock, 1),
        "images_per_second": round(count / (last - first), 2),
        "processor_seconds": round(samples[-1][1], 1),
        "processor_ms_per_image": round(1000 * used / count, 1),
    } | _summary(out)


def _at(samples: list[tuple[float, float]], moment: float) -> float:
    """Returns the processor seconds that were spent until a moment."""
    return min(samples, key=lambda sample: abs(sample[0] - moment))[1]


def _spent(root: int) -> dict[int, float]:
    """Returns the processor seconds so far of a process and of each process below it."""
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
                ticks = int(fields[11]) + int(fields[12])
                spent[int(entry.name)] = ticks / os.sysconf("SC_CLK_TCK")
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: spent[pid] for pid in found if pid in spent}


def _summary(out: Path) -> dict[str, Any]:
    file = out / "_bulk" / "summary.json"
    if not file.is_file():
        return {}
    return {"worker_seconds": json.loads(file.read_text())["worker_seconds"]}


def nodes(photos: Path, made: Path, count: int) -> dict[str, Any]:
    """Runs the command on a cluster of `count` nodes of one CPU."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    args = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=args)
    try:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1)
        words = ["-m", "jaxpercept", "bulk", "stylize", str(photos), *WORDS]
        return timed([*words, "--address", cluster.address], made / f"nodes{count}")
    finally:
        cluster.shutdown()


def costs(side: int, runs: int = 15) -> dict[str, Any]:
    """Returns the milliseconds of one thread's processor time to read, decode and hash a square
    JPEG photo and to encode it, and its bytes in and out. Medians over `runs`."""
    photo = images.resize(samples.sample_photos()["astronaut"], (side, side))
    spent: dict[str, list[float]] = {"read": [], "encode": []}
    with tempfile.TemporaryDirectory() as folder:
        path = images.save_image(Path(folder) / "photo.jpg", photo)
        for _ in range(runs + 1):
            begun = time.thread_time()
            data = path.read_bytes()
            picture = images.read(data)
            hashlib.sha256(data).digest()
            read = time.thread_time()
            made = images.encode(picture, ".jpg")
            spent["read"].append(1000 * (read - begun))
            spent["encode"].append(1000 * (time.thread_time() - read))
    medians = {name: round(statistics.median(ms[1:]), 1) for name, ms in spent.items()}
    return {**medians, "bytes": len(data) + len(made)}


def main() -> None:
    parser = command.parser(__doc__)
    parser.add_argument(
        "--images", type=command.COUNT, default=500, metavar="N", help="(default: 500)"
    )
    parser.add_argument("--rounds", type=command.COUNT, default=2, metavar="N", help="(default: 2)")
    parser.add_argument(
        "--nodes", type=command.COUNT, nargs="*", default=[1, 2], metavar="N", help="(default: 1 2)"
    )
    command.add_json(parser)
    given = parser.parse_args()
    result: dict[str, Any] = {"images": given.images, "cores": os.cpu_count()}
    result["costs"] = {side: costs(side) for side in (256, 512, 1024)}
    print(result, flush=True)
    rows: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        made, photos = Path(folder), Path(folder) / "in"
        photos.mkdir()
        make(photos, given.images)
        for number in range(given.rounds):
            runs = {
                "infer.py": ["infer.py", "stylize", str(photos), *WORDS],
                "bulk": ["-m", "jaxpercept", "bulk", "stylize", str(photos), *WORDS],
            }
            for name, words in runs.items():
                rows.setdefault(name, []).append(timed(words, made / f"{name}{number}"))
                print(name, rows[name][-1], flush=True)
        for count in given.nodes:
            rows[f"nodes of one CPU: {count}"] = [nodes(photos, made, count)]
            print(count, rows[f"nodes of one CPU: {count}"], flush=True)
    for figure in ("images_per_second", "processor_ms_per_image"):
        rate = {
            name: statistics.median(row[figure] for row in found) for name, found in rows.items()
        }
        result[f"bulk / infer.py, {figure}"] = round(rate["bulk"] / rate["infer.py"], 3)
        if given.nodes:
            few, many = (rate[f"nodes of one CPU: {n}"] for n in (given.nodes[0], given.nodes[-1]))
            result[f"more nodes / fewer, {figure}"] = round(many / few, 3)
    result["rows"] = rows
    print(json.dumps(result, indent=1))
    command.keep(given.json, result)


if __name__ == "__main__":
    reporting(main)
