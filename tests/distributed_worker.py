"""One of two processes that tests/test_distributed.py starts: `distributed_worker.py COORDINATOR ID
FOLDER`.

It runs the steps of both engines and keeps the results. Then it runs a whole training that SIGTERM
stops and that resumes.
"""

import json
import os
import signal
import sys
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_numpy_rank_promotion", "raise")

import step_runs  # noqa: E402 - after the configuration

from jaxpercept.errors import InputError  # noqa: E402
from jaxpercept.runtime import compilation_cache  # noqa: E402
from jaxpercept.training import loop, processes  # noqa: E402


def train_and_stop(photos: Path, out: Path, number: int) -> None:
    """Only process 1 is told to stop, at step 3. The same call again continues to the end."""
    made = step_runs.train_config(photos, out)
    pid = out.parent / "pid"
    if number == 1:
        pid.write_text(str(os.getpid()))

    def stop(line: dict[str, float]) -> None:
        if line["step"] == 3:
            os.kill(int(pid.read_text()), signal.SIGTERM)

    loop.train(made, on_log=stop)
    (out.parent / f"stopped{number}.json").write_text(
        json.dumps(sorted(p.name for p in out.glob("checkpoints/*")))
    )
    processes.gather(np.zeros(1, np.uint32))
    loop.train(made)


def main(coordinator: str, number: int, folder: Path) -> None:
    compilation_cache.enable()
    with processes.join((coordinator, 2, number)):
        for engine in ("shard_map", "pmap"):
            found = step_runs.both_widths(
                step_runs.mapped, step_runs.make_config(engine), jax.devices()
            )
            np.savez(folder / f"{engine}{number}.npz", **found)
        train_and_stop(folder / "photos", folder / "run", number)
        try:
            processes.check_same(fine=1, settings=number)
        except InputError as e:
            (folder / f"differ{number}.txt").write_text(str(e))


main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
