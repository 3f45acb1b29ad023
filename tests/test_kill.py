"""Kills a run with kill -9 at random moments, twenty times, and nothing is lost: `pytest -m slow -n
0 tests/test_kill.py -s`.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import step_runs
from helpers import save_noise

from jaxpercept.training import runs
from jaxpercept.training.checkpoint import Checkpoints
from jaxpercept.training.start import init_state

KILLS, MOST = 24, 10  # a run makes at most so many new steps before it is killed


@pytest.fixture
def photos(tmp_path):
    return save_noise(tmp_path / "photos", [f"{i}.png" for i in range(6)], 24, 28)


def start(root, photos, out, *last):
    environment = {**os.environ, "PYTHONPATH": str(root), "XLA_FLAGS": ""}
    script = root / "tests" / "kill_worker.py"
    command = [sys.executable, *map(str, (script, photos, out, *last))]
    with said(out).open("a") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=file)


def said(out):
    return out.with_suffix(".log")


def logged(out):
    return len(runs.whole_lines(out / "metrics.jsonl"))


def kill_sometime(process, out, dice):
    """Kills one time in four at any moment of its first seconds, else within a second of its first
    new step. Returns where it was."""
    before, deadline = logged(out), time.monotonic() + 120
    if dice.random() < 0.25:
        deadline = time.monotonic() + dice.uniform(0.5, 5)
    while logged(out) <= before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    deadline = time.monotonic() + dice.uniform(0, 1)
    while logged(out) < before + MOST and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    if list((out / "checkpoints").glob("*tmp*")):
        return "while a checkpoint is written"
    return "while it steps" if logged(out) > before else "while it starts"


def outcome(config):
    """Returns parameters, statistics and optimizer state of the last checkpoint, and the lines
    without their times."""
    out = Path(config.out)
    with Checkpoints(out / "checkpoints") as checkpoints:
        state, about = checkpoints.restore(init_state(config)[0])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return (
        state,
        about["data"],
        [{k: v for k, v in line.items() if k not in runs.TIMING} for line in lines],
    )


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_the_same(root, photos, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    reference = start(root, photos, whole)
    assert reference.wait(600) == 0, said(whole).read_text()
    dice, places = random.Random(0), []
    while len(places) < KILLS:
        process = start(root, photos, broken, logged(broken) + MOST)
        places.append(kill_sometime(process, broken, dice))
        assert process.returncode == -9, said(
            broken
        ).read_text()  # neither done nor broken, so there was work to kill
    assert start(root, photos, broken).wait(600) == 0, said(broken).read_text()
    print({place: places.count(place) for place in sorted(set(places))}, "of", len(places), "kills")
    assert places.count("while a checkpoint is written") >= 3
    ours, theirs = (outcome(step_runs.pixel_config(photos, out)) for out in (broken, whole))
    assert all(
        np.array_equal(a, b)
        for a, b in zip(*map(jax.tree.leaves, (ours[0], theirs[0])), strict=True)
    )
    assert ours[1:] == theirs[1:]
    assert [line["step"] for line in ours[2]] == list(range(1, 301))
    assert (broken / "model.safetensors").read_bytes()[-4000:] == (
        whole / "model.safetensors"
    ).read_bytes()[-4000:]
