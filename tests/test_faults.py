"""Faults during a training are named in one line, and the last good checkpoint stays."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import step_runs
from helpers import save_noise
from quick import FLAGS

from jaxpercept import cli
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file
from jaxpercept.training import loop, step
from jaxpercept.training.checkpoint import Checkpoints

pytestmark = pytest.mark.usefixtures("cheap_trainings")


@pytest.fixture
def photos(tmp_path):
    return save_noise(tmp_path / "photos", [f"{i}.png" for i in range(6)], 24, 28)


def command(photos, out, *more):
    line = "train superres --scale 2 --loss pixel --patch-size 20 --batch-size 4 --log-every 1"
    line += " --checkpoint-every 2 --schedule constant --data"
    return [*line.split(), str(photos), "--out", str(out), *more]


def test_a_loss_that_is_not_finite(photos, tmp_path, capsys):
    """One weight overflows float32. The exit status is 1, with one line and the batch to look
    at."""
    out = tmp_path / "run"
    assert (
        cli.main(command(photos, out, "--width", "0.1", "--steps", "3", "--weights.pixel", "1e38"))
        == 1
    )
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "stopped" in line]
    assert "step 1: loss, pixel not finite; its batch is in" in said
    batch = np.load(out / "nonfinite_step_1.npz")
    assert batch["target"].shape == (4, 20, 20, 3)
    assert batch["input"].shape == (4, 10, 10, 3)
    assert not list((out / "checkpoints").glob("[0-9]*"))


def test_parameters_that_are_not_finite_are_not_saved(photos, tmp_path, monkeypatch):
    """The step's loss is finite and its gradient is not, which is found before saving."""
    out = tmp_path / "run"
    config = step_runs.pixel_config(photos, out)
    monkeypatch.setattr(loop, "compiled", loop.compiled.__wrapped__)  # with the fault
    monkeypatch.setattr(
        step.optax, "apply_updates", lambda params, updates: {k: v / 0 for k, v in params.items()}
    )
    with pytest.raises(FloatingPointError, match=r"step 1: .* and 13 more not finite"):
        loop.train(step_runs.dataclasses.replace(config, steps=1))
    assert not list((out / "checkpoints").glob("[0-9]*"))


@pytest.mark.slow
def test_a_full_disk(root, photos, tmp_path):
    """A limit on the size of files stands for a full disk: two steps without it, further steps with
    it, then without it again. The fast twin is in test_checkpoint.py."""
    out = tmp_path / "run"
    assert cli.main(command(photos, out, "--steps", "2")) == 0
    code = (
        "import resource, sys\nfrom jaxpercept.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        f"sys.exit(main({command(photos, out, '--steps', '6')}))\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "JAXPERCEPT_CACHE": "off",
        "XLA_FLAGS": FLAGS,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert (
        "checkpoint 4 could not be saved (File too large); the previous checkpoint, 2, is good"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    with Checkpoints(out / "checkpoints") as checkpoints:
        assert checkpoints.steps == [2]
    assert cli.main(command(photos, out, "--steps", "6")) == 0
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_training_whose_standard_error_is_closed(root, photos, tmp_path):
    """The descriptor itself is closed, so that the next opened file could take its number. The fast
    twins are test_missing_streams_are_opened and test_a_run_without_standard_error."""
    out = tmp_path / "run"
    words = [sys.executable, "-m", "jaxpercept", *command(photos, out, "--steps", "2")]
    own = {"PYTHONPATH": str(root), "JAXPERCEPT_CACHE": "off", "XLA_FLAGS": FLAGS}
    done = subprocess.run(
        f"{shlex.join(words)} 2>&-", shell=True, env=os.environ | own, check=False
    )
    assert done.returncode == 0
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2]
    assert weights_file.read_header(out / "model.safetensors")["training"]["steps"] == 2
    written = (path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert not any(b"step 1/2" in data for data in written)


MISSING = """
import os, sys
from jaxpercept.runtime import streams
os.close(0), os.close(2)
sys.stdin = sys.stderr = None
streams.open_missing()
assert sys.stdin.buffer.read() == b""
with open("opened", "w") as file:
    print("a line of progress", file=sys.stderr, flush=True)
    assert file.fileno() > 2
assert os.path.getsize("opened") == 0
"""


def test_missing_streams_are_opened(root, tmp_path):
    """Otherwise the next opened file takes the number 2, and lines of progress go into it."""
    own = {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", MISSING], env=os.environ | own, cwd=tmp_path, check=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_named(unbuffered, root):
    own = {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "jaxpercept", "stylize", "--list-styles"],
            env=os.environ | own,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert re.fullmatch(r".*standard output: cannot be written \(No space.*\n", done.stderr)


def test_letters_that_standard_output_lacks_are_escaped(root):
    own = {"PYTHONPATH": str(root), "PYTHONIOENCODING": "ascii"}
    code = (
        "import sys; from jaxpercept import cli; sys.exit(cli.main(['stylize', '--list-styles']))"
    )
    listed = subprocess.check_output([sys.executable, "-c", code], env=os.environ | own, text=True)
    assert "L'Homme \\xe0 la tulipe" in listed


def test_broken_images_are_counted_named_and_bounded(photos, tmp_path, capsys):
    for name in ("broken.jpg", "cut.png"):
        (photos / name).write_bytes(b"\x89PNG not an image")
    config = step_runs.dataclasses.replace(
        step_runs.pixel_config(photos, tmp_path / "run"), steps=4
    )
    path = loop.train(config)
    said = capsys.readouterr().err
    assert "; left out: 2 broken images, such as " in said
    assert weights_file.read_header(path)["training"]["data"]["broken"] == 2
    loop.train(config)  # finished: nothing changes, and broken images stay recorded
    assert weights_file.read_header(path)["training"]["data"]["broken"] == 2
    elsewhere = str(photos.rename(tmp_path / "moved"))
    config = step_runs.dataclasses.replace(config, data=(elsewhere,), steps=6)
    loop.train(config)
    assert weights_file.read_header(path)["training"]["data"]["broken"] == 2  # the same two
    strict = step_runs.dataclasses.replace(config, max_broken=0.0, out=str(tmp_path / "strict"))
    with pytest.raises(
        InputError,
        match=r"[12] of 8 training images cannot be read.*more than 0 broken images end the run",
    ):
        loop.train(strict)


def test_data_that_disappears(photos, tmp_path, monkeypatch):
    """Nothing stays in memory, so the run ends, and its last checkpoint is good."""
    monkeypatch.setattr(loop.data.pipeline, "default_cache_bytes", lambda: 0)
    out = tmp_path / "run"
    config = step_runs.dataclasses.replace(step_runs.pixel_config(photos, out), steps=60)

    def vanish(line):
        if line["step"] == 4:
            shutil.rmtree(photos)

    with pytest.raises(InputError, match=r"cannot be read|no usable image"):
        loop.train(config, on_log=vanish)
    with Checkpoints(out / "checkpoints") as checkpoints:
        assert checkpoints.steps[-1] >= 4
