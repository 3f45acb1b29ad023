"""Real processes over loopback: the same numbers as one process, one run directory, one common end,
and the commands of docs/scaling.md as written there.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys

import numpy as np
import pytest
import step_runs
from helpers import save_noise
from quick import FLAGS

from jaxpercept import cli
from jaxpercept.cli import train_options
from jaxpercept.nets import weights_file
from jaxpercept.training import loop, processes


def start(root, arguments, **kwargs):
    flags = f"{FLAGS} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "PYTHONPATH": str(root), "XLA_FLAGS": flags}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **kwargs,
    )


def outputs(started, seconds=1800):
    """Returns what each process printed. They end together, and none outlives the test."""
    try:
        return [process.communicate(timeout=seconds)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def free_port():
    """Returns a port below those that systems give to outgoing connections. One of those might be
    given away before process 0 listens."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    save_noise(folder / "photos", [f"{i}.png" for i in range(6)], 40, 48)
    return folder


@pytest.fixture(scope="module")
def two(root, folder):
    """Returns the folder after two processes of two devices each have run distributed_worker.py in
    it."""
    worker, port = root / "tests" / "distributed_worker.py", free_port()
    started = [start(root, [worker, f"127.0.0.1:{port}", i, folder]) for i in range(2)]
    said = outputs(started)
    assert [p.returncode for p in started] == [0, 0], "\n".join(said)
    return folder


@pytest.fixture(scope="module")
def expected():
    return step_runs.both_widths(step_runs.plain, step_runs.make_config())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["shard_map", "pmap"])
def test_two_processes_equal_one(two, expected, engine):
    for number in range(2):
        step_runs.check(dict(np.load(two / f"{engine}{number}.npz")), expected)


def lines(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_signal_to_one_stops_all_and_the_same_call_resumes(two):
    """Whichever process gets the signal, all stop at the same step with a checkpoint of it, and the
    resumed run ends with the losses of an unbroken run."""
    stopped = [json.loads((two / f"stopped{i}.json").read_text()) for i in range(2)]
    assert stopped[0] == stopped[1]
    assert len(stopped[0]) == 1
    assert 3 < int(stopped[0][0]) < 8
    unbroken = loop.train(step_runs.train_config(two / "photos", two / "alone"))
    losses = [[line["loss"] for line in lines(two / name)] for name in ("run", "alone")]
    assert [line["step"] for line in lines(two / "run")] == list(range(1, 9))
    np.testing.assert_allclose(*losses, rtol=1e-4)
    ours, theirs = (
        weights_file.read_weights(p)[0] for p in (two / "run" / "model.safetensors", unbroken)
    )
    assert all(np.allclose(ours[k], theirs[k], atol=2e-3) for k in theirs)
    assert {p.name for p in (two / "run").iterdir() if not p.name.startswith("events")} == {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "images.txt",
        "previews",
        "index.html",
        "model.safetensors",
        "lock",
    }


@pytest.mark.slow
def test_processes_that_differ_are_told_so(two):
    for number in range(2):
        assert "the processes differ in settings;" in (two / f"differ{number}.txt").read_text()


def test_two_processes_join_agree_and_vote(root, tmp_path):
    """The fast twin of the three tests above: no training, but the same join, checks and vote."""
    worker, port = root / "tests" / "joining_worker.py", free_port()
    started = [start(root, [worker, f"127.0.0.1:{port}", i]) for i in range(2)]
    said = outputs(started)
    assert [p.returncode for p in started] == [0, 0], "\n".join(said)
    for text in said:
        found = json.loads(text.splitlines()[-1])
        assert found["gathered"] == [[7], [8]]
        assert found["votes"] == [False, True, True, False]
        assert "the processes differ in settings;" in found["differ"]


@pytest.mark.parametrize(
    "given", ["two", "host:1,2", "host,2,0", "host:1,2,2", "host:x,2,0", "host:1,2,-1"]
)
def test_what_distributed_does_not_take(given, capsys):
    line = "train superres --scale 2 --loss pixel --data x --distributed"
    assert cli.main([*line.split(), given]) == 2
    assert "auto, or COORDINATOR,NUM,ID as in" in capsys.readouterr().err


def test_a_process_says_what_it_waits_for(monkeypatch, capsys):
    monkeypatch.setattr(processes, "join", lambda coordinator: coordinator)
    arguments = argparse.Namespace(distributed="host:1,2,0")
    assert train_options.joined(arguments) == ("host:1", 2, 0)
    said = "process 0: waiting until all 2 processes have come to host:1\n"
    assert capsys.readouterr().err == said


def test_auto_outside_a_cluster_is_a_one_line_error(root, folder):
    line = "-m jaxpercept train superres --scale 2 --loss pixel --data"
    command = [*line.split(), folder / "photos"]
    alone = start(root, [*command, "--distributed", "auto"])
    (said,) = outputs([alone])
    assert alone.returncode == 2
    assert said.count("\n") == 1
    assert (
        "--distributed: no TPU pod, SLURM or MPI cluster found here; give COORDINATOR,NUM,ID"
        in said
    )


def commands(root, title):
    """Returns the lines that start one process each, from the shell block under a heading of
    docs/scaling.md."""
    text = (root / "docs" / "scaling.md").read_text().split(f"## {title}\n")[1].split("```")[1]
    return text.removeprefix("sh\n").replace("\\\n", "").strip().splitlines()


@pytest.mark.slow
def test_two_shells_on_one_machine_as_the_docs_have_it(root, folder):
    """Runs them as written, except for the interpreter's name and, if the port is taken, the
    port."""
    save_noise(folder, ["wave.jpg"], 40, 40)
    typed = [
        line.replace("python", sys.executable)
        for line in commands(root, "Two shells on one machine")
    ]
    assert len(typed) == 2
    port = free_port()
    started = [
        subprocess.Popen(
            line.replace("1234", str(port)),
            shell=True,
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(root), "XLA_FLAGS": FLAGS},
        )
        for line in typed
    ]
    said = outputs(started)
    assert [p.returncode for p in started] == [0, 0], "\n".join(said)
    assert "shard_map on 4 cpu" in said[0]
    assert "Weights: runs/two/model.safetensors" in said[0]
    assert "Weights" not in said[1]
    assert [line["step"] for line in lines(folder / "runs" / "two")][-1] == 20
