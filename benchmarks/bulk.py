"""Measures `jaxpercept bulk stylize` beside `infer.py stylize` on the same JPEG photos, whose
longer side is 160 pixels, and on one node and two.

`python -m benchmarks.bulk [--images 500] [--rounds 2] [--json FILE]`. The commands take turns, each
in a process of its own. A rate is that of the outputs between the first tenth and the last, by the
times of the files, so that it is free of the start; the seconds of the whole command are given
beside it. Needs the `ray` extra. The nodes are `ray.cluster_utils.Cluster`'s on this machine, of
one CPU each; an actor on a node of one CPU computes with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.folder import make

ROOT = Path(__file__).resolve().parent.parent
WORDS = ["--style", "starry_night", "--stroke", "1", "--size", "160"]


def timed(words: list[str], out: Path) -> dict[str, float]:
    """Runs a command, and returns its seconds and the rate of its outputs."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words, "-o", str(out)], cwd=ROOT, capture_output=True, text=True
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")
    times = sorted(path.stat().st_mtime for path in out.rglob("*.jpg"))
    tenth = len(times) // 10
    return {
        "seconds": round(seconds, 1),
        "images_per_second": round((len(times) - 1 - tenth) / (times[-1] - times[tenth]), 2),
        "first_output": round(seconds - (times[-1] - times[0]), 1),
    } | _summary(out)


def _summary(out: Path) -> dict[str, Any]:
    file = out / "_bulk" / "summary.json"
    if not file.is_file():
        return {}
    return {"worker_seconds": json.loads(file.read_text())["worker_seconds"]}


def nodes(photos: Path, made: Path, count: int) -> dict[str, float]:
    """The command on a cluster of so many nodes of one CPU."""
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500, metavar="N", help="(default: 500)")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="(default: 2)")
    parser.add_argument("--json", metavar="FILE", help="where to keep the figures")
    given = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
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
        for count in (1, 2):
            rows[f"nodes of one CPU: {count}"] = [nodes(photos, made, count)]
            print(count, rows[f"nodes of one CPU: {count}"], flush=True)
    rate = {
        n: statistics.median(r["images_per_second"] for r in found) for n, found in rows.items()
    }
    result = {
        "images": given.images,
        "cores": os.cpu_count(),
        "bulk / infer.py": round(rate["bulk"] / rate["infer.py"], 3),
        "two nodes / one": round(rate["nodes of one CPU: 2"] / rate["nodes of one CPU: 1"], 3),
        "rows": rows,
    }
    print(json.dumps(result, indent=1))
    if given.json:
        Path(given.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
