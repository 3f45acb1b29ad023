"""A training's memory does not grow with its steps."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import step_runs

from jaxpercept import images
from jaxpercept.runtime import allocator
from jaxpercept.training import loop

STATUS = Path("/proc/self/status")
BOUND = 8.0  # MiB over 35 steps, of which each may keep some bookkeeping
pytestmark = [
    pytest.mark.usefixtures("cheap_trainings"),
    pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc"),
]


def used():
    """Returns the MiB that this process has written to. A busy system moves some of them to swap,
    and drops and reads again the pages of libraries, which therefore do not count."""
    allocator.release()
    about = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    parts = about.get("RssAnon", about["VmRSS"]), about.get("VmSwap", "0 kB")
    return sum(int(part.split()[0]) for part in parts) / 1024


def growth(folder, each=lambda: None):
    """Returns how much more memory steps 40 to 50 hold than steps 5 to 15, in MiB: the least of
    each, as a step at work holds its scratch."""
    random, held = np.random.default_rng(0), {}
    for i in range(4):
        images.save_image(folder / "photos" / f"{i}.png", random.random((64, 64, 3)))
    made = dataclasses.replace(
        step_runs.pixel_config(folder / "photos", folder / "run"),
        **{"steps": 50, "batch_size": 8, "image_size": 32},
        **{"checkpoint_every": 100, "preview_every": 100},
    )

    def watch(line):
        each()
        held[line["step"]] = used()

    loop.train(made, on_log=watch)
    return min(held[i] for i in range(40, 51)) - min(held[i] for i in range(5, 16))


def test_memory_is_flat_over_the_steps_and_a_leak_would_be_seen(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(allocator.Trimmer, "step", lambda self: calls.append(1))
    assert growth(tmp_path / "flat") < BOUND
    assert len(calls) == 49  # after each step but the last
    kept = []
    leak = growth(tmp_path / "leak", lambda: kept.append(np.ones(2**20, np.uint8)))
    assert leak > BOUND
